//! One pass, a vector at a time, in chunks that threads take; the operation is chosen once a chunk.

use rayon::prelude::*;

use super::{Binary, Unary};
use crate::parallel::{map_chunks, map2_chunks, rows_per_task};
use crate::simd::{
    Element, Simd, dispatch, each_vector, inlined, load, map, map2, map2_in_place, math, store,
};

/// y = a op b; all `[n]`.
///
/// # Panics
/// When the lengths differ.
pub fn binary(op: Binary, a: &[f32], b: &[f32], y: &mut [f32]) {
    assert!(a.len() == y.len() && b.len() == y.len(), "binary {op:?}: lengths");
    map2_chunks(a, b, y, |a, b, y| binary_chunk(op, a, b, y));
}

/// y = a op b, the row `b` (`[cols]`) repeated over the rows of `a`; `a` and `y` are `[rows, cols]`.
///
/// # Panics
/// When the lengths of `a` and `y` differ or are no multiple of that of `b`.
pub fn binary_row(op: Binary, a: &[f32], b: &[f32], y: &mut [f32]) {
    let cols = b.len();
    assert!(a.len() == y.len() && y.len().is_multiple_of(cols), "binary_row {op:?}: lengths");
    let n = rows_per_task(cols) * cols.max(1);
    a.par_chunks(n).zip(y.par_chunks_mut(n)).for_each(|(a, y)| binary_rows(op, a, b, y));
}

/// y = alpha x; both `[n]`.
///
/// # Panics
/// When the lengths differ.
pub fn scale(alpha: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "scale: lengths");
    map_chunks(x, y, |x, y| scale_chunk(alpha, x, y));
}

/// y += x; both `[n]`.
///
/// # Panics
/// When the lengths differ.
pub fn add_assign<E: Element>(y: &mut [E], x: &[E]) {
    assert_eq!(x.len(), y.len(), "add_assign: lengths");
    map_chunks(x, y, add_assign_chunk);
}

/// y = x in another type, each rounded to the nearest; both `[n]`.
///
/// # Panics
/// When the lengths differ.
pub fn convert<From: Element, To: Element>(x: &[From], y: &mut [To]) {
    assert_eq!(x.len(), y.len(), "convert: lengths");
    map_chunks(x, y, convert_chunk);
}

/// y = op x; both `[n]`.
///
/// # Panics
/// When the lengths differ.
pub fn unary(op: Unary, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "unary {op:?}: lengths");
    map_chunks(x, y, |x, y| unary_chunk(op, x, y));
}

/// dx from the input `x`, the output `y` and its gradient `dy`; all `[n]`.
///
/// # Panics
/// When the lengths differ.
pub fn unary_backward(op: Unary, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
    let n = dx.len();
    assert!(x.len() == n && y.len() == n && dy.len() == n, "unary {op:?} backward: lengths");
    // No derivative needs both.
    let saved = if matches!(op, Unary::Exp | Unary::Sqrt | Unary::Recip) { y } else { x };
    map2_chunks(saved, dy, dx, |saved, dy, dx| unary_backward_chunk(op, saved, dy, dx));
}

dispatch!(fn binary_chunk(op: Binary, a: &[f32], b: &[f32], y: &mut [f32]) = binary_body);
dispatch!(fn binary_rows(op: Binary, a: &[f32], b: &[f32], y: &mut [f32]) = binary_rows_body);
dispatch!(fn scale_chunk(alpha: f32, x: &[f32], y: &mut [f32]) = scale_body);
dispatch!(fn add_assign_chunk<E: Element>(x: &[E], y: &mut [E]) = add_assign_body);
dispatch!(fn convert_chunk<From: Element, To: Element>(x: &[From], y: &mut [To]) = convert_body);
dispatch!(fn unary_chunk(op: Unary, x: &[f32], y: &mut [f32]) = unary_body);
dispatch!(fn unary_backward_chunk(
    op: Unary, saved: &[f32], dy: &[f32], dx: &mut [f32]
) = unary_backward_body);

#[inline(always)]
fn binary_body<S: Simd>(s: S, op: Binary, a: &[f32], b: &[f32], y: &mut [f32]) {
    match op {
        Binary::Add => map2(s, a, b, y, inlined!(|a, b| s.add(a, b))),
        Binary::Sub => map2(s, a, b, y, inlined!(|a, b| s.sub(a, b))),
        Binary::Mul => map2(s, a, b, y, inlined!(|a, b| s.mul(a, b))),
        Binary::Div => map2(s, a, b, y, inlined!(|a, b| s.div(a, b))),
    }
}

