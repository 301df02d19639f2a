//! Dropout; saves nothing, the mask is made again from its key.

use tensor::Dropout;
use tensor::ops::dropout;

use crate::{Result, Var, record};

impl Var {
    /// y = x mask / (1 - p), `[.., n] -> [.., n]`.
    ///
    /// # Errors
    /// When there is no last axis.
    pub fn dropout(&self, d: Dropout) -> Result<Var> {
        let y = dropout::forward(d, &self.value)?;
        record("dropout", [self], y, move |dy, _| Ok([Some(dropout::backward(d, dy)?)]))
    }
}
