//! Every op on a CUDA card against its definition in f64, whole models on the card against the CPU.
//!
//! Where there is no card they are skipped, and `emulated.rs` runs them in processes of their own, in which an
//! emulated one stands in for driver and compiler.

mod activation;
mod adamw;
mod add_norm;
mod attention;
mod bce_with_logits;
mod copy;
mod cross_entropy;
mod dropout;
mod elementwise;
mod embedding;
mod emulated;
mod layer_norm;
mod linear;
mod matmul;
mod mean_losses;
mod memory;
mod model;
mod mse;
mod pooling;
mod program;
mod reduce;
mod softmax;
