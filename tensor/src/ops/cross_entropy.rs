//! Softmax cross-entropy, averaged over rows; see [`kernels::cross_entropy`].

use kernels::cross_entropy::{self, reference};

use super::{Floats, expect_shape, floats, gpu_scalar, indices, matrix, wide, wide_scalar};
use crate::{Result, Tensor};

const OP: &str = "cross_entropy";

/// The loss, a scalar, and what the backward needs of each row, `[rows]` (empty in f64).
///
/// logits `[rows, C]`, labels `[rows]` (u32).
///
/// # Errors
/// When a label is not below C, there is not one a row, or there are no rows.
pub fn forward(logits: &Tensor, labels: &Tensor) -> Result<(Tensor, Tensor)> {
    let ((rows, c), x, labels) = (matrix(OP, logits)?, logits.contiguous()?, labels.contiguous()?);
    expect_shape(OP, &labels, &[rows])?;
    super::not_empty(OP, &x)?;
    let labels = indices(OP, &labels, c)?;
    Ok(match floats(OP, [&x])? {
        Floats::Cuda([x]) => {
            let [loss, rsum] = cross_entropy::cuda::forward(x, labels)?;
            (Tensor::from_array(loss, &[]), Tensor::from_array(rsum, &[rows]))
        }
        Floats::F32([x]) => {
            let mut rsum = Tensor::zeros(&[rows]);
            let loss = cross_entropy::forward(x, labels, rsum.make_mut()?);
            (Tensor::scalar(loss), rsum)
        }
        Floats::F64([x]) => (wide_scalar(reference::forward(x, labels)), Tensor::zeros(&[0])),
    })
}

/// dlogits `[rows, C]` from the operands, `rsum` as the forward saved it, and the gradient of the loss.
///
/// # Errors
/// When the shapes do not fit.
pub fn backward(logits: &Tensor, labels: &Tensor, rsum: &Tensor, dloss: &Tensor) -> Result<Tensor> {
    let ((rows, c), x, labels) = (matrix(OP, logits)?, logits.contiguous()?, labels.contiguous()?);
    expect_shape(OP, &labels, &[rows])?;
    let labels = indices(OP, &labels, c)?;
    Ok(match floats(OP, [&x])? {
        Floats::Cuda([v]) => {
            let (rsum, dloss) = (rsum.as_array(OP)?, dloss.contiguous()?);
            let dx = cross_entropy::cuda::backward(v, labels, rsum, gpu_scalar(OP, &x, &dloss)?)?;
            Tensor::from_array(dx, x.shape())
        }
        Floats::F32([v]) => {
            let rsum = rsum.as_slice()?;
            let dloss = dloss.item()? as f32;
            Tensor::build(x.shape(), |dx| {
                cross_entropy::backward(v, labels, rsum, dloss, dx);
            })
        }
        Floats::F64([v]) => wide(reference::backward(v, labels, dloss.item()?), x.shape()),
    })
}
