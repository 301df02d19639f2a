//! Pooling: one vector for each sequence, its first token or the mean of its tokens.
//!
//! ```text
//! First   forward    y_b  = x_t of the first t of b
//!         backward   dx_t = dy_b for the first t of b, 0 for the others
//! Mean    forward    y_b  = 1/len_b sum over t in b of x_t
//!         backward   dx_t = dy_b / len_b
//! ```
//!
//! Shapes: `[T, H] -> [B, H]`; sequence b is the tokens `cu_seqlens[b]..cu_seqlens[b + 1]`. The mean adds
//! tokens in ascending order.
//!
//! Source: First (`[CLS]`) is Devlin et al., *BERT*, 2018, <https://arxiv.org/abs/1810.04805>; Mean is Reimers,
//! Gurevych, *Sentence-BERT*, 2019, <https://arxiv.org/abs/1908.10084>. Above: `tensor/src/ops/pooling.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{Pooling, backward, forward};
