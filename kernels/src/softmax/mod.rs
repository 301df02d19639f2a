//! Softmax over the last axis.
//!
//! ```text
//! forward    y_j  = exp(x_j - max x) / sum_k exp(x_k - max x)
//! backward   dx_j = y_j (dy_j - sum_k y_k dy_k)
//! ```
//!
//! Shapes: `[rows, cols] -> [rows, cols]`. The maximum is taken away first, so that no exponential
//! overflows; a row of only -inf gives NaN, as in PyTorch. The backward needs y alone, not x.
//!
//! Source: Bridle, *Probabilistic interpretation of feedforward classification network outputs*, 1990.
//! Above: `tensor/src/ops/softmax.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{backward, forward};
