//! A slice is halved down to blocks of one task; the results of two halves are added on the way up.

use rayon::prelude::*;

use crate::parallel::{elements_per_task, rows_per_task, sum_blocks};
use crate::simd::{Element, MAX_LANES, Simd, dispatch, each_vector, inlined, load, store};

/// Accumulators of a sum: enough to hide the latency of an addition at eight f64 a vector.
const LANES: usize = 32;

/// The sum of `x`, 0 of an empty slice.
pub fn sum(x: &[f32]) -> f32 {
    tree(x, sum_block) as f32
}

/// The sum of the squares of `x`, 0 of an empty slice; no square overflows.
pub fn sum_squares(x: &[f32]) -> f64 {
    tree(x, sum_squares_block)
}

/// The sum of each column; `x` is `[rows, cols]`, `out` is `[cols]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn column_sums<E: Element>(x: &[E], cols: usize, out: &mut [f32]) {
    assert!(out.len() == cols && x.len().is_multiple_of(cols), "column_sums: lengths");
    sum_blocks(x.len() / cols.max(1), out, |rows, acc| {
        add_rows(&x[rows.start * cols..rows.end * cols], acc);
    });
}

/// Where each row has its greatest element first; a NaN counts as the greatest. `x` is `[rows, cols]`, `out`
/// is `[rows]`.
///
/// # Panics
/// When the lengths do not fit or the rows are empty.
pub fn row_argmax(x: &[f32], cols: usize, out: &mut [u32]) {
    assert!(cols > 0 || out.is_empty(), "row_argmax: empty rows");
    assert_eq!(x.len(), out.len() * cols, "row_argmax: rows");
    let n = rows_per_task(cols);
    out.par_chunks_mut(n).enumerate().for_each(|(i, out)| {
        for (r, o) in out.iter_mut().enumerate() {
            *o = argmax(&x[(i * n + r) * cols..][..cols]);
        }
    });
}

fn argmax(row: &[f32]) -> u32 {
    let max = max_block(row);
    let is_max = |v: &f32| *v == max || (v.is_nan() && max.is_nan());
    row.iter().position(is_max).expect("the maximum is in the row") as u32
}

/// `leaf` of blocks, added in pairs; the tree depends on the length of `x` only.
fn tree(x: &[f32], leaf: fn(&[f32]) -> f64) -> f64 {
    let blocks = x.len().div_ceil(elements_per_task());
    if blocks <= 1 {
        return leaf(x);
    }
    let (left, right) = x.split_at(blocks / 2 * elements_per_task());
    let (a, b) = rayon::join(|| tree(left, leaf), || tree(right, leaf));
    a + b
}

dispatch!(fn sum_block(x: &[f32]) -> f64 = sum_body);
dispatch!(fn sum_squares_block(x: &[f32]) -> f64 = sum_squares_body);
dispatch!(fn max_block(x: &[f32]) -> f32 = max_body);
dispatch!(
    /// Adds each row of `x` (`[rows, cols]`) to `acc` (`[cols]`).
    fn add_rows<E: Element>(x: &[E], acc: &mut [f32]) = add_rows_body
);

#[inline(always)]
fn sum_body<S: Simd>(_: S, x: &[f32]) -> f64 {
    sum_f64(x, |v| v)
}

#[inline(always)]
fn sum_squares_body<S: Simd>(_: S, x: &[f32]) -> f64 {
    sum_f64(x, |v| v * v)
}

/// Sums `f(x[i])` in f64. The compiler vectorizes it for the instruction set of its caller; the order of
/// additions is the same for all.
#[inline(always)]
fn sum_f64(x: &[f32], f: impl Fn(f64) -> f64) -> f64 {
    let mut acc = [0.0; LANES];
    let (blocks, rest) = x.as_chunks::<LANES>();
    for block in blocks {
        for (a, &v) in acc.iter_mut().zip(block) {
            *a += f(f64::from(v));
        }
    }
    for (a, &v) in acc.iter_mut().zip(rest) {
        *a += f(f64::from(v));
    }
    acc.iter().sum()
}

#[inline(always)]
fn max_body<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut acc = s.splat(f32::NEG_INFINITY);
    let xs = x.chunks_exact(S::LANES);
    let rest = xs.remainder();
    for x in xs {
        acc = greater(s, acc, s.load(x));
    }
    if !rest.is_empty() {
        acc = greater(s, acc, s.load_partial(rest, f32::NEG_INFINITY));
    }
    let mut lanes = [f32::NEG_INFINITY; MAX_LANES];
    s.store(acc, &mut lanes);
    lanes.into_iter().fold(f32::NEG_INFINITY, |a, b| if a.is_nan() || a > b { a } else { b })
}

/// The greater of each lane; a NaN in either survives.
#[inline(always)]
fn greater<S: Simd>(s: S, a: S::F, b: S::F) -> S::F {
    s.select_nan(a, a, s.max(a, b))
}

#[inline(always)]
fn add_rows_body<S: Simd, E: Element>(s: S, x: &[E], acc: &mut [f32]) {
    let cols = acc.len();
    for row in x.chunks_exact(cols) {
        each_vector::<S>(
            cols,
            inlined!(|at, n| {
                store(s, s.add(load(s, acc, at, n), load(s, row, at, n)), acc, at, n);
            }),
        );
    }
}
