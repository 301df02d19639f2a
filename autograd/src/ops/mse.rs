//! Mean squared error; saves both operands.

use tensor::Tensor;
use tensor::ops::mse as op;

use crate::{Result, Var, record};

/// The mean over all elements of (prediction - target)^2.
///
/// # Errors
/// When the shapes or dtypes differ, or there are no elements.
pub fn mse(predictions: &Var, targets: &Tensor) -> Result<Var> {
    let loss = op::forward(&predictions.value, targets)?;
    let (x, targets) = (predictions.value.clone(), targets.clone());
    record("mse", [predictions], loss, move |dy, _| Ok([Some(op::backward(&x, &targets, dy)?)]))
}
