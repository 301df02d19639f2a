//! The definition, in f64, one block of random words for each element.

use super::Dropout;
use crate::philox;

/// y = mask * x, both `[rows, cols]`; the backward is the same function of dy.
pub fn forward(d: Dropout, x: &[f64], cols: usize) -> Vec<f64> {
    x.iter().enumerate().map(|(i, x)| x * mask(d, i / cols, i % cols)).collect()
}

/// The factor of one element: 0 or 1 / (1 - p).
pub fn mask(d: Dropout, row: usize, col: usize) -> f64 {
    let p = f64::from(d.p);
    let counter = [col as u32 / 4, row as u32, d.key.site, d.key.step];
    let bits = philox::block(counter, philox::words(d.key.seed))[col % 4];
    let dropped = f64::from(bits) < (p * 2f64.powi(32)).round();
    if dropped { 0.0 } else { 1.0 / (1.0 - p) }
}
