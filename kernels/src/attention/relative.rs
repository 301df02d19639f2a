//! What scores have by how far a key comes after its query, or before it.
//!
//! ```text
//! r        = R + min(max(j - i, -R), R)      of query i and key j, numbered in their sequence
//! bias     s_ij += b_r                       db_r = sum of the ds_ij of this r, over all sequences
//! products s_ij += scale (c_ir + g_jr)       dc_ir = scale ds_ij    dg_jr = scale ds_ij
//! ```
//!
//! Shapes: b `[2R + 1, N]`, c and g `[N, T, 2R + 1]`. A NaN stays in its head, of products in its sequence, too. In the
//! words of DeBERTa c is content to position (`c2p`), what a query has in common with a distance, and g position to
//! content (`p2c`), what a key has.
//!
//! Source: the bias: Raffel et al., *T5*, 2019, <https://arxiv.org/abs/1910.10683>, section 2.1; the products: He et
//! al., *DeBERTa*, 2020, <https://arxiv.org/abs/2006.03654>, section 3.1.

use super::Attention;

/// One of the two ways in which scores depend on distances, or none; with T what belongs to it: the numbers themselves,
/// their gradients. Queries and keys have the same offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Relative<T> {
    /// Scores do not depend on it.
    #[default]
    None,
    /// b, `[2R + 1, N]`, a number for each distance and head. MPNet, T5.
    Bias(T),
    /// c and g, `[N, T, 2R + 1]`, the products of each query and of each key with a vector for each distance. No
    /// distance is beyond R. DeBERTa.
    Products([T; 2]),
}

impl<T> Relative<T> {
    /// The same by reference.
    pub fn as_ref(&self) -> Relative<&T> {
        match self {
            Self::None => Relative::None,
            Self::Bias(b) => Relative::Bias(b),
            Self::Products([c, g]) => Relative::Products([c, g]),
        }
    }

    /// The same by reference, to write.
    pub fn as_mut(&mut self) -> Relative<&mut T> {
        match self {
            Self::None => Relative::None,
            Self::Bias(b) => Relative::Bias(b),
            Self::Products([c, g]) => Relative::Products([c, g]),
        }
    }

    /// What `f` makes of each part.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Relative<U> {
        match self {
            Self::None => Relative::None,
            Self::Bias(b) => Relative::Bias(f(b)),
            Self::Products(parts) => Relative::Products(parts.map(f)),
        }
    }

    /// Each part with the other's.
    ///
    /// # Panics
    /// When they are not alike.
    pub fn zip<U>(self, other: Relative<U>) -> Relative<(T, U)> {
        match (self, other) {
            (Self::None, Relative::None) => Relative::None,
            (Self::Bias(b), Relative::Bias(other)) => Relative::Bias((b, other)),
            (Self::Products([c, g]), Relative::Products([other_c, other_g])) => {
                Relative::Products([(c, other_c), (g, other_g)])
            }
            _ => panic!("attention: scores that differ in what they have by distance"),
        }
    }
}

impl<T, E> Relative<Result<T, E>> {
    /// The parts, or the error of the first that is one.
    ///
    /// # Errors
    /// That error.
    pub fn transpose(self) -> Result<Relative<T>, E> {
        Ok(match self {
            Self::None => Relative::None,
            Self::Bias(b) => Relative::Bias(b?),
            Self::Products([c, g]) => Relative::Products([c?, g?]),
        })
    }
}

impl Attention<'_> {
    /// R of parts of these lengths, 0 where there are none.
    pub(super) fn reach(&self, lengths: Relative<usize>) -> usize {
        match lengths {
            Relative::None => 0,
            Relative::Bias(len) => len / self.heads / 2,
            Relative::Products([len, _]) => {
                len / (self.heads * super::total(self.queries)).max(1) / 2
            }
        }
    }

    /// Panics unless parts may have these lengths, and all tokens ask.
    pub(super) fn check_relative(&self, lengths: Relative<usize>) {
        let (heads, tokens, width) =
            (self.heads, super::total(self.keys), 2 * self.reach(lengths) + 1);
        let all_ask = self.queries == self.keys;
        match lengths {
            Relative::None => return,
            Relative::Bias(len) => {
                assert_eq!(len, width * heads, "attention: expected a bias [2R + 1, N]");
            }
            Relative::Products([c, g]) => {
                let fits = c == heads * tokens * width && g == c;
                assert!(
                    fits,
                    "attention: expected products [N, T, 2R + 1], got {c} and {g} elements"
                );
                let longest = self.keys.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
                let reach = self.reach(lengths);
                assert!(longest as usize <= reach + 1, "attention: distances beyond R {reach}");
            }
        }
        assert!(all_ask, "attention: scores by distance, but not all tokens ask");
    }
}
