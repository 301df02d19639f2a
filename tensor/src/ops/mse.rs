//! Mean squared error; see [`kernels::mse`].

use kernels::mse::{self, cuda, reference};

use super::mean_loss::{Definition, GpuKernels, Kernels, MeanLoss};
use crate::{Result, Tensor};

const LOSS: MeanLoss = MeanLoss {
    op: "mse",
    f32: Kernels { forward: mse::forward, backward: mse::backward },
    f64: Definition { forward: reference::forward, backward: reference::backward },
    cuda: GpuKernels { forward: cuda::forward, backward: cuda::backward },
};

/// The loss, a scalar; both operands have the same shape.
///
/// # Errors
/// When the shapes or dtypes differ, or there are no elements.
pub fn forward(x: &Tensor, targets: &Tensor) -> Result<Tensor> {
    LOSS.forward(x, targets)
}

/// The gradient of the first operand, from the gradient of the loss.
///
/// # Errors
/// As [`forward`].
pub fn backward(x: &Tensor, targets: &Tensor, dloss: &Tensor) -> Result<Tensor> {
    LOSS.backward(x, targets, dloss)
}
