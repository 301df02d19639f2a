//! The same, a block of B at a time: `[K_BLOCK, N_BLOCK]` of it stay in the L1 cache while all rows of A pass.
//!
//! Each element of B that comes from afar is used M times, not once. Blocks of K are taken in order, so the
//! bits are still those of `naive`.
//!
//! What is left: C goes through the caches K / K_BLOCK times, and a multiplication still costs three accesses, if
//! only to L1. Where B fits L2 anyway, that is what counts, and this step gains little.

use super::Shape;
use super::interchanged::add_scaled;
use crate::matmul::blocked::blocks;

/// Rows of a block of B. 48 x 128 of it take 24 KiB, and leave room in an L1 of 32 KiB for a part of a row of C.
const K_BLOCK: usize = 48;

/// Columns of a block of B: 512 bytes of a row, long enough to run along.
const N_BLOCK: usize = 128;

/// C = A B for `a` `[M, K]`, `b` `[K, N]` and `c` `[M, N]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn product(a: &[f32], b: &[f32], c: &mut [f32], shape: Shape) {
    shape.check(a, b, c);
    let Shape { m, n, k } = shape;
    c.fill(0.0);
    for cols in blocks(0..n, N_BLOCK) {
        for depth in blocks(0..k, K_BLOCK) {
            for i in 0..m {
                let c = &mut c[i * n..][cols.clone()];
                for p in depth.clone() {
                    add_scaled(a[i * k + p], &b[p * n..][cols.clone()], c);
                }
            }
        }
    }
}
