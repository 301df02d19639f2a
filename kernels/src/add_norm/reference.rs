//! The definition, in f64: one op after the other.

use crate::dropout::{self, Dropout};
use crate::layer_norm;

/// z = r + m x; all `[rows, H]`.
pub fn sum(x: &[f64], r: &[f64], dropout: Option<Dropout>, h: usize) -> Vec<f64> {
    let dropped = dropout.map_or_else(|| x.to_vec(), |d| dropout::reference::forward(d, x, h));
    dropped.iter().zip(r).map(|(x, r)| x + r).collect()
}

/// y `[rows, H]` from z, with `w` and `b` (`[H]`).
pub fn forward(z: &[f64], w: &[f64], b: &[f64], eps: f64) -> Vec<f64> {
    layer_norm::reference::forward(z, w, b, eps)
}

/// dx and dr (`[rows, H]`), dw and db (`[H]`).
pub fn backward(
    z: &[f64],
    w: &[f64],
    dy: &[f64],
    eps: f64,
    dropout: Option<Dropout>,
) -> [Vec<f64>; 4] {
    let (dr, dw, db) = layer_norm::reference::backward(z, w, dy, eps);
    let dx = dropout.map_or_else(|| dr.clone(), |d| dropout::reference::forward(d, &dr, w.len()));
    [dx, dr, dw, db]
}
