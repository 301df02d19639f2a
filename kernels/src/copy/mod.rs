//! Copies: a strided view to row-major order, and tensors side by side.
//!
//! ```text
//! row_major       y[i] = x[offset + sum over axes a of i_a strides_a]     i in row-major order of the shape
//! side_by_side    y[r, widths of the parts before p + c] = x_p[r, c]
//! ```
//!
//! Transposed, narrowed and broadcast tensors are views. There is no backward: the gradient of a view is a view of
//! the gradient, or a sum, and that of parts are parts. Above: `tensor/src/convert.rs`,
//! `tensor/src/ops/concat.rs`.

mod cpu;
pub mod cuda;

pub use cpu::{row_major, side_by_side};
