//! Softmax cross-entropy; saves the logits and one number a row.

use tensor::Tensor;
use tensor::ops::cross_entropy as op;

use crate::{Result, Var, record};

/// The mean over rows of `-log softmax(logits)[label]`: logits `[rows, C]`, labels `[rows]` (u32) `-> []`.
///
/// # Errors
/// When a label is not below C, there is not one a row, or there are no rows.
pub fn cross_entropy(logits: &Var, labels: &Tensor) -> Result<Var> {
    let (loss, rsum) = op::forward(&logits.value, labels)?;
    let (x, labels) = (logits.value.clone(), labels.clone());
    record("cross_entropy", [logits], loss, move |dy, _| {
        Ok([Some(op::backward(&x, &labels, &rsum, dy)?)])
    })
}
