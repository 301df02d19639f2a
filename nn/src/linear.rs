//! The affine layer.

use autograd::{Param, Result, Var, ops};

use crate::{Initializer, Module, Pass};

/// y = x w^T + b.
///
/// Shapes: x `[.., I]`, w `[O, I]`, b `[O]`, y `[.., O]`. Parameters: `NAME.weight`, `NAME.bias`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// w, `[O, I]`.
    pub weight: Param,
    /// b, `[O]`.
    pub bias: Param,
}

impl Linear {
    /// A layer from `inputs` to `outputs`: w by the initialiser's law, b zero.
    pub fn new(name: &str, inputs: usize, outputs: usize, init: &Initializer) -> Self {
        Self {
            weight: init.weight(format!("{name}.weight"), &[outputs, inputs]),
            bias: init.zeroed(format!("{name}.bias"), &[outputs]),
        }
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// When the last axis of `x` is not I.
    pub fn forward(&self, pass: &Pass, x: &Var) -> Result<Var> {
        ops::linear(x, &pass.param(&self.weight), &pass.param(&self.bias))
    }
}

impl Module for Linear {
    fn params(&self) -> Vec<Param> {
        vec![self.weight.clone(), self.bias.clone()]
    }
}
