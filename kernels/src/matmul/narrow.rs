//! Products too narrow to pay for packing: an element of B that is used only a few times is read where it lies.
//!
//! ```text
//! dots       C[i, j]  = row i of A . column j of B      N <= 8; k is contiguous in both, as in y = x w^T of a
//!                                                       classifier
//! updates    C[i, ..] += A[i, k] B[k, ..] for each k    M or K <= 8; rows of B are contiguous, as in the
//!                                                       classifier's dw = dy^T x and dx = dy w
//! ```
//!
//! Updates add in the order of k and in blocks, as the blocked product does: the same bits. Dots add in as many
//! partial sums as a vector has lanes. As N and the strides choose them, never M, a row of C does not depend on
//! how many others there are. For the same reason y = x w^T of few rows and many columns is left to the blocked
//! product: to add in the order of k, it must transpose w in any case.

use std::ops::Range;

use rayon::prelude::*;

use super::blocked::{K_BLOCK, MIN_WORK, Product, blocks, part};
use super::kernel::Tile;
use super::pack::{Layout, Word, pack};
use super::view::MatRef;
use crate::simd::{MAX_LANES, Simd, dispatch, each_vector, inlined, load, store};

/// Rows, columns or steps of K that count as few: two tiles of [`ROWS`]. From about there on the micro-kernels,
/// which keep more of C in registers, make up for the packing.
const FEW: usize = 8;

/// Rows and columns of C that a task computes: its part of B, a strip of 512 bytes a row, stays in L2.
const TASK: [usize; 2] = [64, 128];

/// Rows of A that share the loads of B.
const ROWS: usize = 4;

/// How a narrow product is computed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Narrow {
    Dots,
    Updates,
}

impl Narrow {
    /// The form for the shape and the strides of a product, none where packing pays.
    pub(super) fn of(p: &Product) -> Option<Self> {
        let (m, n, k) = (p.a.rows(), p.b.cols(), p.a.cols());
        if p.a.is_bf16() || p.b.is_bf16() {
            None
        } else if n <= FEW && p.a.has_contiguous_rows() && p.b.t().has_contiguous_rows() {
            Some(Self::Dots)
        } else if m.min(k) <= FEW && n >= MAX_LANES && p.b.has_contiguous_rows() {
            Some(Self::Updates)
        } else {
            None
        }
    }

    /// Computes `p` on the threads of the current pool.
    ///
    /// # Safety
    /// Nobody else uses C.
    pub(super) unsafe fn run(self, p: &Product) {
        let work: usize = TASK.iter().product::<usize>() * p.a.cols();
        (0..tasks(p)).into_par_iter().with_min_len((MIN_WORK / work).max(1)).for_each(|i| {
            // SAFETY: the caller's contract; no two tasks have an element in common.
            unsafe { self.task(p, i) }
        });
    }

    /// Computes `p` on this thread.
    ///
    /// # Safety
    /// Nobody else uses C.
    pub(super) unsafe fn run_serial(self, p: &Product) {
        for i in 0..tasks(p) {
            // SAFETY: the caller's contract.
            unsafe { self.task(p, i) }
        }
    }

    /// # Safety
    /// Nobody else uses the elements of task `i`.
    unsafe fn task(self, p: &Product, i: usize) {
        let across = p.b.cols().div_ceil(TASK[1]);
        let rows = part(i / across, TASK[0], p.a.rows());
        let cols = part(i % across, TASK[1], p.b.cols());
        // SAFETY: the caller's contract.
        unsafe {
            match self {
                Self::Dots => run_dots(p, rows, cols),
                Self::Updates => run_updates(p, rows, cols),
            }
        }
    }
}

fn tasks(p: &Product) -> usize {
    p.a.rows().div_ceil(TASK[0]) * p.b.cols().div_ceil(TASK[1])
}

/// # Safety
/// Nobody else uses these elements of C.
unsafe fn run_dots(p: &Product, rows: Range<usize>, cols: Range<usize>) {
    let mut product = [[0.0; FEW]; TASK[0]];
    let a = p.a.block(rows.clone(), 0..p.a.cols());
    dots(a, p.b.t(), &mut product);
    let tile = Tile { c: p.c, rows, cols, store: p.store };
    // SAFETY: the caller's contract.
    unsafe { tile.write(&product) }
}

/// # Safety
/// Nobody else uses these elements of C.
unsafe fn run_updates(p: &Product, rows: Range<usize>, cols: Range<usize>) {
    let mut packed = [0; ROWS * K_BLOCK];
    let mut product = [[0.0; TASK[1]]; ROWS];
    for k in blocks(0..p.a.cols(), K_BLOCK) {
        let b = p.b.block(k.clone(), cols.clone());
        for rows in blocks(rows.clone(), ROWS) {
            let a = &mut packed[..ROWS * k.len()];
            pack(p.a.block(rows.clone(), k.clone()), Layout::plain(ROWS, Word::Whole), a);
            updates(a, b, &mut product[..rows.len()]);
            let store = p.store.of_block(k.start);
            let tile = Tile { c: p.c, rows, cols: cols.clone(), store };
            // SAFETY: the caller's contract.
            unsafe { tile.write(&product) }
        }
    }
}

