//! Mean squared error; see [`kernels::mse`].

use kernels::mse::{self, reference};

use super::{Floats, card_scalar, floats, not_empty, same_shape, wide, wide_scalar};
use crate::{Result, Tensor};

const OP: &str = "mse";

/// The loss, a scalar; both operands have the same shape.
///
/// # Errors
/// When the shapes or dtypes differ, or there are no elements.
pub fn forward(x: &Tensor, targets: &Tensor) -> Result<Tensor> {
    same_shape(OP, x, targets)?;
    not_empty(OP, x)?;
    let (x, t) = (x.contiguous()?, targets.contiguous()?);
    Ok(match floats(OP, [&x, &t])? {
        Floats::Cuda([x, t]) => Tensor::from_array(mse::cuda::forward(x, t)?, &[]),
        Floats::F32([x, t]) => Tensor::scalar(mse::forward(x, t)),
        Floats::F64([x, t]) => wide_scalar(reference::forward(x, t)),
    })
}

/// The gradient of the first operand, from the gradient of the loss.
///
/// # Errors
/// When the shapes or dtypes differ.
pub fn backward(x: &Tensor, targets: &Tensor, dloss: &Tensor) -> Result<Tensor> {
    same_shape(OP, x, targets)?;
    let (x, t) = (x.contiguous()?, targets.contiguous()?);
    Ok(match floats(OP, [&x, &t])? {
        Floats::Cuda([v, t]) => {
            let dloss = dloss.contiguous()?;
            let dx = mse::cuda::backward(v, t, card_scalar(OP, &x, &dloss)?)?;
            Tensor::from_array(dx, x.shape())
        }
        Floats::F32([v, t]) => {
            let dloss = dloss.item()? as f32;
            Tensor::build(x.shape(), |dx| mse::backward(v, t, dloss, dx))
        }
        Floats::F64([v, t]) => wide(reference::backward(v, t, dloss.item()?), x.shape()),
    })
}
