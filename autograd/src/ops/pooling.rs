//! One vector per sequence; saves the offsets.

use tensor::ops::pooling;
use tensor::{CuSeqLens, Pooling};

use crate::{Result, Var, record};

impl Var {
    /// The first token or the mean of each sequence, `[T, H] -> [B, H]`.
    ///
    /// # Errors
    /// When there are not as many rows as the batch has tokens.
    pub fn pool(&self, how: Pooling, batch: &CuSeqLens) -> Result<Var> {
        let (y, batch) = (pooling::forward(how, &self.value, batch)?, batch.clone());
        record("pooling", [self], y, move |dy, _| Ok([Some(pooling::backward(how, dy, &batch)?)]))
    }
}