dispatch!(
    /// `c[i][j]` = row i of a . row j of b, for a `[M, K]` and b `[N, K]`.
    fn dots(a: MatRef, b: MatRef, c: &mut [[f32; FEW]; TASK[0]]) = dots_body
);
dispatch!(
    /// c = a b for a `[K, ROWS]`, packed, and b `[K, N]`; as many rows as c has.
    fn updates(a: &[u32], b: MatRef, c: &mut [[f32; TASK[1]]]) = updates_body
);

#[inline(always)]
fn dots_body<S: Simd>(s: S, a: MatRef, b: MatRef, c: &mut [[f32; FEW]; TASK[0]]) {
    let mut i = 0;
    while i + ROWS <= a.rows() {
        dots_of_rows::<S, ROWS>(s, a, b, i, c);
        i += ROWS;
    }
    while i < a.rows() {
        dots_of_rows::<S, 1>(s, a, b, i, c);
        i += 1;
    }
}

/// R rows of C from row `i` on, two columns at a time.
#[inline(always)]
fn dots_of_rows<S: Simd, const R: usize>(
    s: S,
    a: MatRef,
    b: MatRef,
    i: usize,
    c: &mut [[f32; FEW]; TASK[0]],
) {
    let mut j = 0;
    while j + 2 <= b.rows() {
        dot_tile::<S, R, 2>(s, (a, i), (b, j), c);
        j += 2;
    }
    if j < b.rows() {
        dot_tile::<S, R, 1>(s, (a, i), (b, j), c);
    }
}

/// R rows and N columns of C, from row `i` and column `j` on.
#[inline(always)]
fn dot_tile<S: Simd, const R: usize, const N: usize>(
    s: S,
    (a, i): (MatRef, usize),
    (b, j): (MatRef, usize),
    c: &mut [[f32; FEW]; TASK[0]],
) {
    let a_rows: [&[f32]; R] = std::array::from_fn(|r| a.row_f32(i + r));
    let b_rows: [&[f32]; N] = std::array::from_fn(|n| b.row_f32(j + n));
    let mut acc = [[s.splat(0.0); N]; R];
    each_vector::<S>(
        a.cols(),
        inlined!(|at, len| {
            for n in 0..N {
                let b = load(s, b_rows[n], at, len);
                for r in 0..R {
                    acc[r][n] = s.fma(load(s, a_rows[r], at, len), b, acc[r][n]);
                }
            }
        }),
    );
    for r in 0..R {
        for n in 0..N {
            c[i + r][j + n] = s.sum(acc[r][n]);
        }
    }
}

#[inline(always)]
fn updates_body<S: Simd>(s: S, a: &[u32], b: MatRef, c: &mut [[f32; TASK[1]]]) {
    match c.len() {
        1 => update_rows::<S, 1>(s, a, b, c),
        2 => update_rows::<S, 2>(s, a, b, c),
        3 => update_rows::<S, 3>(s, a, b, c),
        _ => update_rows::<S, ROWS>(s, a, b, c),
    }
}

/// R rows of C: two vectors of columns at a time, then one, then what is left.
#[inline(always)]
fn update_rows<S: Simd, const R: usize>(s: S, a: &[u32], b: MatRef, c: &mut [[f32; TASK[1]]]) {
    let mut at = 0;
    while at + 2 * S::LANES <= b.cols() {
        update_tile::<S, R, 2>(s, a, Columns { b, at, len: S::LANES }, c);
        at += 2 * S::LANES;
    }
    while at < b.cols() {
        let len = S::LANES.min(b.cols() - at);
        update_tile::<S, R, 1>(s, a, Columns { b, at, len }, c);
        at += S::LANES;
    }
}

/// Vectors of columns of B from column `at` on, in each vector `len` of them.
#[derive(Clone, Copy)]
struct Columns<'a> {
    b: MatRef<'a>,
    at: usize,
    len: usize,
}

/// R rows and V vectors of columns of C.
#[inline(always)]
fn update_tile<S: Simd, const R: usize, const V: usize>(
    s: S,
    a: &[u32],
    Columns { b, at, len }: Columns,
    c: &mut [[f32; TASK[1]]],
) {
    let mut acc = [[s.splat(0.0); R]; V];
    for (k, a) in a.as_chunks::<ROWS>().0.iter().enumerate() {
        let row = b.row_f32(k);
        for (v, acc) in acc.iter_mut().enumerate() {
            let b = load(s, row, at + v * S::LANES, len);
            for (acc, a) in acc.iter_mut().zip(a) {
                *acc = s.fma(s.splat(f32::from_bits(*a)), b, *acc);
            }
        }
    }
    for (v, acc) in acc.into_iter().enumerate() {
        for (c, acc) in c.iter_mut().zip(acc) {
            store(s, acc, c, at + v * S::LANES, len);
        }
    }
}
