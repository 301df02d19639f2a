//! What happens to rows of scores, which are padded to whole vectors.

use crate::simd::{
    Element, MAX_LANES, Simd, dispatch, each_vector, inlined, load, map_in_place, map2_in_place,
    math, max_of, store,
};

dispatch!(
    /// Replaces each row of scores by exp(score - max), those beyond `keys` by 0.
    ///
    /// `scores` is `[queries, padded keys]`, with rows that may be farther apart; `lse` and `rsum`, one over the sum of
    /// the exponentials, are `[queries]`.
    pub(super) fn softmax(
        scores: &mut [f32], keys: usize, lse: &mut [f32], rsum: &mut [f32]
    ) = softmax_body
);
dispatch!(
    /// x += y, of any equal length.
    pub(super) fn add(x: &mut [f32], y: &[f32]) = add_body
);
dispatch!(
    /// x *= mask
    pub(super) fn multiply(x: &mut [f32], mask: &[f32]) = multiply_body
);
dispatch!(
    /// Replaces a row of scores by the masked probabilities, and one of `do . v` by the gradient ds.
    ///
    /// `scores`, `dp` and `mask` are `[padded keys]`, `(lse, delta)` belong to the query.
    pub(super) fn softmax_backward(
        scores: &mut [f32], dp: &mut [f32], mask: &[f32], saved: (f32, f32)
    ) = softmax_backward_body
);
dispatch!(
    /// x = factor x
    pub(super) fn scale(x: &mut [f32], factor: f32) = scale_body
);
dispatch!(
    /// The sum of `a[i] * b[i]`.
    pub(super) fn dot<E: Element>(a: &[E], b: &[E]) -> f32 = crate::simd::dot
);
dispatch!(
    /// y = x in the type of y.
    pub(super) fn round<E: Element>(x: &[f32], y: &mut [E]) = round_body
);

/// Pass by pass over all rows, not row by row: within a pass rows do not wait for one another, and the CPU
/// overlaps what each of them spends on adding up its lanes.
#[inline(always)]
fn softmax_body<S: Simd>(s: S, scores: &mut [f32], keys: usize, lse: &mut [f32], rsum: &mut [f32]) {
    let (stride, width) = (scores.len() / lse.len(), keys.next_multiple_of(MAX_LANES));
    let padding: [f32; MAX_LANES] =
        std::array::from_fn(|i| if width - MAX_LANES + i < keys { 0.0 } else { f32::NEG_INFINITY });
    for (row, max) in scores.chunks_exact_mut(stride).zip(&mut *lse) {
        let row = &mut row[..width];
        let last = row[width - MAX_LANES..].chunks_exact_mut(S::LANES);
        for (v, p) in last.zip(padding.chunks_exact(S::LANES)) {
            s.store(s.add(s.load(v), s.load(p)), v);
        }
        *max = max_of(s, row);
    }
    for ((row, &mut max), sum) in scores.chunks_exact_mut(stride).zip(&mut *lse).zip(&mut *rsum) {
        *sum = exponentials(s, &mut row[..width], max);
    }
    for (lse, rsum) in lse.iter_mut().zip(rsum) {
        *lse += rsum.ln();
        *rsum = 1.0 / *rsum;
    }
}

/// row = exp(row - max); returns the sum.
#[inline(always)]
fn exponentials<S: Simd>(s: S, row: &mut [f32], max: f32) -> f32 {
    let (max, mut sum) = (s.splat(max), s.splat(0.0));
    for v in row.chunks_exact_mut(S::LANES) {
        let e = math::exp(s, s.sub(s.load(v), max));
        sum = s.add(sum, e);
        s.store(e, v);
    }
    s.sum(sum)
}

#[inline(always)]
fn add_body<S: Simd>(s: S, x: &mut [f32], y: &[f32]) {
    map2_in_place(s, x, y, |x, y| s.add(x, y));
}

#[inline(always)]
fn multiply_body<S: Simd>(s: S, x: &mut [f32], mask: &[f32]) {
    for (x, m) in x.chunks_exact_mut(S::LANES).zip(mask.chunks_exact(S::LANES)) {
        s.store(s.mul(s.load(x), s.load(m)), x);
    }
}

#[inline(always)]
fn softmax_backward_body<S: Simd>(
    s: S,
    scores: &mut [f32],
    dp: &mut [f32],
    mask: &[f32],
    (lse, delta): (f32, f32),
) {
    let (lse, delta) = (s.splat(lse), s.splat(delta));
    let rows = scores.chunks_exact_mut(S::LANES).zip(dp.chunks_exact_mut(S::LANES));
    for ((p, ds), m) in rows.zip(mask.chunks_exact(S::LANES)) {
        let (probability, m) = (math::exp(s, s.sub(s.load(p), lse)), s.load(m));
        let dp = s.sub(s.mul(m, s.load(ds)), delta);
        s.store(s.mul(probability, dp), ds);
        s.store(s.mul(probability, m), p);
    }
}

#[inline(always)]
fn scale_body<S: Simd>(s: S, x: &mut [f32], factor: f32) {
    let factor = s.splat(factor);
    map_in_place(s, x, |v| s.mul(v, factor));
}

#[inline(always)]
fn round_body<S: Simd, E: Element>(s: S, x: &[f32], y: &mut [E]) {
    each_vector::<S>(x.len(), inlined!(|at, n| store(s, load(s, x, at, n), y, at, n)));
}
