//! The definition, in f64.

use crate::softmax;

/// The mean over rows of `-log softmax(x)[label]`; `logits` is `[rows, C]`, `labels` is `[rows]`.
pub fn forward(logits: &[f64], labels: &[u32]) -> f64 {
    let rows = logits.chunks(logits.len() / labels.len());
    let losses = rows.zip(labels).map(|(x, &label)| {
        let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = x.iter().map(|x| (x - max).exp()).sum();
        max - x[label as usize] + sum.ln()
    });
    losses.sum::<f64>() / labels.len() as f64
}

/// dlogits `[rows, C]`.
pub fn backward(logits: &[f64], labels: &[u32], dloss: f64) -> Vec<f64> {
    let cols = logits.len() / labels.len();
    let mut dlogits = softmax::reference::forward(logits, cols);
    for (row, &label) in dlogits.chunks_mut(cols).zip(labels) {
        row[label as usize] -= 1.0;
        row.iter_mut().for_each(|v| *v *= dloss / labels.len() as f64);
    }
    dlogits
}
