//! Tensors: shape, strides, dtype and shared storage over the [`kernels`].
//!
//! A [`Tensor`] is an immutable, strided view of storage that other tensors may share: [`Tensor::reshape`],
//! [`Tensor::transpose`], [`Tensor::narrow`] and [`Tensor::broadcast_to`] copy nothing, but for the
//! reshape of a strided view. Arithmetic lives in
//! [`ops`], one file per op: it checks shapes, allocates the result and calls the kernel. `f32` runs the
//! fast kernels; `f64` runs their plain definitions, so that anything built on tensors can be checked in
//! double precision without a second implementation. Tensors that were brought to a GPU
//! ([`Tensor::to_device`]) are computed there.
//!
//! Nothing here records derivatives: that is the `autograd` crate, one layer up.
#![forbid(unsafe_code)]

mod arithmetic;
mod bytes;
mod convert;
mod device;
mod dtype;
mod error;
mod gpu_copies;
pub mod ops;
pub mod pool;
mod rotary_table;
mod rows;
pub mod safetensors;
mod seqlens;
mod shape;
mod storage;
mod tensor;
mod view;

pub use device::{Device, Later};
pub use dtype::{DType, Element};
pub use error::{Error, Result};
pub use rotary_table::RotaryTable;
pub use rows::Rows;
pub use seqlens::CuSeqLens;
pub use shape::broadcast_shapes;
pub use tensor::Tensor;

pub use kernels::activation::Activation;
pub use kernels::dropout::Dropout;
pub use kernels::elementwise::{Binary, Unary};
pub use kernels::isa;
pub use kernels::philox;
pub use kernels::pooling::Pooling;

/// The code blocks of the chapter are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
