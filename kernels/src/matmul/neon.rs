//! 6 x 16: twenty-four accumulators of four lanes, four registers for B and two for A, of which each multiplication
//! takes one lane: thirty of the thirty-two that there are.

use std::arch::aarch64::*;

use super::kernel::{MicroKernel, Tile};
use super::pack::Word;

const ROWS: usize = 6;
const COLS: usize = 16;
const LANES: usize = 4;

pub(super) const KERNEL: MicroKernel = MicroKernel::plain(ROWS, COLS, Word::Whole, run);

/// # Safety
/// Nobody else uses the elements of the tile.
unsafe fn run(a: &[u32], b: &[u32], tile: &Tile) {
    // SAFETY: the caller's contract.
    unsafe {
        match (tile.rows.len(), tile.cols.len() <= 2 * LANES) {
            (1, true) => product::<1, 2>(a, b, tile),
            (2, true) => product::<2, 2>(a, b, tile),
            (3 | 4, true) => product::<4, 2>(a, b, tile),
            (_, true) => product::<6, 2>(a, b, tile),
            (1, false) => product::<1, 4>(a, b, tile),
            (2, false) => product::<2, 4>(a, b, tile),
            (3 | 4, false) => product::<4, 4>(a, b, tile),
            (_, false) => product::<6, 4>(a, b, tile),
        }
    }
}

/// The first `M` rows and `V` vectors of columns.
///
/// # Safety
/// As `run`.
unsafe fn product<const M: usize, const V: usize>(a: &[u32], b: &[u32], tile: &Tile) {
    // SAFETY: every AArch64 has the instructions; vectors lie within a group of A or B.
    let product = unsafe {
        let mut acc = [[vdupq_n_f32(0.0); V]; M];
        for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLS>().0) {
            let mut columns = [vdupq_n_f32(0.0); V];
            for (v, columns) in columns.iter_mut().enumerate() {
                *columns = vld1q_f32(b.as_ptr().add(v * LANES).cast());
            }
            for (acc, a) in acc.iter_mut().zip(a) {
                for (acc, columns) in acc.iter_mut().zip(columns) {
                    *acc = vfmaq_n_f32(*acc, columns, f32::from_bits(*a));
                }
            }
        }
        let mut product = [[0.0; COLS]; M];
        for (product, acc) in product.iter_mut().zip(acc) {
            for (product, acc) in product.as_chunks_mut::<LANES>().0.iter_mut().zip(acc) {
                vst1q_f32(product.as_mut_ptr(), acc);
            }
        }
        product
    };
    // SAFETY: the caller's contract.
    unsafe { tile.write(&product) }
}
