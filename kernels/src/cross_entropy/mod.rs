//! Softmax and cross-entropy in one: the mean over rows of `-log softmax(logits)[label]`.
//!
//! ```text
//! forward    m_r        = max_c x_rc
//!            rsum_r     = 1 / sum_c exp(x_rc - m_r)
//!            loss       = 1/rows sum_r (m_r - x_r,label_r - log rsum_r)
//! backward   dlogits_rc = dloss / rows (rsum_r exp(x_rc - m_r) - [c = label_r])
//! ```
//!
//! Shapes: logits `[rows, C]`, labels `[rows]` -> one number; rsum, saved for the backward, `[rows]`. Both
//! directions begin a row with its maximum, which leaves it in the cache: a log-sum-exp saved instead would be
//! as large as the logits and, in f32, off by |lse| 2^-24. So loss (summed in f64) and gradient are as exact
//! for logits near 3e38 as for those near 0. A row with +inf or only -inf gives NaN, as in PyTorch.
//!
//! Source: Bridle, *Probabilistic interpretation of feedforward classification network outputs*, 1990.
//! Above: `tensor/src/ops/cross_entropy.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{backward, forward};
