//! Binary cross-entropy of logits, averaged over all elements; see [`kernels::bce_with_logits`].

use kernels::bce_with_logits::{self, cuda, reference};

use super::mean_loss::{Definition, GpuKernels, Kernels, MeanLoss};
use crate::{Result, Tensor};

const LOSS: MeanLoss = MeanLoss {
    op: "bce_with_logits",
    f32: Kernels { forward: bce_with_logits::forward, backward: bce_with_logits::backward },
    f64: Definition { forward: reference::forward, backward: reference::backward },
    cuda: GpuKernels { forward: cuda::forward, backward: cuda::backward },
};

/// The loss, a scalar; both operands have the same shape.
///
/// # Errors
/// When the shapes or dtypes differ, or there are no elements.
pub fn forward(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    LOSS.forward(logits, targets)
}

/// The gradient of the first operand, from the gradient of the loss.
///
/// # Errors
/// As [`forward`].
pub fn backward(logits: &Tensor, targets: &Tensor, dloss: &Tensor) -> Result<Tensor> {
    LOSS.backward(logits, targets, dloss)
}
