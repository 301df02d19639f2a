//! What happens to one row of scores. Rows are padded to whole vectors.

use crate::simd::{MAX_LANES, Simd, dispatch, map_in_place, math};

dispatch!(
    /// Replaces a row of scores by `mask * exp(score - max)`; returns (lse, 1 / sum of the exponentials).
    ///
    /// `scores` and `mask` are `[padded keys]`; scores beyond `keys` become 0.
    pub(super) fn softmax(
        scores: &mut [f32], keys: usize, mask: &[f32]
    ) -> (f32, f32) = softmax_body
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
    pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 = crate::simd::dot
);

#[inline(always)]
fn softmax_body<S: Simd>(s: S, scores: &mut [f32], keys: usize, mask: &[f32]) -> (f32, f32) {
    scores[keys..].fill(f32::NEG_INFINITY);
    let mut greatest = s.splat(f32::NEG_INFINITY);
    for v in scores.chunks_exact(S::LANES) {
        greatest = s.max(greatest, s.load(v));
    }
    let max = max_lane(s, greatest);
    let (shift, mut sum) = (s.splat(max), s.splat(0.0));
    for (v, m) in scores.chunks_exact_mut(S::LANES).zip(mask.chunks_exact(S::LANES)) {
        let e = math::exp(s, s.sub(s.load(v), shift));
        sum = s.add(sum, e);
        s.store(s.mul(e, s.load(m)), v);
    }
    let sum = s.sum(sum);
    (max + sum.ln(), 1.0 / sum)
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

/// The greatest lane, halving the vector at each step.
#[inline(always)]
fn max_lane<S: Simd>(s: S, v: S::F) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; MAX_LANES];
    s.store(v, &mut lanes);
    let mut half = MAX_LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = if lanes[i] > lanes[i + half] { lanes[i] } else { lanes[i + half] };
        }
        half /= 2;
    }
    lanes[0]
}
