//! Sums and maxima, of everything, of rows and of columns.
//!
//! ```text
//! sum            y   = sum_i x_i              dx_i  = dy
//! sum_squares    y   = sum_i x_i^2            dx_i  = 2 x_i dy
//! column_sums    y_j = sum over rows of x_rj  dx_rj = dy_j
//! row_sums       y_r = sum_j x_rj             dx_rj = dy_r
//! row_max        y_r = max_j x_rj             dx_rj = dy_r at j = row_argmax, else 0
//! ```
//!
//! Shapes: `[n] -> []`, `[rows, cols] -> [cols]` and `[rows, cols] -> [rows]`. Sums of everything and of rows
//! are kept in f64, in 32 lanes whatever the instruction set, and rounded once; sums of columns in f32, in
//! blocks of rows. The shape alone decides on the order of additions. In maxima a NaN counts as the greatest
//! number, as in PyTorch.
//!
//! Source: pairwise summation after Higham, *The accuracy of floating point summation*, 1993,
//! <https://doi.org/10.1137/0914050>. Above: `tensor/src/ops/reduce.rs`.

mod cpu;
pub mod cuda;
mod mean_loss;
pub mod reference;

pub use cpu::{column_sums, max, row_argmax, row_max, row_sums, sum, sum_squares};
pub(crate) use mean_loss::MeanLoss;
