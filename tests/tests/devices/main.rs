//! Every op on a CUDA GPU against its definition in f64, whole models on the GPU against the CPU.
//!
//! They need a GPU and are ignored where cargo starts them: `runs.rs` runs them, in processes of their own, on the GPU
//! of this machine and on emulated ones.

mod activation;
mod adamw;
mod add_norm;
mod attention;
mod attention_by_distance;
mod bce_with_logits;
mod copy;
mod cross_entropy;
mod dropout;
mod elementwise;
mod embedding;
mod gated;
mod layer_norm;
mod linear;
mod lora;
mod matmul;
mod mean_losses;
mod memory;
mod model;
mod mse;
mod pooling;
mod program;
mod reduce;
mod residual;
mod rotary;
mod runs;
mod softmax;
mod trust;
mod weighted_cross_entropy;
