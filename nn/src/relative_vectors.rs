//! What queries and keys meet besides each other: vectors for the distances of tokens, the relative embeddings of
//! DeBERTa. A query times the vector of a distance is content-to-position (c2p), a key times one position-to-content
//! (p2c).

use autograd::{Param, Result, Var};
use tensor::Tensor;

use crate::{Dropout, Initializer, LayerNorm, Module, Pass};

/// A vector for each of 2 S kinds of distances, normalized, which each layer maps to the query and to the key of a
/// distance with the maps that it has for tokens.
///
/// ```text
/// row(d)    = S + bucket(-d), d = j - i of the key j of a query i; at least 0 and at most 2 S - 1
/// bucket(n) = n for |n| <= m, else sign(n) (m + ceil((m - 1) ln(|n| / m) / ln((M - 1) / m)))     m = S / 2
/// ```
///
/// So distances up to m are told apart one by one, farther ones in steps that grow up to M. Shapes: the table
/// `[2 S, H]`. Parameters: `NAME.rel_embeddings.weight`, `NAME.LayerNorm.{weight,bias}`. The layers of a DeBERTa share
/// them.
///
/// Source: He et al., 2020, *DeBERTa*, <https://arxiv.org/abs/2006.03654>, section 3.1; the buckets:
/// `make_log_bucket_position` of transformers.
#[derive(Clone, Debug)]
pub struct RelativeVectors {
    table: Param,
    layer_norm: LayerNorm,
    dropout: Dropout,
    farthest: usize,
}

/// Sizes and rates of [`RelativeVectors`].
#[derive(Clone, Copy, Debug)]
pub struct RelativeVectorsConfig {
    /// H.
    pub hidden: usize,
    /// S, at least 2: kinds of distances of one sign.
    pub buckets: usize,
    /// M: distances from here on are all alike.
    pub farthest: usize,
    /// In the LayerNorm.
    pub layer_norm_eps: f64,
    /// Dropout of the normalized vectors, in each layer anew.
    pub dropout: f32,
}

impl RelativeVectors {
    /// With fresh parameters.
    ///
    /// # Panics
    /// When the dropout probability is not in [0, 1).
    pub fn new(name: &str, config: &RelativeVectorsConfig, init: &Initializer) -> Self {
        let shape = [2 * config.buckets, config.hidden];
        let norm = format!("{name}.LayerNorm");
        Self {
            table: init.weight(format!("{name}.rel_embeddings.weight"), &shape),
            layer_norm: LayerNorm::new(&norm, config.hidden, config.layer_norm_eps, init),
            dropout: Dropout::new(config.dropout),
            farthest: config.farthest,
        }
    }

    /// The row of the distance `d` of a key that comes so far after its query.
    fn row(&self, d: isize) -> usize {
        let buckets = self.table.shape()[0] / 2;
        let (n, middle) = (d.unsigned_abs(), buckets / 2);
        let far = || {
            // In f32, as transformers does.
            let middle = middle as f32;
            let steps = (n as f32 / middle).ln() / ((self.farthest - 1) as f32 / middle).ln();
            (steps * (middle - 1.0)).ceil() as usize + buckets / 2
        };
        let bucket = if n <= middle { n } else { far() };
        match d > 0 {
            true => buckets.saturating_sub(bucket),
            false => (buckets + bucket).min(2 * buckets - 1),
        }
    }

    /// The vectors of the distances from -(`longest` - 1) to it, `[2 longest - 1, H]`, in the precision of the pass:
    /// all that there are within `longest` tokens.
    pub(crate) fn forward(&self, pass: &Pass, longest: usize) -> Result<Var> {
        let reach = longest as isize - 1;
        let rows: Vec<usize> = (-reach..=reach).map(|d| self.row(d)).collect();
        // Keys after their query have the rows below the middle: they descend.
        let (first, last) = (rows[rows.len() - 1], rows[0]);
        let used = pass.param(&self.table).narrow(0, first, last + 1 - first)?;
        let vectors = self.dropout.forward(pass, &self.layer_norm.forward(pass, &used)?)?;
        let places = rows.iter().map(|row| (row - first) as u32).collect();
        pass.hidden(&vectors.select(&Tensor::from_vec(places, &[rows.len()])?)?)
    }
}

impl Module for RelativeVectors {
    fn params(&self) -> Vec<Param> {
        [vec![self.table.clone()], self.layer_norm.params()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(buckets: usize, farthest: usize) -> RelativeVectors {
        let config = RelativeVectorsConfig {
            hidden: 1,
            buckets,
            farthest,
            layer_norm_eps: 1e-7,
            dropout: 0.0,
        };
        RelativeVectors::new("encoder", &config, &Initializer::zeros())
    }

    /// `make_log_bucket_position` of transformers 5.24 with the sizes of the published models: where each bucket beyond
    /// 128 begins.
    #[test]
    fn buckets_are_those_of_transformers() {
        #[rustfmt::skip]
        let starts = [
            129, 130, 131, 133, 134, 136, 137, 139, 140, 142, 143, 145, 146, 148, 150, 151, 153, 155,
            156, 158, 160, 161, 163, 165, 167, 169, 170, 172, 174, 176, 178, 180, 182, 184, 186, 188,
            190, 192, 194, 196, 198, 201, 203, 205, 207, 210, 212, 214, 216, 219, 221, 224, 226, 229,
            231, 234, 236, 239, 241, 244, 247, 249, 252, 255, 258, 260, 263, 266, 269, 272, 275, 278,
            281, 284, 287, 290, 294, 297, 300, 303, 307, 310, 313, 317, 320, 324, 327, 331, 335, 338,
            342, 346, 349, 353, 357, 361, 365, 369, 373, 377, 381, 385, 390, 394, 398, 403, 407, 411,
            416, 420, 425, 430, 434, 439, 444, 449, 454, 459, 464, 469, 474, 479, 484, 490, 495, 500,
            506,
        ];
        let published = vectors(256, 512);
        for d in 0..512isize {
            let far = starts.iter().filter(|start| **start <= d).count();
            let bucket = d.min(128) as usize + far;
            assert_eq!(published.row(-d), 256 + bucket, "{d} before");
            assert_eq!(published.row(d), 256 - bucket, "{d} after");
        }
        assert_eq!((published.row(-9000), published.row(9000)), (511, 0));
    }
}
