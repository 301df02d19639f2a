//! GELU, ReLU, tanh and sigmoid, element by element; see [`kernels::activation`].

use kernels::activation::{self, Activation, reference};

use super::{Floats, floats, same_shape, wide};
use crate::{Result, Tensor};

const OP: &str = "activation";

/// y = f(x), any shape.
///
/// # Errors
/// When `x` is not f32 or f64.
pub fn forward(f: Activation, x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous();
    Ok(match floats(OP, [&x])? {
        Floats::F32([v]) => Tensor::build(x.shape(), |y| activation::forward(f, v, y)),
        Floats::F64([v]) => wide(reference::forward(f, v), x.shape()),
    })
}

/// dx = f'(x) dy.
///
/// # Errors
/// When the shapes or dtypes differ.
pub fn backward(f: Activation, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    same_shape(OP, x, dy)?;
    let (x, dy) = (x.contiguous(), dy.contiguous());
    Ok(match floats(OP, [&x, &dy])? {
        Floats::F32([v, d]) => Tensor::build(x.shape(), |dx| activation::backward(f, v, d, dx)),
        Floats::F64([v, d]) => wide(reference::backward(f, v, d), x.shape()),
    })
}
