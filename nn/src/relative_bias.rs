//! What attention adds to scores by the distance of two tokens.

use autograd::{Param, Result, Var};
use tensor::Tensor;

use crate::{Initializer, Module, Pass};

/// A number for each head and each of 32 kinds of distances: `b[bucket(j - i), head]` is added to the score of query i
/// and key j.
///
/// ```text
/// bucket(d) = g(-d) for d <= 0, 16 + g(d) for d > 0
/// g(n)      = n for n < 8, else min(15, floor(8 + 8 ln(n / 8) / ln(128 / 8)))
/// ```
///
/// So near tokens are told apart one by one, farther ones in steps that grow, and from a distance of 91 on all are
/// alike. Shapes: the table `[32, N]`. Parameter: `NAME.weight`. The layers of an MPNet share one.
///
/// Sources: Raffel et al., 2019, *T5*, <https://arxiv.org/abs/1910.10683>, section 2.1; Song et al., 2020, *MPNet*,
/// <https://arxiv.org/abs/2004.09297>.
#[derive(Clone, Debug)]
pub struct RelativeBias {
    table: Param,
    /// The bucket of each distance from -R to R, `[2 R + 1]`.
    buckets: Tensor,
}

impl RelativeBias {
    /// Kinds of distances.
    pub const BUCKETS: usize = 32;

    /// Buckets for distances of one sign.
    const HALF: usize = Self::BUCKETS / 2;

    /// Distances below it have a bucket each.
    const EXACT: usize = Self::HALF / 2;

    /// R: from here on distances are in the last bucket.
    const REACH: usize = 91;

    /// For N = `heads`, by the initialiser's law.
    pub fn new(name: &str, heads: usize, init: &Initializer) -> Self {
        let reach = Self::REACH as isize;
        let buckets: Vec<u32> = (-reach..=reach).map(Self::bucket).collect();
        let shape = [buckets.len()];
        Self {
            table: init.weight(format!("{name}.weight"), &[Self::BUCKETS, heads]),
            buckets: Tensor::from_vec(buckets, &shape).expect("one each"),
        }
    }

    /// The bucket of the distance `d` of a key that comes so far after its query.
    fn bucket(d: isize) -> u32 {
        let n = d.unsigned_abs();
        let far = || {
            let steps = (n as f64 / Self::EXACT as f64).ln() / (128.0 / Self::EXACT as f64).ln();
            Self::EXACT + (steps * (Self::HALF - Self::EXACT) as f64) as usize
        };
        let within = if n < Self::EXACT { n } else { far().min(Self::HALF - 1) };
        (within + if d > 0 { Self::HALF } else { 0 }) as u32
    }

    /// A row for each distance from -R to R, `[2 R + 1, N]`.
    pub(crate) fn forward(&self, pass: &Pass) -> Result<Var> {
        pass.param(&self.table).select(&self.buckets)
    }
}

impl Module for RelativeBias {
    fn params(&self) -> Vec<Param> {
        vec![self.table.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `MPNetEncoder.relative_position_bucket` of transformers 5.24: where each bucket of distances above 0 begins.
    #[test]
    fn buckets_are_those_of_transformers() {
        let starts = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91];
        for d in 0..300 {
            let want = starts.iter().filter(|start| **start <= d).count() as u32;
            assert_eq!(RelativeBias::bucket(-d), want, "{d} before");
            let sign = if d > 0 { 16 } else { 0 };
            assert_eq!(RelativeBias::bucket(d), want + sign, "{d} after");
        }
        let reach = RelativeBias::REACH as isize;
        assert_eq!((RelativeBias::bucket(1 - reach), RelativeBias::bucket(-reach)), (14, 15));
    }
}
