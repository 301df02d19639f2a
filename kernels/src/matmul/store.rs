//! What happens with a product.

use crate::simd::Element;

/// What happens with the product.
#[derive(Clone, Copy, Debug, Default)]
pub struct Store<'a> {
    /// C += instead of C =.
    pub accumulate: bool,
    /// `[cols of C]`, added to each row; not with `accumulate`.
    pub bias: Option<&'a [f32]>,
}

impl Store<'_> {
    /// Writes a row of the product to C, from column `start` on.
    #[inline(always)]
    pub(super) fn write<E: Element>(self, product: &[f32], start: usize, c: &mut [E]) {
        let n = product.len();
        let c = &mut c[..n];
        match self.bias {
            _ if self.accumulate => {
                for j in 0..n {
                    c[j] = E::round(c[j].widen() + product[j]);
                }
            }
            Some(bias) => {
                let bias = &bias[start..][..n];
                for j in 0..n {
                    c[j] = E::round(product[j] + bias[j]);
                }
            }
            None => {
                for j in 0..n {
                    c[j] = E::round(product[j]);
                }
            }
        }
    }

    /// How the block of K that begins at `k` is stored: all but the first add to what is there.
    pub(super) fn of_block(self, k: usize) -> Self {
        if k == 0 { self } else { Self { accumulate: true, bias: None } }
    }
}
