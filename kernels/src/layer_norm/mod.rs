//! Layer normalization over the last axis.
//!
//! ```text
//! forward    xhat_j = (x_j - mean) rstd      rstd = 1 / sqrt(var + eps)      var = mean of (x - mean)^2
//!            y_j    = w_j xhat_j + b_j
//! backward   g_j    = w_j dy_j
//!            dx_j   = rstd (g_j - mean_k g_k - xhat_j mean_k (g_k xhat_k))
//!            dw_j   = sum over rows of dy_j xhat_j
//!            db_j   = sum over rows of dy_j
//! ```
//!
//! Shapes: x `[rows, H] -> [rows, H]`; w and b `[H]`; mean and rstd, saved for the backward, `[rows]`. The
//! variance is a second pass over the centred row: no cancellation for rows far from zero. x, dx and all parameters are
//! f32; y and dy are f32, or bf16 where hidden states are: then only what is stored is rounded.
//!
//! Source: Ba, Kiros, Hinton, *Layer Normalization*, 2016, <https://arxiv.org/abs/1607.06450>.
//! Above: `tensor/src/ops/layer_norm.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub(crate) use cpu::{Row, add_params, backward_row, normalize_row, rstd_of};
pub use cpu::{Saved, backward_input, backward_params, forward};
