//! Two affine maps around an activation or a gated unit, which save what goes into that: its backward has its output
//! at hand as well, nearly for nothing.

use tensor::ops::{activation, gated, linear as op};
use tensor::{Activation, Tensor};

use super::linear::{input_of, ready};
use crate::gradient::Share;
use crate::tape::record_shares;
use crate::{Result, Var};

/// y = f(z) v^T + c with z = x w^T + b: x `[.., I]`, w `[F, I]`, b `[F]`, v `[O, F]`, c `[O]` `-> [.., O]`. z is
/// kept and f(z) is not.
///
/// # Errors
/// When the shapes do not fit.
pub fn feed_forward(f: Activation, x: &Var, [w, b]: [&Var; 2], [v, c]: [&Var; 2]) -> Result<Var> {
    let [z, a] = op::forward_activated(f, &x.value, &w.value, &b.value)?;
    let y = op::forward(&a, &v.value, Some(&c.value))?;
    let (forward, backward_and_value) = (activation::forward, activation::backward_and_value);
    let middle = Middle { f, z, forward, backward_and_value };
    middle.record("feed_forward", [x, w, b, v, c], y)
}

/// y = (f(a) g) v^T + c with z = [a, g] = x w^T + b: x `[.., I]`, w `[2 F, I]`, b `[2 F]`, v `[O, F]`, c `[O]`
/// `-> [.., O]`; b and c may be absent. z is kept and the product f(a) g is not.
///
/// # Errors
/// When the shapes do not fit.
pub fn gated_feed_forward(
    f: Activation,
    x: &Var,
    (w, b): (&Var, Option<&Var>),
    (v, c): (&Var, Option<&Var>),
) -> Result<Var> {
    let z = op::forward(&x.value, &w.value, b.map(Var::value))?;
    let y = op::forward(&gated::forward(f, &z)?, &v.value, c.map(Var::value))?;
    let (forward, backward_and_value) = (gated::forward, gated::backward_and_value);
    let middle = Middle { f, z, forward, backward_and_value };
    let absent = Var::absent();
    let [b, c] = [b, c].map(|bias| bias.unwrap_or(&absent));
    middle.record("gated_feed_forward", [x, w, b, v, c], y)
}

/// What stands between the two maps, and what goes into it.
struct Middle {
    f: Activation,
    z: Tensor,
    forward: fn(Activation, &Tensor) -> tensor::Result<Tensor>,
    /// The gradient of z, from z and the gradient of the output; and the output.
    backward_and_value: fn(Activation, &Tensor, &Tensor) -> tensor::Result<(Tensor, Tensor)>,
}

impl Middle {
    /// Records y, which came of x, w, b, v and c.
    fn record(self, name: &'static str, inputs: [&Var; 5], y: Tensor) -> Result<Var> {
        let Self { f, z, forward, backward_and_value } = self;
        let [x, w, _, v, _] = inputs;
        let (x_value, [w_value, v_value]) = (input_of(x, w), [w, v].map(|var| var.value.clone()));
        record_shares(name, inputs, y, move |dy, [dx, dw, db, dv, dc]| {
            let dc = dc.then(|| op::backward_bias(dy)).transpose()?;
            if !(dx || dw || db) {
                let a = dv.then(|| forward(f, &z)).transpose()?;
                let dv = a.map(|a| op::backward_weight(&a, dy)).transpose()?;
                return Ok([None, None, None, ready(dv), ready(dc)]);
            }
            let da = op::backward_input(dy, &v_value, None)?;
            let (dz, a) = backward_and_value(f, &z, &da)?;
            drop((da, z));
            let dv = dv.then(|| op::backward_weight(&a, dy)).transpose()?;
            drop(a);
            let dx = dx.then(|| Share::product(&dz, &w_value));
            let dw = x_value.map(|x| op::backward_weight(&x, &dz)).transpose()?;
            let db = db.then(|| op::backward_bias(&dz)).transpose()?;
            Ok([dx, ready(dw), ready(db), ready(dv), ready(dc)])
        })
    }
}

#[cfg(test)]
mod tests {
    use tensor::philox::Rng;

    use super::*;
    use crate::Tape;

    /// x, w, b, v and c of 5 rows, 3 inputs, F = 4 and 2 outputs.
    fn operands() -> [Tensor; 5] {
        let shapes: [&[usize]; 5] = [&[5, 3], &[8, 3], &[8], &[2, 4], &[2]];
        let mut streams = 0..;
        shapes.map(|shape| Tensor::randn(shape, &mut Rng::new(7, streams.next().unwrap())))
    }

    fn gated([x, w, b, v, c]: [&Var; 5]) -> Var {
        gated_feed_forward(Activation::Gelu, x, (w, Some(b)), (v, Some(c))).unwrap()
    }

    /// The gradients of v and c.
    fn of_the_second_map(y: &Var, [v, c]: [&Var; 2]) -> [Vec<f32>; 2] {
        let grads = y.mul(y).unwrap().sum().unwrap().backward().unwrap();
        [v, c].map(|var| grads.input(var).unwrap().to_vec().unwrap())
    }

    #[test]
    fn gated_is_its_parts_one_after_the_other() {
        let [x, w, b, v, c] = operands().map(Var::constant);
        let y = gated([&x, &w, &b, &v, &c]);
        let z = crate::ops::linear(&x, &w, Some(&b)).unwrap().gated(Activation::Gelu).unwrap();
        let want = crate::ops::linear(&z, &v, Some(&c)).unwrap();
        assert_eq!(y.value().to_vec::<f32>().unwrap(), want.value().to_vec::<f32>().unwrap());
    }

    #[test]
    fn a_frozen_first_map_changes_no_gradient_of_the_second() {
        let [all, some] = [Tape::new(), Tape::new()];
        let [x, w, b, v, c] = operands().map(|x| all.input(x));
        let want = of_the_second_map(&gated([&x, &w, &b, &v, &c]), [&v, &c]);
        let [x, w, b] = [x, w, b].map(|var| var.detach());
        let [v, c] = [v, c].map(|var| some.input(var.value().clone()));
        assert_eq!(of_the_second_map(&gated([&x, &w, &b, &v, &c]), [&v, &c]), want);
    }
}
