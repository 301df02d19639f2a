//! One vector per sequence of a ragged batch; see [`kernels::pooling`].

use kernels::pooling::{self, Pooling, reference};

use super::{Hidden, expect_shape, hidden, last_axis, wide};
use crate::{CuSeqLens, Result, Tensor};

const OP: &str = "pooling";

/// `[T, H] -> [B, H]`: the first token of each sequence, or the mean of its tokens.
///
/// # Errors
/// When `x` does not have as many rows as the batch has tokens, or no columns.
pub fn forward(how: Pooling, x: &Tensor, batch: &CuSeqLens) -> Result<Tensor> {
    let x = x.contiguous()?;
    let h = last_axis(OP, &x)?;
    expect_shape(OP, &x, &[batch.total(), h])?;
    let (shape, cu) = ([batch.batch(), h], batch.offsets());
    Ok(match hidden(OP, [&x])? {
        Hidden::Cuda([v]) => {
            let offsets = batch.on_gpu(v.device())?;
            let y = pooling::cuda::forward(how, v, &offsets, h)?;
            Tensor::from_array(y, &shape)
        }
        Hidden::F32([v]) => Tensor::build(&shape, |y| pooling::forward(how, v, cu, h, y)),
        Hidden::BF16([v]) => Tensor::build(&shape, |y| pooling::forward(how, v, cu, h, y)),
        Hidden::F64([v]) => wide(reference::forward(how, v, cu, h), &shape),
    })
}

/// dx `[T, H]` from dy `[B, H]`.
///
/// # Errors
/// When `dy` does not have a row for each sequence, or no columns.
pub fn backward(how: Pooling, dy: &Tensor, batch: &CuSeqLens) -> Result<Tensor> {
    let dy = dy.contiguous()?;
    let h = last_axis(OP, &dy)?;
    expect_shape(OP, &dy, &[batch.batch(), h])?;
    let (shape, cu) = ([batch.total(), h], batch.offsets());
    Ok(match hidden(OP, [&dy])? {
        Hidden::Cuda([v]) => {
            let offsets = batch.on_gpu(v.device())?;
            let dx = pooling::cuda::backward(how, v, &offsets, h)?;
            Tensor::from_array(dx, &shape)
        }
        Hidden::F32([v]) => Tensor::build(&shape, |dx| pooling::backward(how, v, cu, h, dx)),
        Hidden::BF16([v]) => Tensor::build(&shape, |dx| pooling::backward(how, v, cu, h, dx)),
        Hidden::F64([v]) => wide(reference::backward(how, v, cu, h), &shape),
    })
}
