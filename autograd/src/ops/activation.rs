//! Activations; save their input.

use tensor::Activation;
use tensor::ops::activation;

use crate::{Result, Var, record};

impl Var {
    /// y = f(x), element by element.
    ///
    /// # Errors
    /// When the dtype is not f32, bf16 or f64.
    pub fn activation(&self, f: Activation) -> Result<Var> {
        let (x, y) = (self.value.clone(), activation::forward(f, &self.value)?);
        record("activation", [self], y, move |dy, _| Ok([Some(activation::backward(f, &x, dy)?)]))
    }

    /// Exact GELU: x Phi(x).
    ///
    /// # Errors
    /// When the dtype is not f32, bf16 or f64.
    pub fn gelu(&self) -> Result<Var> {
        self.activation(Activation::Gelu)
    }

    /// max(x, 0); the derivative at 0 is 0.
    ///
    /// # Errors
    /// When the dtype is not f32, bf16 or f64.
    pub fn relu(&self) -> Result<Var> {
        self.activation(Activation::Relu)
    }

    /// tanh(x).
    ///
    /// # Errors
    /// When the dtype is not f32, bf16 or f64.
    pub fn tanh(&self) -> Result<Var> {
        self.activation(Activation::Tanh)
    }

    /// 1 / (1 + exp(-x)).
    ///
    /// # Errors
    /// When the dtype is not f32, bf16 or f64.
    pub fn sigmoid(&self) -> Result<Var> {
        self.activation(Activation::Sigmoid)
    }
}
