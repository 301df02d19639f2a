//! Row by row in three passes over a row that stays in L1: maximum, exponentials and their sum, scale.

use rayon::prelude::*;

use crate::parallel::rows_per_task;
use crate::simd::{Simd, dispatch, dot, inlined, map_in_place, map2, math, max_of, sum_of};

/// y = softmax(x) of each row.
///
/// `x` and `y` are `[rows, cols]`; rows = x.len() / cols.
///
/// # Panics
/// When the lengths differ or are no multiple of `cols`.
pub fn forward(x: &[f32], cols: usize, y: &mut [f32]) {
    assert!(x.len() == y.len() && x.len().is_multiple_of(cols), "softmax: lengths");
    let n = rows_per_task(cols) * cols;
    x.par_chunks(n).zip(y.par_chunks_mut(n)).for_each(|(x, y)| forward_rows(x, cols, y));
}

/// dx from the output `y` and its gradient `dy`; all `[rows, cols]`.
///
/// # Panics
/// When the lengths differ or are no multiple of `cols`.
pub fn backward(y: &[f32], dy: &[f32], cols: usize, dx: &mut [f32]) {
    assert!(y.len() == dy.len() && y.len() == dx.len(), "softmax: lengths");
    assert!(y.len().is_multiple_of(cols), "softmax: columns");
    let n = rows_per_task(cols) * cols;
    y.par_chunks(n)
        .zip(dy.par_chunks(n))
        .zip(dx.par_chunks_mut(n))
        .for_each(|((y, dy), dx)| backward_rows(y, dy, cols, dx));
}

dispatch!(fn forward_rows(x: &[f32], cols: usize, y: &mut [f32]) = forward_body);
dispatch!(fn backward_rows(y: &[f32], dy: &[f32], cols: usize, dx: &mut [f32]) = backward_body);

#[inline(always)]
fn forward_body<S: Simd>(s: S, x: &[f32], cols: usize, y: &mut [f32]) {
    for (x, y) in x.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
        let max = s.splat(max_of(s, x));
        crate::simd::map(s, x, y, inlined!(|v| math::exp(s, s.sub(v, max))));
        let scale = s.splat(1.0 / sum_of(s, y, 0.0, inlined!(|v| v)));
        map_in_place(s, y, inlined!(|v| s.mul(v, scale)));
    }
}

#[inline(always)]
fn backward_body<S: Simd>(s: S, y: &[f32], dy: &[f32], cols: usize, dx: &mut [f32]) {
    let rows = y.chunks_exact(cols).zip(dy.chunks_exact(cols)).zip(dx.chunks_exact_mut(cols));
    for ((y, dy), dx) in rows {
        let d = s.splat(dot(s, y, dy));
        map2(s, y, dy, dx, inlined!(|y, dy| s.mul(y, s.sub(dy, d))));
    }
}
