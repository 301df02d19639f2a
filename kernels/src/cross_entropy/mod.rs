//! Softmax and cross-entropy in one: the mean over rows of -log softmax(logits)[label].
//!
//! ```text
//! forward    lse_r      = log sum_c exp(x_rc)
//!            loss       = 1/rows sum_r (lse_r - x_r,label_r)
//! backward   dlogits_rc = dloss / rows (exp(x_rc - lse_r) - [c = label_r])
//! ```
//!
//! Shapes: logits `[rows, C]`, labels `[rows]` -> one number; lse, saved for the backward, `[rows]`. The
//! row's maximum is taken away before the exponentials; the loss is the sum of (max - x_label) and the
//! logarithm, in f64, so that it stays exact when all logits are large. The backward has lse as an f32: its
//! probabilities have a relative error of |lse| 2^-24. A row with +inf or only -inf gives NaN, as in PyTorch.
//!
//! Source: Bridle, *Probabilistic interpretation of feedforward classification network outputs*, 1990.
//! Above: `tensor/src/ops/cross_entropy.rs`.

mod cpu;
pub mod reference;

pub use cpu::{backward, forward};
