//! The definition, in f64.

use super::Weighting;
use crate::softmax;

/// The loss; `logits` is `[rows, C]`, `labels` is `[rows]`.
pub fn forward(logits: &[f64], labels: &[u32], weighting: &Weighting) -> f64 {
    let Weighting { weights, label_smoothing } = weighting;
    let rows = logits.chunks(weights.len());
    let losses = rows.zip(labels).map(|(x, &label)| {
        let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = x.iter().map(|x| (x - max).exp()).sum();
        let of_class = |c: usize| weights[c] * (max - x[c] + sum.ln());
        let of_label = of_class(label as usize);
        // Without smoothing, the others are not there: 0 times the loss of a class may be NaN.
        if *label_smoothing == 0.0 {
            return of_label;
        }
        let of_all: f64 = (0..x.len()).map(of_class).sum();
        (1.0 - label_smoothing) * of_label + label_smoothing / x.len() as f64 * of_all
    });
    losses.sum::<f64>() / weighting.total(labels)
}

/// dlogits `[rows, C]`.
pub fn backward(logits: &[f64], labels: &[u32], weighting: &Weighting, dloss: f64) -> Vec<f64> {
    let Weighting { weights, label_smoothing } = weighting;
    let (cols, scale) = (weights.len(), dloss / weighting.total(labels));
    let mut dlogits = softmax::reference::forward(logits, cols);
    for (row, &label) in dlogits.chunks_mut(cols).zip(labels) {
        let target = |c: usize| {
            let own = if c == label as usize { 1.0 - label_smoothing } else { 0.0 };
            weights[c] * (own + label_smoothing / cols as f64)
        };
        let whole: f64 = (0..cols).map(target).sum();
        for (c, v) in row.iter_mut().enumerate() {
            *v = scale * (whole * *v - target(c));
        }
    }
    dlogits
}
