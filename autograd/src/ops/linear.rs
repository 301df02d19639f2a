//! The affine map of a layer; saves its input and weight. Behind an activation it saves what goes into that: the
//! backward of the activation has the output at hand as well, nearly for nothing.

use tensor::Activation;
use tensor::ops::{activation, linear as op};

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

/// y = f(x) w^T + b: x `[.., I]`, w `[O, I]`, b `[O]` `-> [.., O]`; f(x) is not kept.
///
/// # Errors
/// When the shapes do not fit.
pub fn activated_linear(f: Activation, x: &Var, w: &Var, b: &Var) -> Result<Var> {
    let y = op::forward(&activation::forward(f, &x.value)?, &w.value, Some(&b.value))?;
    let (x_value, w_value) = (x.value.clone(), w.value.clone());
    record("activated_linear", [x, w, b], y, move |dy, [wants_dx, wants_dw, wants_db]| {
        let db = wants_db.then(|| op::backward_bias(dy)).transpose()?;
        if !wants_dx {
            let a = wants_dw.then(|| activation::forward(f, &x_value)).transpose()?;
            return Ok([None, a.map(|a| op::backward_weight(&a, dy)).transpose()?, db]);
        }
        let da = op::backward_input(dy, &w_value)?;
        let (dx, a) = activation::backward_and_value(f, &x_value, &da)?;
        drop(da);
        let dw = wants_dw.then(|| op::backward_weight(&a, dy)).transpose()?;
        Ok([Some(dx), dw, db])
    })
}
