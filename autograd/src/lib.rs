//! Reverse-mode differentiation: a tape of what was computed, and the walk back along it.
//!
//! ```
//! use autograd::{Param, Tape, Tensor};
//! # fn main() -> autograd::Result<()> {
//! let w = Param::new("w", Tensor::from_vec(vec![2.0f32, 3.0], &[2])?);
//! let tape = Tape::new();
//! let w_var = tape.param(&w);
//! let loss = w_var.mul(&w_var)?.sum()?; // w_0^2 + w_1^2
//! let grads = loss.backward()?;
//! assert_eq!(grads.param(&w).unwrap().to_vec::<f32>()?, [4.0, 6.0]);
//! # Ok(()) }
//! ```
//!
//! A [`Var`] is a tensor and, if a derivative may flow to it, its place on a [`Tape`]. An op that involves
//! such a place records itself with [`record`]: its name, its inputs and a function from the gradient of
//! its output to one gradient per input. [`Var::backward`] walks the tape from the end and returns
//! [`Gradients`]. Read `tape.rs` first, then any file of `ops/`, then [`gradcheck`], which tests them all
//! and will test yours.
#![forbid(unsafe_code)]

mod error;
pub mod gradcheck;
mod gradient;
mod gradients;
pub mod ops;
mod param;
mod recompute;
mod tape;
mod var;

pub use error::{Error, Result};
pub use gradient::Gradient;
pub use gradients::Gradients;
pub use param::Param;
pub use recompute::recompute;
pub use tape::{Tape, record};
pub use tensor::Tensor;
pub use var::Var;

/// The code blocks of the chapter are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
