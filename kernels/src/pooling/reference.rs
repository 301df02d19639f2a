//! The definition, in f64.

use super::Pooling;

/// The weight of token `t` of a sequence of `len` tokens.
fn weight(op: Pooling, t: usize, len: usize) -> f64 {
    match op {
        Pooling::First => f64::from(u8::from(t == 0)),
        Pooling::Mean => 1.0 / len as f64,
    }
}

/// y `[B, H]` from `x` (`[T, H]`).
pub fn forward(op: Pooling, x: &[f64], cu_seqlens: &[u32], h: usize) -> Vec<f64> {
    let mut y = vec![0.0; (cu_seqlens.len() - 1) * h];
    for (y, ends) in y.chunks_mut(h).zip(cu_seqlens.windows(2)) {
        let (start, end) = (ends[0] as usize, ends[1] as usize);
        for t in start..end {
            for j in 0..h {
                y[j] += weight(op, t - start, end - start) * x[t * h + j];
            }
        }
    }
    y
}

/// dx `[T, H]` from `dy` (`[B, H]`).
pub fn backward(op: Pooling, dy: &[f64], cu_seqlens: &[u32], h: usize) -> Vec<f64> {
    let mut dx = Vec::new();
    for (dy, ends) in dy.chunks(h).zip(cu_seqlens.windows(2)) {
        let len = (ends[1] - ends[0]) as usize;
        dx.extend((0..len).flat_map(|t| dy.iter().map(move |dy| weight(op, t, len) * dy)));
    }
    dx
}
