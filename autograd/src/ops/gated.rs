//! The gated linear unit; saves its input.

use tensor::Activation;
use tensor::ops::gated;

use crate::{Result, Var, record};

impl Var {
    /// y = f(a) g of rows [a, g]: `[.., 2 F] -> [.., F]`.
    ///
    /// # Errors
    /// When the last axis is odd or empty, or the dtype is not f32, bf16 or f64.
    pub fn gated(&self, f: Activation) -> Result<Var> {
        let (z, y) = (self.value.clone(), gated::forward(f, &self.value)?);
        record("gated", [self], y, move |dy, _| Ok([Some(gated::backward(f, &z, dy)?)]))
    }
}
