//! Layer normalization.

use autograd::ops::AddNorm;
use autograd::{Param, Result, Var, ops};
use tensor::DType;

use crate::{Initializer, Module, Pass};

/// y = (x - mean) / sqrt(var + eps) w + b, over the last axis.
///
/// Shapes: x and y `[.., H]`, w and b `[H]`. Parameters: `NAME.weight`, `NAME.bias` if there is one.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// w, `[H]`, ones at first.
    pub weight: Param,
    /// b, `[H]`, zeros at first; none where nothing is added.
    pub bias: Option<Param>,
    eps: f64,
}

impl LayerNorm {
    /// A layer over rows of length `width`.
    pub fn new(name: &str, width: usize, eps: f64, init: &Initializer) -> Self {
        Self {
            weight: init.ones(format!("{name}.weight"), &[width]),
            bias: Some(init.zeroed(format!("{name}.bias"), &[width])),
            eps,
        }
    }

    /// The same layer, without b if `bias` is false.
    pub fn with_bias(mut self, bias: bool) -> Self {
        self.bias = self.bias.filter(|_| bias);
        self
    }

    /// Applies the layer; y has the dtype of x.
    ///
    /// # Errors
    /// When the last axis of `x` is not H.
    pub fn forward(&self, pass: &Pass, x: &Var) -> Result<Var> {
        self.normalize(pass, x, x.value().dtype())
    }

    /// Applies the layer to what is kept in f32; y is a hidden state, in the precision of the pass.
    ///
    /// # Errors
    /// When the last axis of `x` is not H.
    pub fn forward_hidden(&self, pass: &Pass, x: &Var) -> Result<Var> {
        self.normalize(pass, x, pass.hidden_dtype(x))
    }

    fn normalize(&self, pass: &Pass, x: &Var, to: DType) -> Result<Var> {
        let b = self.bias.as_ref().map(|b| pass.param(b));
        let settings = ops::LayerNorm { eps: self.eps, to };
        ops::layer_norm(settings, x, &pass.param(&self.weight), b.as_ref())
    }

    /// Applies the layer to r + dropout(x), in one pass: x and r `[.., H]`.
    ///
    /// # Errors
    /// When the shapes differ or the last axis is not H.
    ///
    /// # Panics
    /// When it has no b.
    pub(crate) fn add(
        &self,
        pass: &Pass,
        x_r: [&Var; 2],
        dropout: Option<tensor::Dropout>,
    ) -> Result<Var> {
        let b = self.bias.as_ref().expect("a LayerNorm with b");
        let [w, b] = [&self.weight, b].map(|p| pass.param(p));
        ops::add_norm(AddNorm { dropout, eps: self.eps }, x_r, [&w, &b])
    }
}

impl Module for LayerNorm {
    fn params(&self) -> Vec<Param> {
        [&self.weight].into_iter().chain(&self.bias).cloned().collect()
    }
}
