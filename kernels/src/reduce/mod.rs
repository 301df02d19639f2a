//! Sums of everything and of columns, and the place of the greatest of a row.
//!
//! ```text
//! sum            y   = sum_i x_i              dx_i  = dy
//! sum_squares    y   = sum_i x_i^2            dx_i  = 2 x_i dy
//! column_sums    y_j = sum over rows of x_rj  dx_rj = dy_j
//! row_argmax     y_r = the first j with the greatest x_rj
//! ```
//!
//! Shapes: `[n] -> []`, `[rows, cols] -> [cols]` and `[rows, cols] -> [rows]`. Sums of everything are kept in
//! f64, in 32 lanes whatever the instruction set, and rounded once; sums of columns in f32, in blocks of rows. The
//! shape alone decides on the order of additions. A NaN counts as the greatest number, as in PyTorch.
//!
//! Source: pairwise summation after Higham, *The accuracy of floating point summation*, 1993,
//! <https://doi.org/10.1137/0914050>. Above: `tensor/src/ops/reduce.rs`.

mod cpu;
pub mod cuda;
mod mean_loss;
pub mod reference;

pub use cpu::{column_sums, row_argmax, sum, sum_squares};
pub(crate) use mean_loss::MeanLoss;
