//! 4 x 8 in plain Rust: eight vectors of four lanes, which fit the sixteen registers of any 64-bit CPU.

use super::kernel::{MicroKernel, Tile};
use super::pack::Word;

const ROWS: usize = 4;
const COLS: usize = 8;

pub(super) const KERNEL: MicroKernel = MicroKernel::plain(ROWS, COLS, Word::Whole, run);

/// # Safety
/// Nobody else uses the elements of the tile.
unsafe fn run(a: &[u32], b: &[u32], tile: &Tile) {
    let mut acc = [[0.0f32; COLS]; ROWS];
    for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLS>().0) {
        for (acc, a) in acc.iter_mut().zip(a) {
            for (acc, b) in acc.iter_mut().zip(b) {
                *acc += f32::from_bits(*a) * f32::from_bits(*b);
            }
        }
    }
    // SAFETY: the caller's contract.
    unsafe { tile.write(&acc) }
}
