//! Elementwise. Each task adds up its losses; the tasks' sums are added in order, in f64.

use crate::parallel::{map2_chunks, mean2_chunks};
use crate::simd::{Simd, dispatch, inlined, map2, math, sum2_of};

/// The mean loss; `logits` and `targets` have the same length.
///
/// # Panics
/// When the lengths differ or are 0.
pub fn forward(logits: &[f32], targets: &[f32]) -> f32 {
    check(logits, targets);
    mean2_chunks(logits, targets, sum_losses)
}

/// dlogits from the gradient of the mean loss; all of the same length.
///
/// # Panics
/// When the lengths differ or are 0.
pub fn backward(logits: &[f32], targets: &[f32], dloss: f32, dlogits: &mut [f32]) {
    check(logits, targets);
    assert!(logits.len() == dlogits.len(), "bce_with_logits: lengths");
    let scale = (f64::from(dloss) / logits.len() as f64) as f32;
    map2_chunks(logits, targets, dlogits, |x, t, dx| backward_elements(x, t, scale, dx));
}

fn check(logits: &[f32], targets: &[f32]) {
    let (x, t) = (logits.len(), targets.len());
    assert!(x == t && x > 0, "bce_with_logits: lengths {x} and {t}");
}

dispatch!(fn sum_losses(x: &[f32], t: &[f32]) -> f64 = sum_losses_body);
dispatch!(fn backward_elements(x: &[f32], t: &[f32], scale: f32, dx: &mut [f32]) = backward_body);

#[inline(always)]
fn sum_losses_body<S: Simd>(s: S, x: &[f32], t: &[f32]) -> f64 {
    let zero = s.splat(0.0);
    sum2_of(
        s,
        x,
        t,
        inlined!(|x, t| {
            let softplus = math::ln_1p(s, exp_minus_abs(s, x));
            s.add(s.sub(s.max(zero, x), s.mul(x, t)), softplus)
        }),
    )
}

#[inline(always)]
fn backward_body<S: Simd>(s: S, x: &[f32], t: &[f32], scale: f32, dx: &mut [f32]) {
    let (zero, one, scale) = (s.splat(0.0), s.splat(1.0), s.splat(scale));
    map2(
        s,
        x,
        t,
        dx,
        inlined!(|x, t| {
            let e = exp_minus_abs(s, x);
            let sigmoid = s.div(s.select_gt(x, zero, one, e), s.add(one, e));
            s.mul(scale, s.sub(sigmoid, t))
        }),
    );
}

/// exp(-|x|), in [0, 1].
#[inline(always)]
fn exp_minus_abs<S: Simd>(s: S, x: S::F) -> S::F {
    math::exp(s, s.sub(s.splat(0.0), s.abs(x)))
}
