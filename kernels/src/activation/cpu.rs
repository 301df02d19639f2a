//! One pass, a vector at a time, in chunks that threads take.

use rayon::prelude::*;

use super::{Activation, GELU_C, GELU_K};
use crate::parallel::{elements_per_task, map_chunks, map2_chunks};
use crate::simd::{Element, Simd, dispatch, each_vector, inlined, load, map, map2, math, store};

/// From 14 on both forms of GELU are x in f32, from -14 on 0, because `exp` has no denormals here: beyond, where
/// products are inf * 0, the kernels compute with ±14. Those of a GPU, which has them, do with ±15.
const GELU_FAR: f32 = 14.0;

/// y = op x; both `[n]`.
///
/// # Panics
/// When the lengths differ.
pub fn forward<E: Element>(op: Activation, x: &[E], y: &mut [E]) {
    assert_eq!(x.len(), y.len(), "{}: lengths", op.name());
    map_chunks(x, y, |x, y| forward_chunk(op, x, y));
}

/// dx from the input `x` and the gradient `dy` of the output; all `[n]`.
///
/// # Panics
/// When the lengths differ.
pub fn backward<E: Element>(op: Activation, x: &[E], dy: &[E], dx: &mut [E]) {
    assert!(x.len() == dx.len() && dy.len() == dx.len(), "{} backward: lengths", op.name());
    map2_chunks(x, dy, dx, |x, dy, dx| backward_chunk(op, x, dy, dx));
}

/// As [`backward`], and y once more: for a backward that needs both and kept neither. All are `[n]`.
///
/// # Panics
/// When the lengths differ.
pub fn backward_and_value<E: Element>(
    op: Activation,
    x: &[E],
    dy: &[E],
    dx: &mut [E],
    y: &mut [E],
) {
    let n = dx.len();
    assert!(x.len() == n && dy.len() == n && y.len() == n, "{} backward: lengths", op.name());
    let size = elements_per_task();
    let read = x.par_chunks(size).zip(dy.par_chunks(size));
    let write = dx.par_chunks_mut(size).zip(y.par_chunks_mut(size));
    read.zip(write).for_each(|((x, dy), (dx, y))| backward_and_value_chunk(op, x, dy, dx, y));
}

dispatch!(fn forward_chunk<E: Element>(op: Activation, x: &[E], y: &mut [E]) = forward_body);
dispatch!(fn backward_chunk<E: Element>(
    op: Activation, x: &[E], dy: &[E], dx: &mut [E]
) = backward_body);

dispatch!(fn backward_and_value_chunk<E: Element>(
    op: Activation, x: &[E], dy: &[E], dx: &mut [E], y: &mut [E]
) = backward_and_value_body);

#[inline(always)]
fn forward_body<S: Simd, E: Element>(s: S, op: Activation, x: &[E], y: &mut [E]) {
    map(s, x, y, inlined!(|x| value(s, op, x)));
}

#[inline(always)]
fn backward_body<S: Simd, E: Element>(s: S, op: Activation, x: &[E], dy: &[E], dx: &mut [E]) {
    map2(s, x, dy, dx, inlined!(|x, dy| gradient(s, op, x, dy)));
}

#[inline(always)]
fn backward_and_value_body<S: Simd, E: Element>(
    s: S,
    op: Activation,
    x: &[E],
    dy: &[E],
    dx: &mut [E],
    y: &mut [E],
) {
    each_vector::<S>(
        x.len(),
        inlined!(|at, n| {
            let both = gradient_and_value(s, op, load(s, x, at, n), load(s, dy, at, n));
            store(s, both.0, dx, at, n);
            store(s, both.1, y, at, n);
        }),
    );
}

