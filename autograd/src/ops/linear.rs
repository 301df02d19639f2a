//! The affine map of a layer, which saves its input and weight; and two of them around an activation, which save what
//! goes into that: the backward of the activation has its output at hand as well, nearly for nothing.

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

/// y = f(z) v^T + c with z = x w^T + b: x `[.., I]`, w `[F, I]`, b `[F]`, v `[O, F]`, c `[O]` `-> [.., O]`. z is
/// kept and f(z) is not.
///
/// # Errors
/// When the shapes do not fit.
pub fn feed_forward(f: Activation, x: &Var, [w, b]: [&Var; 2], [v, c]: [&Var; 2]) -> Result<Var> {
    let [z, a] = op::forward_activated(f, &x.value, &w.value, &b.value)?;
    let y = op::forward(&a, &v.value, Some(&c.value))?;
    drop(a);
    let [x_value, w_value, v_value] = [x, w, v].map(|var| var.value.clone());
    record("feed_forward", [x, w, b, v, c], y, move |dy, [dx, dw, db, dv, dc]| {
        let dc = dc.then(|| op::backward_bias(dy)).transpose()?;
        if !(dx || dw || db) {
            let a = dv.then(|| activation::forward(f, &z)).transpose()?;
            let dv = a.map(|a| op::backward_weight(&a, dy)).transpose()?;
            return Ok([None, None, None, dv, dc]);
        }
        let da = op::backward_input(dy, &v_value)?;
        let (dz, a) = activation::backward_and_value(f, &z, &da)?;
        drop((da, z));
        let dv = dv.then(|| op::backward_weight(&a, dy)).transpose()?;
        drop(a);
        let dx = dx.then(|| op::backward_input(&dz, &w_value)).transpose()?;
        let dw = dw.then(|| op::backward_weight(&x_value, &dz)).transpose()?;
        let db = db.then(|| op::backward_bias(&dz)).transpose()?;
        Ok([dx, dw, db, dv, dc])
    })
}
