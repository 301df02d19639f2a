//! The same, a tile at a time: a part of C and a block of B stay in the L2 cache until all is done with them.
//!
//! ```text
//! for each tile of C, [M_BLOCK, N_BLOCK], for each K_BLOCK of K
//!   for each row of the tile: += rows of the block of B, each scaled by an element of A
//! ```
//!
//! An element of B that comes from afar is used M_BLOCK times, not once, and one of C comes and goes once. Blocks of
//! K are taken in order, so the bits are still those of `naive`.
//!
//! The step gains what B costs: little where all of it fits L2 or where the CPU fetches its rows ahead of time from
//! a fast L3, much where they come from memory. What is left counts more: a multiplication still takes three accesses,
//! if only to near caches.

use std::ops::Range;

use super::Shape;
use super::interchanged::add_scaled;
use crate::matmul::blocked::blocks;

/// Rows of a tile of C; 64 x 512 of it take 128 KiB.
const M_BLOCK: usize = 64;

/// Columns of a tile: 2 KiB of a row, long enough to run along.
const N_BLOCK: usize = 512;

/// Rows of a block of B; 128 x 512 of it take 256 KiB, and with C fill three quarters of a small L2.
const K_BLOCK: usize = 128;

/// C = A B for `a` `[M, K]`, `b` `[K, N]` and `c` `[M, N]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn product(a: &[f32], b: &[f32], c: &mut [f32], shape: Shape) {
    shape.check(a, b, c);
    c.fill(0.0);
    for rows in blocks(0..shape.m, M_BLOCK) {
        for cols in blocks(0..shape.n, N_BLOCK) {
            for depth in blocks(0..shape.k, K_BLOCK) {
                add_block((a, b), c, shape, [rows.clone(), cols.clone(), depth]);
            }
        }
    }
}

/// Adds the products of a block of K to a tile.
fn add_block(
    (a, b): (&[f32], &[f32]),
    c: &mut [f32],
    Shape { n, k, .. }: Shape,
    [rows, cols, depth]: [Range<usize>; 3],
) {
    for i in rows {
        let c = &mut c[i * n..][cols.clone()];
        for p in depth.clone() {
            add_scaled(a[i * k + p], &b[p * n..][cols.clone()], c);
        }
    }
}
