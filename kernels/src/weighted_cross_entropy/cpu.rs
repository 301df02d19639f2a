//! Row by row. Each task adds up its rows' losses in f64; the tasks' sums are added in order.

use rayon::prelude::*;

use super::Weighting;
use crate::parallel::rows_per_task;
use crate::simd::{Simd, dispatch, inlined, map, math, max_of, sum_of};

/// The loss; `logits` is `[rows, C]`, `labels` and `rsum` (written, for the backward) are `[rows]`.
///
/// # Panics
/// When there are no rows, the lengths do not fit or a label is not below C.
pub fn forward(logits: &[f32], labels: &[u32], weighting: &Weighting, rsum: &mut [f32]) -> f32 {
    let cols = weighting.columns(logits.len(), labels);
    assert!(labels.len() == rsum.len(), "weighted_cross_entropy: rows");
    let n = rows_per_task(cols);
    let sums: Vec<f64> = logits
        .par_chunks(n * cols)
        .zip(labels.par_chunks(n).zip(rsum.par_chunks_mut(n)))
        .map(|(logits, (labels, rsum))| forward_rows(logits, labels, weighting, rsum))
        .collect();
    (sums.iter().sum::<f64>() / weighting.total(labels)) as f32
}

/// dlogits (`[rows, C]`) from the gradient of the loss.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    logits: &[f32],
    labels: &[u32],
    weighting: &Weighting,
    rsum: &[f32],
    dloss: f32,
    dlogits: &mut [f32],
) {
    let cols = weighting.columns(logits.len(), labels);
    assert!(labels.len() == rsum.len(), "weighted_cross_entropy: rows");
    assert!(logits.len() == dlogits.len(), "weighted_cross_entropy: lengths");
    let target = &Target::new(weighting, f64::from(dloss) / weighting.total(labels));
    let n = rows_per_task(cols);
    logits
        .par_chunks(n * cols)
        .zip(labels.par_chunks(n).zip(rsum.par_chunks(n)))
        .zip(dlogits.par_chunks_mut(n * cols))
        .for_each(|((logits, (labels, rsum)), dlogits)| {
            backward_rows(logits, labels, target, rsum, dlogits);
        });
}

/// A target times dloss / W, for each class that its label may be.
struct Target {
    /// What the label has before the smoothing, `[C]`.
    own: Vec<f32>,
    /// What each class has of every target, `[C]`; empty without smoothing.
    shared: Vec<f32>,
    /// All of it, `[C]`.
    whole: Vec<f32>,
}

impl Target {
    fn new(weighting: &Weighting, scale: f64) -> Self {
        let (own, share) = (|c| scale * weighting.own(c), scale * weighting.share());
        let all = share * weighting.weights.iter().sum::<f64>();
        let classes = 0..weighting.weights.len();
        let smooth = weighting.weights.iter().filter(|_| weighting.is_smooth());
        Self {
            own: classes.clone().map(|c| own(c) as f32).collect(),
            shared: smooth.map(|w| (share * w) as f32).collect(),
            whole: classes.map(|c| (own(c) + all) as f32).collect(),
        }
    }
}

dispatch!(fn forward_rows(
    logits: &[f32], labels: &[u32], weighting: &Weighting, rsum: &mut [f32]
) -> f64 = forward_body);
dispatch!(fn backward_rows(
    logits: &[f32], labels: &[u32], target: &Target, rsum: &[f32], dlogits: &mut [f32]
) = backward_body);

#[inline(always)]
fn forward_body<S: Simd>(
    s: S,
    logits: &[f32],
    labels: &[u32],
    weighting: &Weighting,
    rsum: &mut [f32],
) -> f64 {
    let rows = logits.chunks_exact(weighting.weights.len());
    let mut total = 0.0;
    for ((x, &label), rsum) in rows.zip(labels).zip(rsum) {
        let max = max_of(s, x);
        let centre = s.splat(max);
        let sum = sum_of(s, x, f32::NEG_INFINITY, inlined!(|v| math::exp(s, s.sub(v, centre))));
        *rsum = 1.0 / sum;
        total += row_loss(x, label as usize, weighting, (f64::from(max), f64::from(sum).ln()));
    }
    total
}

/// From the maximum of the row and the logarithm of the sum of the shifted exponentials.
#[inline(always)]
fn row_loss(x: &[f32], label: usize, weighting: &Weighting, (max, log_sum): (f64, f64)) -> f64 {
    let of_class = |x: f32| max - f64::from(x) + log_sum;
    let of_label = weighting.own(label) * of_class(x[label]);
    match weighting.is_smooth() {
        true => {
            let all = x.iter().zip(&weighting.weights).map(|(&x, w)| w * of_class(x));
            of_label + weighting.share() * all.sum::<f64>()
        }
        false => of_label,
    }
}

#[inline(always)]
fn backward_body<S: Simd>(
    s: S,
    logits: &[f32],
    labels: &[u32],
    target: &Target,
    rsum: &[f32],
    dlogits: &mut [f32],
) {
    let cols = target.own.len();
    let rows = logits.chunks_exact(cols).zip(dlogits.chunks_exact_mut(cols));
    for ((x, dx), (&label, &rsum)) in rows.zip(labels.iter().zip(rsum)) {
        let label = label as usize;
        let (max, factor) = (s.splat(max_of(s, x)), s.splat(target.whole[label] * rsum));
        map(s, x, dx, inlined!(|v| s.mul(factor, math::exp(s, s.sub(v, max)))));
        dx.iter_mut().zip(&target.shared).for_each(|(dx, shared)| *dx -= shared);
        dx[label] -= target.own[label];
    }
}
