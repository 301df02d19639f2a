//! Sixteen blocks at a time: their counters differ in one word, and the compiler turns the loop over them
//! into vector code of the instruction set in use.

use super::reference::{block, words};
use crate::simd::{Simd, dispatch};

/// Which random numbers: everything that a counter holds but the place in the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The seed of the run.
    pub seed: u64,
    /// The training step, counted from 0.
    pub step: u32,
    /// Where in the model: no two uses in one step share a site.
    pub site: u32,
}

/// Blocks made at once: one 512-bit vector of each word.
pub(crate) const BLOCKS: u32 = 16;

/// Words of that many blocks.
pub(crate) const GROUP: usize = 4 * BLOCKS as usize;

dispatch!(
    /// The bits of the columns `4 * first_block ..` of a row, as many as `out` has elements.
    pub fn row_bits(key: Key, row: u32, first_block: u32, out: &mut [u32]) = row_bits_body
);

#[inline(always)]
fn row_bits_body<S: Simd>(_: S, key: Key, row: u32, first_block: u32, out: &mut [u32]) {
    for (i, out) in (0..).zip(out.chunks_mut(GROUP)) {
        let first = first_block.wrapping_add(i * BLOCKS);
        out.copy_from_slice(&group(key, row, first)[..out.len()]);
    }
}

/// The bits of the columns `4 * first_block ..` of a row, `GROUP` of them; for the body of a kernel.
#[inline(always)]
pub(crate) fn group(key: Key, row: u32, first_block: u32) -> [u32; GROUP] {
    let seed = words(key.seed);
    let mut bits = [0; GROUP];
    for (i, words) in (0..BLOCKS).zip(bits.chunks_exact_mut(4)) {
        let counter = [first_block.wrapping_add(i), row, key.site, key.step];
        words.copy_from_slice(&block(counter, seed));
    }
    bits
}
