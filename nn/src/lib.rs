//! Layers: named parameters and how they are applied.
//!
//! A layer owns its [`Param`]s under the names of a checkpoint and has a `forward` that takes a [`Pass`]
//! (the tape and, in training, the dropout key) and variables. There is no padding anywhere: hidden states
//! are `[T, H]`, all tokens of the batch one below the other, and only attention, positions and pooling
//! know where sequences begin ([`tensor::CuSeqLens`]).
//!
//! Read `linear.rs`, then `attention.rs` and `transformer.rs`, which put the pieces together, and `pre_norm.rs`, which
//! does it as ModernBERT does.
#![forbid(unsafe_code)]

mod attention;
mod dropout;
mod embedding;
pub mod init;
mod layer_norm;
mod linear;
mod lora;
pub mod loss;
mod module;
mod pass;
mod pre_norm;
mod relative_bias;
mod relative_position;
mod relative_vectors;
mod transformer;

pub use attention::SelfAttention;
pub use autograd::{Error, Param, Result};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use init::{Init, Initializer};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use lora::{Lora, LoraConfig};
pub use module::{Module, count, freeze, to_device};
pub use pass::{Pass, Precision};
pub use pre_norm::{PreNormConfig, PreNormLayer};
pub use relative_bias::RelativeBias;
pub use relative_position::RelativePosition;
pub use relative_vectors::{RelativeVectors, RelativeVectorsConfig};
pub use transformer::{LayerConfig, TransformerLayer};

/// The code blocks of the chapter are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
