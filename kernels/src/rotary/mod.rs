//! Rotary position embeddings: queries and keys are turned by angles that grow with their place in the sequence, while
//! the packed product of a layer is split into queries, keys and values.
//!
//! ```text
//! split   y_i = x_i cos a - x_j sin a        dx_i = dy_i cos a + dy_j sin a   join
//!         y_j = x_j cos a + x_i sin a        dx_j = dy_j cos a - dy_i sin a
//!         for heads of q and k; v = x        for heads of dq and dk; dx = dv
//!
//! a = p theta^(-2i / D)      i < D/2, j = i + D/2      p: place of the token in its sequence, from 0
//! ```
//!
//! Shapes: split takes `[T, 3 N D]` (queries of all N heads, then keys, then values) to q, k and v, `[T, N D]` each;
//! join, its backward, takes dq, dk and dv to `[T, 3 N D]`. A turn by a is undone by one by -a, and q turned at place p
//! times k turned at place r depends on p - r alone: that is the point of it.
//!
//! Numerics: cosines and sines come from a table, of angles in f64, rounded once; arithmetic is f32. Pairs are those of
//! GPT-NeoX and of the checkpoints in transformers, i and i + D/2; the paper's are neighbours.
//!
//! Source: Su et al., *RoFormer: Enhanced transformer with rotary position embedding*, 2021,
//! <https://arxiv.org/abs/2104.09864>. Above: `tensor/src/ops/rotary.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{Rotary, join, split};

/// What heads are turned by at each place below `places`: `[P, D]`, in a row D/2 cosines and then D/2 sines.
pub fn table(head_dim: usize, theta: f64, places: usize) -> Vec<f32> {
    let frequencies = reference::frequencies(head_dim, theta);
    let mut table = Vec::with_capacity(places * head_dim);
    for place in 0..places {
        let angles = frequencies.iter().map(|frequency| place as f64 * frequency);
        table.extend(angles.clone().map(|a| a.cos() as f32));
        table.extend(angles.map(|a| a.sin() as f32));
    }
    table
}
