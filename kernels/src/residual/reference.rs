//! The definition, in f64: one op after the other.

use crate::dropout::{self, Dropout};

/// s = x + m u; all `[rows, h]`.
pub fn forward(x: &[f64], u: &[f64], dropout: Option<Dropout>, h: usize) -> Vec<f64> {
    x.iter().zip(dropped(u, dropout, h)).map(|(x, u)| x + u).collect()
}

/// du = m ds, both `[rows, h]`; dx is ds.
pub fn backward(ds: &[f64], dropout: Option<Dropout>, h: usize) -> Vec<f64> {
    dropped(ds, dropout, h)
}

fn dropped(x: &[f64], dropout: Option<Dropout>, h: usize) -> Vec<f64> {
    dropout.map_or_else(|| x.to_vec(), |d| dropout::reference::forward(d, x, h))
}
