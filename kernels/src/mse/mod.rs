//! Mean squared error, over all elements.
//!
//! ```text
//! forward    loss = 1/n sum_i (x_i - t_i)^2
//! backward   dx_i = dloss 2/n (x_i - t_i)
//! ```
//!
//! Shapes: x and target t of the same n elements -> one number. Sums beyond 1024 elements are kept in f64.
//!
//! Source: Legendre, *Nouvelles méthodes pour la détermination des orbites des comètes*, 1805.
//! Above: `tensor/src/ops/mse.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{backward, forward};
