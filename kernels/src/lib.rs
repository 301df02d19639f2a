//! The arithmetic of a transformer: every op forward and backward, over plain slices and over arrays of a GPU.
//!
//! An op is a folder: `mod.rs` holds the equations, `reference.rs` the plain definition in f64, `cpu.rs`
//! the kernel that runs; `cuda.rs` and a file in CUDA C are the kernel for a GPU ([`cuda`]). Nothing here knows
//! of tensors, graphs or layers. Slices are row-major; a matrix `[rows, cols]` is a slice of `rows * cols`
//! elements. Lengths that do not fit are bugs of the caller and panic; the `tensor` crate checks shapes and
//! returns errors before it calls.
//!
//! Start with [`softmax`] (a whole kernel on one page), then [`layer_norm`], [`matmul`] and [`attention`].

pub mod activation;
pub mod adamw;
pub mod add_norm;
pub mod attention;
pub mod bce_with_logits;
pub mod copy;
pub mod cross_entropy;
pub mod cuda;
pub mod dropout;
pub mod elementwise;
pub mod embedding;
pub mod gated;
pub mod layer_norm;
pub mod matmul;
pub mod mse;
pub mod philox;
pub mod pooling;
pub mod reduce;
pub mod residual;
pub mod rotary;
pub mod softmax;
pub mod weighted_cross_entropy;

pub mod isa;
mod parallel;
#[doc(hidden)]
pub mod peak;
mod simd;
#[doc(hidden)]
pub mod testing;

pub use half::bf16;
pub use simd::Element;

/// The code blocks of the chapter are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
