//! 6 x 16: twelve accumulators of eight lanes, two registers for B and two for A.

use std::arch::x86_64::*;

use super::kernel::{MicroKernel, Tile};
use super::pack::Word;

const ROWS: usize = 6;
const COLS: usize = 16;
const LANES: usize = 8;

/// 2.5 MiB: all of a weight of 384 x 1536. A CPU without AVX-512 has little L3 for a core and few pages in its TLB:
/// with 16 MiB, products with a large B took up to a third longer (Zen 3).
const MAX_PACKED: usize = 640 * 1024;

pub(super) const KERNEL: MicroKernel =
    MicroKernel { max_packed: MAX_PACKED, ..MicroKernel::plain(ROWS, COLS, Word::Whole, run) };

/// # Safety
/// The CPU has AVX2 and FMA; nobody else uses the elements of the tile.
unsafe fn run(a: &[u32], b: &[u32], tile: &Tile) {
    // SAFETY: the caller's contract.
    unsafe {
        match (tile.rows.len(), tile.cols.len() <= LANES) {
            (1, true) => product::<1, 1>(a, b, tile),
            (2, true) => product::<2, 1>(a, b, tile),
            (3 | 4, true) => product::<4, 1>(a, b, tile),
            (_, true) => product::<6, 1>(a, b, tile),
            (1, false) => product::<1, 2>(a, b, tile),
            (2, false) => product::<2, 2>(a, b, tile),
            (3 | 4, false) => product::<4, 2>(a, b, tile),
            (_, false) => product::<6, 2>(a, b, tile),
        }
    }
}

/// The first `M` rows and `V` vectors of columns.
///
/// # Safety
/// As `run`.
#[target_feature(enable = "avx2,fma")]
unsafe fn product<const M: usize, const V: usize>(a: &[u32], b: &[u32], tile: &Tile) {
    let mut acc = [[_mm256_setzero_ps(); V]; M];
    for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLS>().0) {
        // SAFETY: `V` vectors lie within a group of B.
        let b: [_; V] =
            std::array::from_fn(|v| unsafe { _mm256_loadu_ps(b.as_ptr().add(v * LANES).cast()) });
        for (acc, a) in acc.iter_mut().zip(a) {
            let a = _mm256_set1_ps(f32::from_bits(*a));
            for (acc, b) in acc.iter_mut().zip(b) {
                *acc = _mm256_fmadd_ps(a, b, *acc);
            }
        }
    }
    if V * LANES == COLS
        && let Some(c) = tile.whole_f32(M, COLS)
    {
        // SAFETY: `c` is where the tile lies; the caller's contract.
        return unsafe { store_whole(acc, c, tile) };
    }
    let mut product = [[0.0; COLS]; M];
    for (product, acc) in product.iter_mut().zip(acc) {
        for (product, acc) in product.as_chunks_mut::<LANES>().0.iter_mut().zip(acc) {
            // SAFETY: eight elements.
            unsafe { _mm256_storeu_ps(product.as_mut_ptr(), acc) };
        }
    }
    // SAFETY: the caller's contract.
    unsafe { tile.write(&product) }
}

/// Stores a whole tile from registers. By way of memory, as `Tile::write` does, a product takes 2 % longer.
///
/// # Safety
/// As `run`; `c` and `stride` are where the tile lies, which has `M` rows and `V` vectors of columns.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store_whole<const M: usize, const V: usize>(
    acc: [[__m256; V]; M],
    (c, stride): (*mut f32, usize),
    tile: &Tile,
) {
    let accumulate = tile.store.accumulate;
    let bias = tile.store.bias.map(|bias| bias[tile.cols.clone()].as_ptr());
    for (i, acc) in acc.into_iter().enumerate() {
        for (v, acc) in acc.into_iter().enumerate() {
            // SAFETY: the caller's contract; the bias has an element for each column.
            unsafe {
                let c = c.add(i * stride + v * LANES);
                let sum = match bias {
                    _ if accumulate => _mm256_add_ps(_mm256_loadu_ps(c), acc),
                    Some(bias) => _mm256_add_ps(acc, _mm256_loadu_ps(bias.add(v * LANES))),
                    None => acc,
                };
                _mm256_storeu_ps(c, sum);
            }
        }
    }
}
