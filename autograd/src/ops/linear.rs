//! The affine map of a layer, which saves its weight, and its input where the weight has a gradient; the same with a
//! product of two thin matrices beside the weight; and two of them around an activation, which save what goes into
//! that: the backward of the activation has its output at hand as well, nearly for nothing. The gradient of an input
//! is a product that the walk multiplies, as it knows what to add: the input of queries, keys and values has four uses.

use tensor::ops::{activation, linear as op};
use tensor::{Activation, Tensor};

use crate::gradient::Share;
use crate::tape::record_shares;
use crate::{Result, Var};

/// y = x w^T + b: x `[.., I]`, w `[O, I]`, b `[O]` `-> [.., O]`.
///
/// # Errors
/// When the shapes do not fit.
pub fn linear(x: &Var, w: &Var, b: &Var) -> Result<Var> {
    let y = op::forward(&x.value, &w.value, Some(&b.value))?;
    let (x_value, w_value) = (input_of(x, w), w.value.clone());
    record_shares("linear", [x, w, b], y, move |dy, [dx, _, db]| {
        let dx = dx.then(|| Share::product(dy, &w_value));
        let dw = x_value.map(|x| op::backward_weight(&x, dy)).transpose()?;
        let db = db.then(|| op::backward_bias(dy)).transpose()?;
        Ok([dx, ready(dw), ready(db)])
    })
}

fn ready(grad: Option<Tensor>) -> Option<Share> {
    grad.map(Share::from)
}

/// What the gradient of the weight `w` is made of; none where it has no gradient, and no memory is held for it.
fn input_of(x: &Var, w: &Var) -> Option<Tensor> {
    w.needs_gradient().then(|| x.value.clone())
}

/// y = x w^T + b + h v^T with h = z u^T: x and z `[.., I]`, w `[O, I]`, b `[O]`, u `[r, I]`, v `[O, r]` `-> [.., O]`.
/// z is x, or x with some units dropped; h is kept. u and v are f32 where x is bf16, as w and b are.
///
/// # Errors
/// When the shapes do not fit.
pub fn adapted_linear(x: &Var, [w, b]: [&Var; 2], z: &Var, [u, v]: [&Var; 2]) -> Result<Var> {
    let h = op::forward(&z.value, &u.value, None)?;
    let y = op::forward(&x.value, &w.value, Some(&b.value))?;
    let y = op::forward_onto(&y, &h, &v.value)?;
    let (x_value, z_value) = (input_of(x, w), input_of(z, u));
    let [w_value, u_value, v_value] = [w, u, v].map(|var| var.value.clone());
    record_shares("adapted_linear", [x, w, b, z, u, v], y, move |dy, [dx, _, db, dz, du, dv]| {
        let dx = dx.then(|| Share::product(dy, &w_value));
        let dw = x_value.map(|x| op::backward_weight(&x, dy)).transpose()?;
        let db = db.then(|| op::backward_bias(dy)).transpose()?;
        let dv = dv.then(|| op::backward_weight(&h, dy)).transpose()?;
        let [dw, db, dv] = [dw, db, dv].map(ready);
        if !(dz || du) {
            return Ok([dx, dw, db, None, None, dv]);
        }
        let dh = op::backward_input(dy, &v_value, None)?;
        let du = z_value.map(|z| op::backward_weight(&z, &dh)).transpose()?;
        let dz = dz.then(|| Share::product(&dh, &u_value));
        Ok([dx, dw, db, dz, ready(du), dv])
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
    let (x_value, [w_value, v_value]) = (input_of(x, w), [w, v].map(|var| var.value.clone()));
    record_shares("feed_forward", [x, w, b, v, c], y, move |dy, [dx, dw, db, dv, dc]| {
        let dc = dc.then(|| op::backward_bias(dy)).transpose()?;
        if !(dx || dw || db) {
            let a = dv.then(|| activation::forward(f, &z)).transpose()?;
            let dv = a.map(|a| op::backward_weight(&a, dy)).transpose()?;
            return Ok([None, None, None, ready(dv), ready(dc)]);
        }
        let da = op::backward_input(dy, &v_value, None)?;
        let (dz, a) = activation::backward_and_value(f, &z, &da)?;
        drop((da, z));
        let dv = dv.then(|| op::backward_weight(&a, dy)).transpose()?;
        drop(a);
        let dx = dx.then(|| Share::product(&dz, &w_value));
        let dw = x_value.map(|x| op::backward_weight(&x, &dz)).transpose()?;
        let db = db.then(|| op::backward_bias(&dz)).transpose()?;
        Ok([dx, ready(dw), ready(db), ready(dv), ready(dc)])
    })
}
