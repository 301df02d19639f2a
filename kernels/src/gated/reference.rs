//! The definition, in f64.

use crate::activation::{Activation, reference};

/// y (`[M, F]`) from z (`[M, 2 F]`); `cols` is F.
pub fn forward(op: Activation, z: &[f64], cols: usize) -> Vec<f64> {
    let rows = z.chunks(2 * cols).map(|z| z.split_at(cols));
    rows.flat_map(|(a, g)| product(&reference::forward(op, a), g)).collect()
}

/// dz (`[M, 2 F]`) from z and dy (`[M, F]`).
pub fn backward(op: Activation, z: &[f64], dy: &[f64], cols: usize) -> Vec<f64> {
    let mut dz = Vec::with_capacity(z.len());
    for (z, dy) in z.chunks(2 * cols).zip(dy.chunks(cols)) {
        let (a, g) = z.split_at(cols);
        dz.extend(reference::backward(op, a, &product(dy, g)));
        dz.extend(product(dy, &reference::forward(op, a)));
    }
    dz
}

fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}
