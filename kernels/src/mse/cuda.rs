//! On a GPU; see `mse.cu` and `kernels/src/reduce/mean_loss.rs`.

use crate::cuda::{Array, Result, Slice, Source};
use crate::reduce::MeanLoss;

pub(crate) static LOSS: MeanLoss = MeanLoss {
    source: Source { name: "mse.cu", text: include_str!("mse.cu"), hopper: false },
    partials: "mse_partials",
    backward: "mse_backward",
};

/// The mean loss, one f32, from predictions and targets, f32.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the lengths differ or are 0, or one is not f32.
pub fn forward(x: Slice, targets: Slice) -> Result<Array> {
    LOSS.forward(x, targets)
}

/// dx from the gradient of the loss, one f32 on the GPU.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// As [`forward`], and when `dloss` is not one f32.
pub fn backward(x: Slice, targets: Slice, dloss: Slice) -> Result<Array> {
    LOSS.backward(x, targets, dloss)
}
