//! The affine map of a layer; saves its input and weight.

use tensor::ops::linear as op;

use crate::{Result, Var, record};

/// y = x w^T + b: x `[.., I]`, w `[O, I]`, b `[O]` `-> [.., O]`.
///
/// # Errors
/// When the shapes do not fit.
pub fn linear(x: &Var, w: &Var, b: &Var) -> Result<Var> {
    let y = op::forward(&x.value, &w.value, Some(&b.value))?;
    let (x_value, w_value) = (x.value.clone(), w.value.clone());
    record("linear", [x, w, b], y, move |dy, [dx, dw, db]| {
        let dx = dx.then(|| op::backward_input(dy, &w_value)).transpose()?;
        let dw = dw.then(|| op::backward_weight(&x_value, dy)).transpose()?;
        let db = db.then(|| op::backward_bias(dy)).transpose()?;
        Ok([dx, dw, db])
    })
}
