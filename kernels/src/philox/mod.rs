//! Philox4x32-10: random numbers by place, not by turn.
//!
//! ```text
//! block(counter, key) -> 4 words; ten times:
//!     c0, c1, c2, c3 = hi(M1 c2) ^ c1 ^ k0,  lo(M1 c2),  hi(M0 c0) ^ c3 ^ k1,  lo(M0 c0)
//!     k0, k1         = k0 + W0, k1 + W1        (between rounds)
//! ```
//!
//! A bijection of the counter for each key: nothing is carried from one block to the next, so a mask can be
//! made again in the backward, in any order, by any thread, on any device. Everywhere in this project the
//! key is the seed (low word, high word) and the counter of the element (row, column) is
//! `[column / 4, row, site, step]`, of which the element takes word `column % 4`; see [`Key`].
//!
//! [`row_bits`] fills a row, 16 blocks at a time; [`Rng`] is a sequence for shuffling and initial values.
//! Integers only: every instruction set gives the same bits. There is no backward.
//!
//! Source: Salmon, Moraes, Dror, Shaw, *Parallel random numbers: as easy as 1, 2, 3*, SC 2011,
//! <https://doi.org/10.1145/2063384.2063405>. Above: [`dropout`](crate::dropout), `nn` (initial values).

mod cpu;
pub mod reference;
mod rng;

pub(crate) use cpu::{BLOCKS, GROUP, group};
pub use cpu::{Key, row_bits};
pub use reference::block;
pub(crate) use reference::words;
pub use rng::Rng;
