//! Row by row. Each task adds up its rows' losses in f64; the tasks' sums are added in order.

use rayon::prelude::*;

use crate::parallel::rows_per_task;
use crate::simd::{Simd, dispatch, inlined, map, math, max_of, sum_of};

/// The mean loss; `logits` is `[rows, C]`, `labels` and `rsum` (written, for the backward) are `[rows]`.
///
/// # Panics
/// When there are no rows, the lengths do not fit or a label is not below C.
pub fn forward(logits: &[f32], labels: &[u32], rsum: &mut [f32]) -> f32 {
    let cols = columns(logits, labels, rsum);
    let n = rows_per_task(cols);
    let sums: Vec<f64> = logits
        .par_chunks(n * cols)
        .zip(labels.par_chunks(n).zip(rsum.par_chunks_mut(n)))
        .map(|(logits, (labels, rsum))| forward_rows(logits, labels, rsum))
        .collect();
    (sums.iter().sum::<f64>() / labels.len() as f64) as f32
}

/// dlogits (`[rows, C]`) from the gradient of the mean loss.
///
/// # Panics
/// As [`forward`].
pub fn backward(logits: &[f32], labels: &[u32], rsum: &[f32], dloss: f32, dlogits: &mut [f32]) {
    let cols = columns(logits, labels, rsum);
    assert!(logits.len() == dlogits.len(), "cross_entropy: lengths");
    let scale = (f64::from(dloss) / labels.len() as f64) as f32;
    let n = rows_per_task(cols);
    logits
        .par_chunks(n * cols)
        .zip(labels.par_chunks(n).zip(rsum.par_chunks(n)))
        .zip(dlogits.par_chunks_mut(n * cols))
        .for_each(|((logits, (labels, rsum)), dlogits)| {
            backward_rows(logits, labels, rsum, scale, dlogits);
        });
}

fn columns(logits: &[f32], labels: &[u32], rsum: &[f32]) -> usize {
    assert!(!labels.is_empty() && labels.len() == rsum.len(), "cross_entropy: rows");
    assert!(logits.len().is_multiple_of(labels.len()), "cross_entropy: lengths");
    let cols = logits.len() / labels.len();
    assert!(labels.iter().all(|&l| (l as usize) < cols), "cross_entropy: expected labels < {cols}");
    cols
}

dispatch!(fn forward_rows(logits: &[f32], labels: &[u32], rsum: &mut [f32]) -> f64 = forward_body);
dispatch!(fn backward_rows(
    logits: &[f32], labels: &[u32], rsum: &[f32], scale: f32, dlogits: &mut [f32]
) = backward_body);

#[inline(always)]
fn forward_body<S: Simd>(s: S, logits: &[f32], labels: &[u32], rsum: &mut [f32]) -> f64 {
    let rows = logits.chunks_exact(logits.len() / labels.len());
    let mut total = 0.0;
    for ((x, &label), rsum) in rows.zip(labels).zip(rsum) {
        let max = max_of(s, x);
        let centre = s.splat(max);
        let sum = sum_of(s, x, f32::NEG_INFINITY, inlined!(|v| math::exp(s, s.sub(v, centre))));
        *rsum = 1.0 / sum;
        total += f64::from(max) - f64::from(x[label as usize]) + f64::from(sum).ln();
    }
    total
}

#[inline(always)]
fn backward_body<S: Simd>(
    s: S,
    logits: &[f32],
    labels: &[u32],
    rsum: &[f32],
    scale: f32,
    dlogits: &mut [f32],
) {
    let cols = logits.len() / labels.len();
    let rows = logits.chunks_exact(cols).zip(dlogits.chunks_exact_mut(cols));
    for ((x, dx), (&label, &rsum)) in rows.zip(labels.iter().zip(rsum)) {
        let (max, factor) = (s.splat(max_of(s, x)), s.splat(scale * rsum));
        map(s, x, dx, inlined!(|v| s.mul(factor, math::exp(s, s.sub(v, max)))));
        dx[label as usize] -= scale;
    }
}
