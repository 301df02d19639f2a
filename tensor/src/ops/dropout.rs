//! Dropout with a recomputable mask; see [`kernels::dropout`].

use kernels::cuda;
use kernels::dropout::{self, Dropout, reference};

use super::{Floats, droppable, floats, last_axis, wide};
use crate::{Result, Tensor};

const OP: &str = "dropout";

/// y = x mask / (1 - p), `[.., n] -> [.., n]`; the mask depends on the key and the position only.
///
/// # Errors
/// When `x` has no last axis or is not f32 or f64, or p is not in [0, 1).
pub fn forward(d: Dropout, x: &Tensor) -> Result<Tensor> {
    droppable(OP, Some(d))?;
    let (x, cols) = (x.contiguous()?, last_axis(OP, x)?);
    Ok(match floats(OP, [&x])? {
        Floats::Cuda([v]) => {
            Tensor::from_array(dropout::cuda::forward(d, v, cols, cuda::DType::F32)?, x.shape())
        }
        Floats::F32([v]) => {
            Tensor::build(x.shape(), |y: &mut [f32]| dropout::forward(d, v, cols, y))
        }
        Floats::F64([v]) => wide(reference::forward(d, v, cols), x.shape()),
    })
}

/// dx = dy mask / (1 - p): the same map as the forward, its mask made again.
///
/// # Errors
/// As [`forward`].
pub fn backward(d: Dropout, dy: &Tensor) -> Result<Tensor> {
    forward(d, dy)
}
