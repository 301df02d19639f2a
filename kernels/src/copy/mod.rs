//! A strided view copied to row-major order, on a card. (On the host `ndarray` does this.)
//!
//! ```text
//! y[i] = x[offset + sum over axes a of i_a strides_a]        i in row-major order of the shape
//! ```
//!
//! Transposed, narrowed and broadcast tensors are such views. There is no backward: the gradient of a view is
//! a view of the gradient, or a sum. Above: `tensor/src/convert.rs`.

pub mod cuda;
