//! Softmax over the last axis; saves its output.

use tensor::ops::softmax;

use crate::{Result, Var, record};

impl Var {
    /// y = softmax(x) along the last axis, `[.., n] -> [.., n]`.
    ///
    /// # Errors
    /// When there is no last axis.
    pub fn softmax(&self) -> Result<Var> {
        let y = softmax::forward(&self.value)?;
        let saved = y.clone();
        record("softmax", [self], y, move |dy, _| Ok([Some(softmax::backward(&saved, dy)?)]))
    }
}