/// f(x)
#[inline(always)]
pub(crate) fn value<S: Simd>(s: S, op: Activation, x: S::F) -> S::F {
    match op {
        Activation::Gelu => gelu(s, x),
        Activation::GeluTanh => gelu_tanh(s, x),
        Activation::Relu => relu(s, x),
        Activation::Tanh => math::tanh(s, x),
        Activation::Sigmoid => math::sigmoid(s, x).0,
    }
}

/// f'(x) dy
#[inline(always)]
fn gradient<S: Simd>(s: S, op: Activation, x: S::F, dy: S::F) -> S::F {
    match op {
        Activation::Gelu => gelu_dx(s, x, dy),
        Activation::GeluTanh => gelu_tanh_dx(s, x, dy),
        Activation::Relu => relu_dx(s, x, dy),
        Activation::Tanh => tanh_dx(s, x, dy),
        Activation::Sigmoid => sigmoid_dx(s, x, dy),
    }
}

/// f'(x) dy and f(x), the same bits as each alone; inlined, what both share is computed once.
#[inline(always)]
pub(crate) fn gradient_and_value<S: Simd>(s: S, op: Activation, x: S::F, dy: S::F) -> (S::F, S::F) {
    (gradient(s, op, x, dy), value(s, op, x))
}

#[inline(always)]
fn relu<S: Simd>(s: S, x: S::F) -> S::F {
    s.max(s.splat(0.0), x)
}

#[inline(always)]
fn relu_dx<S: Simd>(s: S, x: S::F, dy: S::F) -> S::F {
    let zero = s.splat(0.0);
    s.select_gt(x, zero, dy, zero)
}

#[inline(always)]
fn sigmoid_dx<S: Simd>(s: S, x: S::F, dy: S::F) -> S::F {
    s.mul(dy, math::sigmoid(s, x).1)
}

#[inline(always)]
fn tanh_dx<S: Simd>(s: S, x: S::F, dy: S::F) -> S::F {
    let (_, slope) = math::sigmoid(s, s.add(x, x));
    s.mul(dy, s.mul(s.splat(4.0), slope))
}

#[inline(always)]
fn gelu<S: Simd>(s: S, x: S::F) -> S::F {
    s.mul(bounded_below(s, x), math::normal(s, x).0)
}

#[inline(always)]
fn gelu_dx<S: Simd>(s: S, x: S::F, dy: S::F) -> S::F {
    let (cdf, density) = math::normal(s, x);
    s.mul(dy, s.fma(math::clamp(s, x, GELU_FAR), density, cdf))
}

#[inline(always)]
fn gelu_tanh<S: Simd>(s: S, x: S::F) -> S::F {
    let near = math::clamp(s, x, GELU_FAR);
    let (sigmoid, _) = math::sigmoid(s, gelu_tanh_twice_u(s, near));
    s.mul(bounded_below(s, x), sigmoid)
}

#[inline(always)]
fn gelu_tanh_dx<S: Simd>(s: S, x: S::F, dy: S::F) -> S::F {
    let x = math::clamp(s, x, GELU_FAR);
    let (sigmoid, slope) = math::sigmoid(s, gelu_tanh_twice_u(s, x));
    let (c, ck) = (s.splat((2.0 * GELU_C) as f32), s.splat((6.0 * GELU_C * GELU_K) as f32));
    let twice_du = s.fma(s.mul(ck, x), x, c);
    s.mul(dy, s.fma(s.mul(x, slope), twice_du, sigmoid))
}

/// 2 c (x + k x^3)
#[inline(always)]
fn gelu_tanh_twice_u<S: Simd>(s: S, x: S::F) -> S::F {
    let (c, ck) = (s.splat((2.0 * GELU_C) as f32), s.splat((2.0 * GELU_C * GELU_K) as f32));
    s.mul(x, s.fma(s.mul(ck, x), x, c))
}

/// max(x, -14); NaN stays NaN.
#[inline(always)]
fn bounded_below<S: Simd>(s: S, x: S::F) -> S::F {
    s.max(s.splat(-GELU_FAR), x)
}
