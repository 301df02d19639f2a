//! Elementwise. Each task adds up its squares; the tasks' sums are added in order, in f64.

use crate::parallel::{map2_chunks, mean2_chunks};
use crate::simd::{Simd, dispatch, inlined, map2, sum2_of};

/// The mean squared error; `x` and `target` have the same length.
///
/// # Panics
/// When the lengths differ or are 0.
pub fn forward(x: &[f32], target: &[f32]) -> f32 {
    check(x, target);
    mean2_chunks(x, target, sum_squares)
}

/// dx from the gradient of the mean; all of the same length.
///
/// # Panics
/// When the lengths differ or are 0.
pub fn backward(x: &[f32], target: &[f32], dloss: f32, dx: &mut [f32]) {
    check(x, target);
    assert!(x.len() == dx.len(), "mse: lengths");
    let scale = (2.0 * f64::from(dloss) / x.len() as f64) as f32;
    map2_chunks(x, target, dx, |x, t, dx| backward_elements(x, t, scale, dx));
}

fn check(x: &[f32], target: &[f32]) {
    let (x, t) = (x.len(), target.len());
    assert!(x == t && x > 0, "mse: lengths {x} and {t}");
}

dispatch!(fn sum_squares(x: &[f32], t: &[f32]) -> f64 = sum_squares_body);
dispatch!(fn backward_elements(x: &[f32], t: &[f32], scale: f32, dx: &mut [f32]) = backward_body);

#[inline(always)]
fn sum_squares_body<S: Simd>(s: S, x: &[f32], t: &[f32]) -> f64 {
    sum2_of(
        s,
        x,
        t,
        inlined!(|x, t| {
            let d = s.sub(x, t);
            s.mul(d, d)
        }),
    )
}

#[inline(always)]
fn backward_body<S: Simd>(s: S, x: &[f32], t: &[f32], scale: f32, dx: &mut [f32]) {
    let scale = s.splat(scale);
    map2(s, x, t, dx, inlined!(|x, t| s.mul(scale, s.sub(x, t))));
}
