//! Softmax cross-entropy with class weights and label smoothing; saves the logits and one number a row.

use tensor::Tensor;
use tensor::ops::weighted_cross_entropy as op;

use crate::{Result, Var, record};

/// PyTorch's `CrossEntropyLoss(weight, label_smoothing)`: the mean over rows of the cross-entropy of softmax(logits) and
/// smoothed labels, where a row counts as much as the class of its label: logits `[rows, C]`, labels `[rows]` (u32)
/// `-> []`.
///
/// # Errors
/// When there are not C weights or one is not a number from 0, the smoothing is not in [0, 1), a label is not below C,
/// there is not one a row, or there are no rows.
pub fn weighted_cross_entropy(
    logits: &Var,
    labels: &Tensor,
    weighting: &op::Weighting,
) -> Result<Var> {
    let (loss, rsum) = op::forward(&logits.value, labels, weighting)?;
    let (x, labels, weighting) = (logits.value.clone(), labels.clone(), weighting.clone());
    record("weighted_cross_entropy", [logits], loss, move |dy, _| {
        Ok([Some(op::backward(&x, &labels, &weighting, &rsum, dy)?)])
    })
}
