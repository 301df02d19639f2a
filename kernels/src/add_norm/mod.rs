//! Dropout, residual sum and layer normalization in one pass each way: the end of both halves of a transformer
//! layer.
//!
//! ```text
//! forward    z  = r + m x                   m: dropout mask, 0 or 1 / (1 - p)
//!            y  = xhat w + b                xhat = (z - mean) rstd, along each row
//! backward   dz = rstd (g - mean(g) - xhat mean(g xhat)), g = w dy
//!            dr = dz      dx = m dz
//!            dw = sum over rows of dy xhat      db = sum over rows of dy
//! ```
//!
//! Shapes: x, r, y and z `[rows, H]`; w and b `[H]`; mean and rstd `[rows]`. z, mean and rstd are saved for the
//! backward, which makes the mask again. It equals [`dropout`](crate::dropout), a sum and
//! [`layer_norm`](crate::layer_norm) one after the other, whose results would go to memory and back between them.
//! Where activations are bf16, z is rounded before its statistics are taken: both directions see the same z.
//!
//! Source: Vaswani et al., *Attention is all you need*, 2017, <https://arxiv.org/abs/1706.03762>, "Add & Norm".
//! Above: `tensor/src/ops/add_norm.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{Gradients, Input, Output, Saved, backward, forward};
