//! Softmax cross-entropy with class weights and label smoothing; see [`kernels::weighted_cross_entropy`].

pub use kernels::weighted_cross_entropy::Weighting;
use kernels::weighted_cross_entropy::{self, reference};

use super::{Floats, expect_shape, floats, gpu_scalar, indices, matrix, wide, wide_scalar};
use crate::{Error, Result, Tensor};

const OP: &str = "weighted_cross_entropy";

/// The loss, a scalar, and what the backward needs of each row, `[rows]` (empty in f64).
///
/// logits `[rows, C]`, labels `[rows]` (u32).
///
/// # Errors
/// When there are not C weights or one is not a number from 0, the smoothing is not in [0, 1), a label is not below C,
/// there is not one a row, or there are no rows.
pub fn forward(
    logits: &Tensor,
    labels: &Tensor,
    weighting: &Weighting,
) -> Result<(Tensor, Tensor)> {
    let (x, labels) = operands(logits, labels, weighting)?;
    let labels = indices(OP, &labels, weighting.weights.len())?;
    Ok(match floats(OP, [&x])? {
        Floats::Cuda([x]) => {
            let [loss, rsum] = weighted_cross_entropy::cuda::forward(x, labels, weighting)?;
            (Tensor::from_array(loss, &[]), Tensor::from_array(rsum, &[labels.len()]))
        }
        Floats::F32([x]) => {
            let mut rsum = Tensor::zeros(&[labels.len()]);
            let loss = weighted_cross_entropy::forward(x, labels, weighting, rsum.make_mut()?);
            (Tensor::scalar(loss), rsum)
        }
        Floats::F64([x]) => {
            (wide_scalar(reference::forward(x, labels, weighting)), Tensor::zeros(&[0]))
        }
    })
}

/// dlogits `[rows, C]` from the operands, `rsum` as the forward saved it, and the gradient of the loss.
///
/// # Errors
/// As [`forward`].
pub fn backward(
    logits: &Tensor,
    labels: &Tensor,
    weighting: &Weighting,
    rsum: &Tensor,
    dloss: &Tensor,
) -> Result<Tensor> {
    let (x, labels) = operands(logits, labels, weighting)?;
    let labels = indices(OP, &labels, weighting.weights.len())?;
    Ok(match floats(OP, [&x])? {
        Floats::Cuda([v]) => {
            let (rsum, dloss) = (rsum.as_array(OP)?, dloss.contiguous()?);
            let dloss = gpu_scalar(OP, &x, &dloss)?;
            let dx = weighted_cross_entropy::cuda::backward(v, labels, weighting, rsum, dloss)?;
            Tensor::from_array(dx, x.shape())
        }
        Floats::F32([v]) => {
            let (rsum, dloss) = (rsum.as_slice()?, dloss.item()? as f32);
            Tensor::build(x.shape(), |dx| {
                weighted_cross_entropy::backward(v, labels, weighting, rsum, dloss, dx);
            })
        }
        Floats::F64([v]) => {
            wide(reference::backward(v, labels, weighting, dloss.item()?), x.shape())
        }
    })
}

/// Logits and labels, contiguous, of shapes that fit each other and the weights.
fn operands(logits: &Tensor, labels: &Tensor, weighting: &Weighting) -> Result<(Tensor, Tensor)> {
    let (rows, c) = matrix(OP, logits)?;
    expect_shape(OP, labels, &[rows])?;
    super::not_empty(OP, logits)?;
    check(weighting, c)?;
    Ok((logits.contiguous()?, labels.contiguous()?))
}

/// An error unless there are C weights, and all numbers are in their range.
fn check(weighting: &Weighting, c: usize) -> Result<()> {
    let Weighting { weights, label_smoothing } = weighting;
    if weights.len() != c {
        let expected = format!("[{c}] of the weights");
        return Err(Error::Shape { op: OP, expected, got: vec![weights.len()] });
    }
    let odd = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0));
    if let Some(&got) = odd {
        return Err(Error::Number { op: OP, expected: "a weight of at least 0", got });
    }
    match (0.0..1.0).contains(label_smoothing) {
        true => Ok(()),
        false => {
            let (expected, got) = ("a label smoothing in [0, 1)", *label_smoothing);
            Err(Error::Number { op: OP, expected, got })
        }
    }
}
