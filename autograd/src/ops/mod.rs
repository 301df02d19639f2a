//! The derivative rules, one file per op: what the forward saves and what the backward makes of it.
//!
//! Most are methods of [`Var`](crate::Var); those with settings are functions here. The equations stand in
//! the module of the same name in `kernels`.

mod activation;
mod add_norm;
mod attention;
mod bce_with_logits;
mod cross_entropy;
mod disentangled_attention;
mod dropout;
mod elementwise;
mod embedding;
mod feed_forward;
mod gated;
mod layer_norm;
mod linear;
mod matmul;
mod mse;
mod pooling;
mod reduce;
mod residual;
mod rotary_attention;
mod softmax;
mod view;
mod weighted_cross_entropy;

pub use add_norm::add_norm;
pub use attention::attention;
pub use bce_with_logits::bce_with_logits;
pub use cross_entropy::cross_entropy;
pub use disentangled_attention::disentangled_attention;
pub use embedding::{embedding, embedding_add, lookup, lookup_add};
pub use feed_forward::{feed_forward, gated_feed_forward};
pub use layer_norm::layer_norm;
pub use linear::{adapted_linear, linear};
pub use mse::mse;
pub use residual::residual;
pub use rotary_attention::rotary_attention;
pub use tensor::ops::add_norm::AddNorm;
pub use tensor::ops::attention::Attention;
pub use tensor::ops::layer_norm::LayerNorm;
pub use tensor::ops::weighted_cross_entropy::Weighting;
pub use weighted_cross_entropy::weighted_cross_entropy;
