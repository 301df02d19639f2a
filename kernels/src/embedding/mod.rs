//! Embedding: one row of a table for each token.
//!
//! ```text
//! forward    y_t = table[ids_t], on a GPU also x_t + table[ids_t]
//! backward   dtable[i] += sum over the tokens t with ids_t = i of dy_t
//! ```
//!
//! Shapes: table `[V, H]`, ids `[T]` -> y `[T, H]`. The backward adds to what dtable holds. It sorts the
//! tokens by id; each id belongs to one task, which adds its tokens in ascending order: same bits, any
//! thread count. Of dtable only the rows of the batch's R distinct ids differ from zero: `distinct` numbers them, by
//! marks in a list of V, and a table of R rows takes their sums, in the same order.
//!
//! Source: Bengio et al., *A neural probabilistic language model*, JMLR 2003,
//! <https://www.jmlr.org/papers/v3/bengio03a.html>. Above: `tensor/src/ops/embedding.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{backward, distinct, forward};
