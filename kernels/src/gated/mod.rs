//! The gated linear unit with an activation f: one half of each row, activated, lets the other half through.
//!
//! ```text
//! forward    y  = f(a) g          z = [a, g] along each row
//! backward   da = f'(a) (dy g)    dg = dy f(a)      dz = [da, dg]
//! ```
//!
//! Shapes: `[M, 2 F] -> [M, F]`. The backward computes f and its derivative from a again, and with them y, for those
//! who kept z and not y: the feed-forward layer f(x w^T) (x u^T) v^T makes z in one product, of w and u one below the
//! other. With f = sigmoid it is the unit of Dauphin et al.; with GELU it is GEGLU.
//!
//! Numerics: those of f ([`activation`](crate::activation)); products are f32, rounded once where y is bf16.
//!
//! Source: Shazeer, *GLU variants improve transformer*, 2020, <https://arxiv.org/abs/2002.05202>.
//! Above: `tensor/src/ops/gated.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{backward, backward_and_value, forward};
