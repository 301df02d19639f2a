//! Dropout: sets elements to zero with probability p and scales the others by 1 / (1 - p).
//!
//! ```text
//! mask_rc  = bits_rc >= round(p 2^32) ? 1 / (1 - p) : 0
//! forward   y_rc = mask_rc  x_rc
//! backward dx_rc = mask_rc dy_rc
//! ```
//!
//! Shapes: `[rows, cols] -> [rows, cols]`, f32; y may be bf16, as [`residual`](crate::residual) needs it. The bits are
//! [`philox`](crate::philox) at (row, column): the mask is never stored, the backward makes it again and is the same
//! function, applied to dy. A row's mask depends on its number alone, not on the rows beside it. p = 0 is the identity.
//! A dropped infinity or NaN gives NaN, as in PyTorch.
//!
//! Source: Srivastava et al., *Dropout: a simple way to prevent neural networks from overfitting*, JMLR 2014,
//! <https://jmlr.org/papers/v15/srivastava14a.html>. Above: `tensor/src/ops/dropout.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{Dropout, backward, forward};
pub(crate) use cpu::{drop_rows, mask_group};
