//! Matrix product; saves both operands.

use tensor::ops::matmul;

use crate::{Result, Var, record};

impl Var {
    /// Y = A B, leading axes broadcast: `[.., M, K] [.., K, N] -> [.., M, N]`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn matmul(&self, other: &Var) -> Result<Var> {
        let y = matmul::forward(&self.value, &other.value)?;
        let (a, b) = (self.value.clone(), other.value.clone());
        record("matmul", [self, other], y, move |dy, wanted| {
            Ok(matmul::backward(&a, &b, dy, wanted)?)
        })
    }
}
