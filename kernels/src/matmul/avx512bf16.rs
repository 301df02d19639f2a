//! 12 x 32 of bf16 pairs: the shape of `avx512`, where each instruction multiplies two neighbours along K in
//! every lane and adds both products to the f32 of that lane. The hardware takes denormal numbers for zero.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::kernel::{MicroKernel, Tile};
use super::pack::Word;

const ROWS: usize = 12;
const COLS: usize = 32;
const LANES: usize = 16;

pub(super) const KERNEL: MicroKernel = MicroKernel::plain(ROWS, COLS, Word::Pair, run);

/// # Safety
/// The CPU has AVX-512F and BF16; nobody else uses the elements of the tile.
unsafe fn run(a: &[u32], b: &[u32], tile: &Tile) {
    // SAFETY: the caller's contract.
    unsafe {
        match (tile.rows.len(), tile.cols.len() <= LANES) {
            (1, true) => product::<1, 1>(a, b, tile),
            (2, true) => product::<2, 1>(a, b, tile),
            (3 | 4, true) => product::<4, 1>(a, b, tile),
            (5..=8, true) => product::<8, 1>(a, b, tile),
            (_, true) => product::<12, 1>(a, b, tile),
            (1, false) => product::<1, 2>(a, b, tile),
            (2, false) => product::<2, 2>(a, b, tile),
            (3 | 4, false) => product::<4, 2>(a, b, tile),
            (5..=8, false) => product::<8, 2>(a, b, tile),
            (_, false) => product::<12, 2>(a, b, tile),
        }
    }
}

/// The first `M` rows and `V` vectors of columns.
///
/// # Safety
/// As `run`.
#[target_feature(enable = "avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn product<const M: usize, const V: usize>(a: &[u32], b: &[u32], tile: &Tile) {
    let mut acc = [[_mm512_setzero_ps(); V]; M];
    for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLS>().0) {
        // SAFETY: `V` vectors lie within a group of B.
        let b: [_; V] = std::array::from_fn(|v| unsafe { pairs(b.as_ptr().add(v * LANES)) });
        for (acc, a) in acc.iter_mut().zip(a) {
            // SAFETY: all bits are pairs.
            let a = unsafe { transmute::<__m512i, __m512bh>(_mm512_set1_epi32(*a as i32)) };
            for (acc, b) in acc.iter_mut().zip(b) {
                *acc = _mm512_dpbf16_ps(*acc, a, b);
            }
        }
    }
    let mut product = [[0.0; COLS]; M];
    for (product, acc) in product.iter_mut().zip(acc) {
        for (product, acc) in product.as_chunks_mut::<LANES>().0.iter_mut().zip(acc) {
            // SAFETY: sixteen elements.
            unsafe { _mm512_storeu_ps(product.as_mut_ptr(), acc) };
        }
    }
    // SAFETY: the caller's contract.
    unsafe { tile.write(&product) }
}

/// Sixteen pairs.
///
/// # Safety
/// The CPU has AVX-512F; sixteen words can be read.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn pairs(words: *const u32) -> __m512bh {
    // SAFETY: the caller's contract; all bits are pairs.
    unsafe { transmute(_mm512_loadu_si512(words.cast())) }
}
