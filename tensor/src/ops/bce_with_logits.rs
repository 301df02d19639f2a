//! Binary cross-entropy of logits, averaged over all elements; see [`kernels::bce_with_logits`].

use kernels::bce_with_logits::{self, reference};

use super::{Floats, card_scalar, floats, not_empty, same_shape, wide, wide_scalar};
use crate::{Result, Tensor};

const OP: &str = "bce_with_logits";

/// The loss, a scalar; both operands have the same shape.
///
/// # Errors
/// When the shapes or dtypes differ, or there are no elements.
pub fn forward(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    same_shape(OP, logits, targets)?;
    not_empty(OP, logits)?;
    let (x, t) = (logits.contiguous()?, targets.contiguous()?);
    Ok(match floats(OP, [&x, &t])? {
        Floats::Cuda([x, t]) => Tensor::from_array(bce_with_logits::cuda::forward(x, t)?, &[]),
        Floats::F32([x, t]) => Tensor::scalar(bce_with_logits::forward(x, t)),
        Floats::F64([x, t]) => wide_scalar(reference::forward(x, t)),
    })
}

/// The gradient of the first operand, from the gradient of the loss.
///
/// # Errors
/// When the shapes or dtypes differ.
pub fn backward(logits: &Tensor, targets: &Tensor, dloss: &Tensor) -> Result<Tensor> {
    same_shape(OP, logits, targets)?;
    let (x, t) = (logits.contiguous()?, targets.contiguous()?);
    Ok(match floats(OP, [&x, &t])? {
        Floats::Cuda([v, t]) => {
            let dloss = dloss.contiguous()?;
            let dx = bce_with_logits::cuda::backward(v, t, card_scalar(OP, &x, &dloss)?)?;
            Tensor::from_array(dx, x.shape())
        }
        Floats::F32([v, t]) => {
            let dloss = dloss.item()? as f32;
            Tensor::build(x.shape(), |dx| bce_with_logits::backward(v, t, dloss, dx))
        }
        Floats::F64([v, t]) => wide(reference::backward(v, t, dloss.item()?), x.shape()),
    })
}
