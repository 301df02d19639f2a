//! The tile of `registers`, fed from panels: blocks of A and B copied into the order in which it reads them.
//!
//! ```text
//! for each N_BLOCK columns, for each K_BLOCK of K
//!   pack [K_BLOCK, N_BLOCK] of B, panels of 8 columns: stays in L2
//!   for each 4 rows: pack [K_BLOCK, 4] of A, a panel: stays in L1
//!     for each panel of B: a tile of C += panel of A x panel of B, from beginning to end
//! ```
//!
//! The inner loop runs along two slices: whole cache lines, no strides, no edges (missing lanes are zero). Copies are
//! M K N / N_BLOCK + K N, to be used 2 M N K times. Sums of a block of K are added to C at its end, so bits are
//! no longer those of `naive`.
//!
//! What is left is arithmetic: vectors of four lanes and separate multiplications and additions. [`gemm`] on
//! `KERNELS_ISA=portable` does the same, with views instead of slices; from here on the ladder only exchanges the
//! micro-kernel.
//!
//! [`gemm`]: crate::matmul::gemm

use std::ops::Range;

use super::Shape;
use crate::matmul::blocked::blocks;

/// Rows of a tile of C, and of a panel of A.
const ROWS: usize = 4;

/// Columns of a tile of C, and of a panel of B.
const COLS: usize = 8;

/// K of a block: a panel of A (4 KiB) and the passing one of B (8 KiB) share L1.
const K_BLOCK: usize = 256;

/// Columns of a block of B: 256 KiB, half of a small L2.
const N_BLOCK: usize = 256;

/// C = A B for `a` `[M, K]`, `b` `[K, N]` and `c` `[M, N]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn product(a: &[f32], b: &[f32], c: &mut [f32], shape: Shape) {
    shape.check(a, b, c);
    let Shape { m, n, k } = shape;
    let mut panels = vec![[0.0; COLS]; K_BLOCK * N_BLOCK / COLS];
    let mut panel = [[0.0; ROWS]; K_BLOCK];
    c.fill(0.0);
    for cols in blocks(0..n, N_BLOCK) {
        for depth in blocks(0..k, K_BLOCK) {
            let (len, count) = (depth.len(), cols.len().div_ceil(COLS));
            let (panels, panel) = (&mut panels[..len * count], &mut panel[..len]);
            pack_b(b, n, (depth.clone(), cols.clone()), panels);
            for rows in blocks(0..m, ROWS) {
                pack_a(a, k, (rows.clone(), depth.clone()), panel);
                for (cols, b) in blocks(cols.clone(), COLS).zip(panels.chunks(len)) {
                    add_tile(&multiply(panel, b), c, n, (rows.clone(), cols));
                }
            }
        }
    }
}

/// Part of A as a panel: for each k, an element of each row.
fn pack_a(
    a: &[f32],
    stride: usize,
    (rows, depth): (Range<usize>, Range<usize>),
    out: &mut [[f32; ROWS]],
) {
    out.fill([0.0; ROWS]);
    for (lane, i) in rows.enumerate() {
        let row = &a[i * stride..][depth.clone()];
        out.iter_mut().zip(row).for_each(|(group, a)| group[lane] = *a);
    }
}

/// Part of B as panels, one after the other: for each k, an element of each column.
fn pack_b(
    b: &[f32],
    stride: usize,
    (depth, cols): (Range<usize>, Range<usize>),
    out: &mut [[f32; COLS]],
) {
    for (cols, panel) in blocks(cols, COLS).zip(out.chunks_mut(depth.len())) {
        for (p, group) in depth.clone().zip(panel) {
            let row = &b[p * stride..][cols.clone()];
            *group = [0.0; COLS];
            group[..row.len()].copy_from_slice(row);
        }
    }
}

/// The product of two panels: a step of K is an outer product.
fn multiply(a: &[[f32; ROWS]], b: &[[f32; COLS]]) -> [[f32; COLS]; ROWS] {
    let mut sums = [[0.0; COLS]; ROWS];
    for (a, b) in a.iter().zip(b) {
        for i in 0..ROWS {
            for j in 0..COLS {
                sums[i][j] += a[i] * b[j];
            }
        }
    }
    sums
}

/// Adds the part of `sums` that lies in C.
fn add_tile(
    sums: &[[f32; COLS]; ROWS],
    c: &mut [f32],
    stride: usize,
    (rows, cols): (Range<usize>, Range<usize>),
) {
    for (i, sums) in rows.zip(sums) {
        let c = &mut c[i * stride..][cols.clone()];
        c.iter_mut().zip(sums).for_each(|(c, sum)| *c += sum);
    }
}
