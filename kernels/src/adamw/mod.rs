//! AdamW: one update of the weights from their gradients; Adam when the weight decay is 0.
//!
//! ```text
//! g  = grad_scale g
//! w -= lr weight_decay w
//! m  = beta1 m + (1 - beta1) g            mhat = m / (1 - beta1^t)
//! v  = beta2 v + (1 - beta2) g^2          vhat = v / (1 - beta2^t)
//! w -= lr mhat / (sqrt(vhat) + eps)
//! ```
//!
//! w, g, m and v have the same length; m and v begin as zeros, t counts updates from 1. The decay is
//! decoupled: it acts on w, not on g. One pass over the four slices. 1 - beta and 1 - beta^t, differences of
//! near numbers, are computed in f64. An update is no op of the graph and has no backward. It is the update of
//! `torch.optim.AdamW`; grad_scale is where clipping by the global norm comes in.
//!
//! A row of a table that got no gradient is updated all the same: its moments fade and w follows them. [`Lazy`]
//! does such updates later, many at once, with the same bits.
//!
//! Source: Kingma, Ba, *Adam*, 2014, <https://arxiv.org/abs/1412.6980>; Loshchilov, Hutter, *Decoupled weight
//! decay regularization*, 2017, <https://arxiv.org/abs/1711.05101>. Above: `tensor/src/ops/adamw.rs`, `optim`.

mod cpu;
pub mod cuda;
mod lazy;
pub mod reference;
mod replay;

pub use cpu::{Step, update};
pub use lazy::{Lazy, Table};