#[inline(always)]
fn binary_rows_body<S: Simd>(s: S, op: Binary, a: &[f32], b: &[f32], y: &mut [f32]) {
    for (a, y) in a.chunks_exact(b.len()).zip(y.chunks_exact_mut(b.len())) {
        binary_body(s, op, a, b, y);
    }
}

#[inline(always)]
fn convert_body<S: Simd, From: Element, To: Element>(s: S, x: &[From], y: &mut [To]) {
    each_vector::<S>(x.len(), inlined!(|at, n| store(s, load(s, x, at, n), y, at, n)));
}

#[inline(always)]
fn scale_body<S: Simd>(s: S, alpha: f32, x: &[f32], y: &mut [f32]) {
    let alpha = s.splat(alpha);
    map(s, x, y, inlined!(|x| s.mul(alpha, x)));
}

#[inline(always)]
fn add_assign_body<S: Simd, E: Element>(s: S, x: &[E], y: &mut [E]) {
    map2_in_place(s, y, x, inlined!(|y, x| s.add(y, x)));
}

#[inline(always)]
fn unary_body<S: Simd>(s: S, op: Unary, x: &[f32], y: &mut [f32]) {
    match op {
        Unary::Neg => map(s, x, y, inlined!(|x| negative(s, x))),
        Unary::Exp => map(s, x, y, inlined!(|x| math::exp(s, x))),
        Unary::Ln => map(s, x, y, inlined!(|x| math::ln(s, x))),
        Unary::Sqrt => map(s, x, y, inlined!(|x| s.sqrt(x))),
        Unary::Abs => map(s, x, y, inlined!(|x| s.abs(x))),
        Unary::Square => map(s, x, y, inlined!(|x| square(s, x))),
        Unary::Recip => map(s, x, y, inlined!(|x| reciprocal(s, x))),
    }
}

/// `saved` is y for exp, sqrt and 1 / x, and x for the others.
#[inline(always)]
fn unary_backward_body<S: Simd>(s: S, op: Unary, saved: &[f32], dy: &[f32], dx: &mut [f32]) {
    match op {
        Unary::Neg => map(s, dy, dx, inlined!(|dy| negative(s, dy))),
        Unary::Exp => map2(s, saved, dy, dx, inlined!(|v, dy| s.mul(v, dy))),
        Unary::Ln => map2(s, dy, saved, dx, inlined!(|dy, v| s.div(dy, v))),
        Unary::Sqrt => map2(s, saved, dy, dx, inlined!(|v, dy| sqrt_dx(s, v, dy))),
        Unary::Abs => map2(s, saved, dy, dx, inlined!(|v, dy| abs_dx(s, v, dy))),
        Unary::Square => map2(s, saved, dy, dx, inlined!(|v, dy| square_dx(s, v, dy))),
        Unary::Recip => map2(s, saved, dy, dx, inlined!(|v, dy| reciprocal_dx(s, v, dy))),
    }
}

#[inline(always)]
fn negative<S: Simd>(s: S, x: S::F) -> S::F {
    s.mul(x, s.splat(-1.0))
}

#[inline(always)]
fn square<S: Simd>(s: S, x: S::F) -> S::F {
    s.mul(x, x)
}

#[inline(always)]
fn reciprocal<S: Simd>(s: S, x: S::F) -> S::F {
    s.div(s.splat(1.0), x)
}

#[inline(always)]
fn sqrt_dx<S: Simd>(s: S, y: S::F, dy: S::F) -> S::F {
    s.div(s.mul(dy, s.splat(0.5)), y)
}

/// dy, -dy, or 0 times dy where x is 0 or NaN.
#[inline(always)]
fn abs_dx<S: Simd>(s: S, x: S::F, dy: S::F) -> S::F {
    let zero = s.splat(0.0);
    let negative = s.select_gt(zero, x, s.splat(-1.0), zero);
    s.mul(dy, s.select_gt(x, zero, s.splat(1.0), negative))
}

#[inline(always)]
fn square_dx<S: Simd>(s: S, x: S::F, dy: S::F) -> S::F {
    s.mul(dy, s.add(x, x))
}

#[inline(always)]
fn reciprocal_dx<S: Simd>(s: S, y: S::F, dy: S::F) -> S::F {
    s.mul(s.mul(dy, y), negative(s, y))
}
