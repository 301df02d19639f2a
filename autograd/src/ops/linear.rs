//! The affine map of a layer, which saves its weight, and its input where the weight has a gradient; and the same with
//! a product of two thin matrices beside the weight. The gradient of an input is a product that the walk multiplies, as
//! it knows what to add: the input of queries, keys and values has four uses.

use tensor::Tensor;
use tensor::ops::linear as op;

use crate::gradient::Share;
use crate::tape::record_shares;
use crate::{Result, Var};

/// y = x w^T + b: x `[.., I]`, w `[O, I]`, b `[O]` `-> [.., O]`; without b nothing is added.
///
/// # Errors
/// When the shapes do not fit.
pub fn linear(x: &Var, w: &Var, b: Option<&Var>) -> Result<Var> {
    let y = op::forward(&x.value, &w.value, b.map(|b| &b.value))?;
    let (x_value, w_value, absent) = (input_of(x, w), w.value.clone(), Var::absent());
    record_shares("linear", [x, w, b.unwrap_or(&absent)], y, move |dy, [dx, _, db]| {
        let dx = dx.then(|| Share::product(dy, &w_value));
        let dw = x_value.map(|x| op::backward_weight(&x, dy)).transpose()?;
        let db = db.then(|| op::backward_bias(dy)).transpose()?;
        Ok([dx, ready(dw), ready(db)])
    })
}

/// A gradient that was computed.
pub(super) fn ready(grad: Option<Tensor>) -> Option<Share> {
    grad.map(Share::from)
}

/// What the gradient of the weight `w` is made of; none where it has no gradient, and no memory is held for it.
pub(super) fn input_of(x: &Var, w: &Var) -> Option<Tensor> {
    w.needs_gradient().then(|| x.value.clone())
}

/// y = x w^T + b + h v^T with h = z u^T: x and z `[.., I]`, w `[O, I]`, b `[O]`, u `[r, I]`, v `[O, r]` `-> [.., O]`.
/// There may be no b. z is x, or x with some units dropped; h is kept. u and v are f32 where x is bf16, as w and b are.
///
/// # Errors
/// When the shapes do not fit.
pub fn adapted_linear(
    x: &Var,
    (w, b): (&Var, Option<&Var>),
    z: &Var,
    [u, v]: [&Var; 2],
) -> Result<Var> {
    let h = op::forward(&z.value, &u.value, None)?;
    let y = op::forward(&x.value, &w.value, b.map(|b| &b.value))?;
    let y = op::forward_onto(&y, &h, &v.value)?;
    let (x_value, z_value) = (input_of(x, w), input_of(z, u));
    let [w_value, u_value, v_value] = [w, u, v].map(|var| var.value.clone());
    let absent = Var::absent();
    let operands = [x, w, b.unwrap_or(&absent), z, u, v];
    record_shares("adapted_linear", operands, y, move |dy, [dx, _, db, dz, du, dv]| {
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
