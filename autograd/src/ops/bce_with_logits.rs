//! Binary cross-entropy of logits; saves both operands.

use tensor::Tensor;
use tensor::ops::bce_with_logits as op;

use crate::{Result, Var, record};

/// The mean over all elements of the binary cross-entropy of sigmoid(logits) and targets in [0, 1].
///
/// # Errors
/// When the shapes or dtypes differ, or there are no elements.
pub fn bce_with_logits(logits: &Var, targets: &Tensor) -> Result<Var> {
    let loss = op::forward(&logits.value, targets)?;
    let (x, targets) = (logits.value.clone(), targets.clone());
    record("bce_with_logits", [logits], loss, move |dy, _| {
        Ok([Some(op::backward(&x, &targets, dy)?)])
    })
}
