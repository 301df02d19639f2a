//! Softmax over the last axis; see [`kernels::softmax`].

use kernels::softmax::{self, reference};

use super::{Floats, floats, last_axis, same_shape, wide};
use crate::{Result, Tensor};

const OP: &str = "softmax";

/// y = softmax(x), `[.., n] -> [.., n]`.
///
/// # Errors
/// When `x` has no last axis or is not f32 or f64.
pub fn forward(x: &Tensor) -> Result<Tensor> {
    let (x, cols) = (x.contiguous()?, last_axis(OP, x)?);
    Ok(match floats(OP, [&x])? {
        Floats::F32([v]) => Tensor::build(x.shape(), |y| softmax::forward(v, cols, y)),
        Floats::F64([v]) => wide(reference::forward(v, cols), x.shape()),
        Floats::Cuda([v]) => Tensor::from_array(softmax::cuda::forward(v, cols)?, x.shape()),
    })
}

/// dx from the output `y` and its gradient `dy`, all `[.., n]`.
///
/// # Errors
/// When the shapes or dtypes differ.
pub fn backward(y: &Tensor, dy: &Tensor) -> Result<Tensor> {
    same_shape(OP, y, dy)?;
    let (y, dy, cols) = (y.contiguous()?, dy.contiguous()?, last_axis(OP, y)?);
    Ok(match floats(OP, [&y, &dy])? {
        Floats::F32([v, d]) => Tensor::build(y.shape(), |dx| softmax::backward(v, d, cols, dx)),
        Floats::F64([v, d]) => wide(reference::backward(v, d, cols), y.shape()),
        Floats::Cuda([v, d]) => Tensor::from_array(softmax::cuda::backward(v, d, cols)?, y.shape()),
    })
}
