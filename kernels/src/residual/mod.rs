//! The sum of a residual stream and an update, with dropout of the update: the end of both halves of a pre-norm
//! transformer layer.
//!
//! ```text
//! forward    s  = x + m u                   m: dropout mask, 0 or 1 / (1 - p); 1 without dropout
//! backward   dx = ds      du = m ds
//! ```
//!
//! Shapes: x, u and s `[rows, H]`. The stream, x and s, is f32 whatever hidden states are: each layer adds to it, and
//! small updates of large values would be lost in bf16. u and du are f32 or bf16. It equals
//! [`dropout`](crate::dropout), a conversion and a sum one after the other, whose results would go to memory and back
//! between them. Nothing is saved, the mask is made again: the backward is dropout of ds, rounded to the type of u.
//! Without dropout no kernel is needed for that: du is ds, converted.
//!
//! Sources: He et al., *Deep residual learning for image recognition*, 2015, <https://arxiv.org/abs/1512.03385>; Xiong
//! et al., *On layer normalization in the Transformer architecture*, 2020, <https://arxiv.org/abs/2002.04745>.
//! Above: `tensor/src/ops/residual.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{backward, forward};
