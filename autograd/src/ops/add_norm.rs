//! Dropout, residual sum and LayerNorm; saves the sum and two numbers a row, the mask is made again.

use tensor::ops::add_norm::{self as op, AddNorm};

use crate::{Result, Var, record};

/// y = layer_norm(r + dropout(x)) w + b along the last axis: x and r `[.., H]`, w and b `[H]`.
///
/// # Errors
/// When the shapes do not fit.
pub fn add_norm(settings: AddNorm, [x, r]: [&Var; 2], [w, b]: [&Var; 2]) -> Result<Var> {
    let sum = op::forward(settings, [&x.value, &r.value], [&w.value, &b.value])?;
    let (op::Sum { y, z, mean, rstd }, w_value) = (sum, w.value.clone());
    record("add_norm", [x, r, w, b], y, move |dy, wanted| {
        let grads = op::backward(settings, [&z, &mean, &rstd], &w_value, dy)?;
        let all = [grads.dx, grads.dr, grads.dw, grads.db].into_iter().zip(wanted);
        let mut all = all.map(|(grad, wanted)| wanted.then_some(grad));
        Ok(std::array::from_fn(|_| all.next().flatten()))
    })
}
