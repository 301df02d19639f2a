//! Layer normalization.

use autograd::ops::AddNorm;
use autograd::{Param, Result, Var, ops};

use crate::{Initializer, Module, Pass};

/// y = (x - mean) / sqrt(var + eps) w + b, over the last axis.
///
/// Shapes: x and y `[.., H]`, w and b `[H]`. Parameters: `NAME.weight`, `NAME.bias`.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// w, `[H]`, ones at first.
    pub weight: Param,
    /// b, `[H]`, zeros at first.
    pub bias: Param,
    eps: f64,
}

impl LayerNorm {
    /// A layer over rows of length `width`.
    pub fn new(name: &str, width: usize, eps: f64, init: &Initializer) -> Self {
        Self {
            weight: init.ones(format!("{name}.weight"), &[width]),
            bias: init.zeroed(format!("{name}.bias"), &[width]),
            eps,
        }
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// When the last axis of `x` is not H.
    pub fn forward(&self, pass: &Pass, x: &Var) -> Result<Var> {
        ops::layer_norm(x, &pass.param(&self.weight), &pass.param(&self.bias), self.eps)
    }

    /// Applies the layer to r + dropout(x), in one pass: x and r `[.., H]`.
    ///
    /// # Errors
    /// When the shapes differ or the last axis is not H.
    pub(crate) fn add(
        &self,
        pass: &Pass,
        x_r: [&Var; 2],
        dropout: Option<tensor::Dropout>,
    ) -> Result<Var> {
        let [w, b] = [&self.weight, &self.bias].map(|p| pass.param(p));
        ops::add_norm(AddNorm { dropout, eps: self.eps }, x_r, [&w, &b])
    }
}

impl Module for LayerNorm {
    fn params(&self) -> Vec<Param> {
        vec![self.weight.clone(), self.bias.clone()]
    }
}
