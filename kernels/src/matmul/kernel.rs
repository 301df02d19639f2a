//! What the micro-kernels have in common.
//!
//! A micro-kernel multiplies a panel of A (`[K, rows]`) with a panel of B (`[K, cols]`) and keeps the whole
//! `rows x cols` result in registers. `K` steps, each an outer product: load a group of B, broadcast the
//! elements of A one by one, multiply and add. A step reads one word of each lane: an f32, or two bf16 that
//! one instruction multiplies and adds up. Where one instruction multiplies whole matrices, a step reads several
//! words of each lane, and those of a row of A lie together.

use std::ops::Range;

use super::pack::{Layout, Word};
use super::store::Store;
use super::view::SharedMat;
use crate::isa::{self, Isa};

/// Multiplies the panels `a` and `b` and stores the result.
type Run = unsafe fn(a: &[u32], b: &[u32], tile: &Tile);

/// Words of packed B held at a time where a micro-kernel does not ask for less: 16 MiB.
pub(super) const MAX_PACKED: usize = 4 * 1024 * 1024;

/// A micro-kernel and its shape.
#[derive(Clone, Copy)]
pub(super) struct MicroKernel {
    /// Rows of a panel of A.
    pub rows: usize,
    /// Columns of a panel of B.
    pub cols: usize,
    /// What a word of the panels holds.
    pub word: Word,
    /// Words of each lane in a step, a divisor of `K_BLOCK`.
    pub depth: usize,
    /// Words of packed B held at a time, for tasks that share them to find them in L3.
    pub max_packed: usize,
    /// Prepares this thread for `run`.
    ///
    /// # Safety
    /// The CPU has the instructions.
    pub enter: unsafe fn(),
    /// Undoes `enter`.
    ///
    /// # Safety
    /// The CPU has the instructions.
    pub leave: unsafe fn(),
    /// Multiplies the panels `a` and `b` and stores the result.
    ///
    /// # Safety
    /// The CPU has the instructions, `enter` has prepared this thread, and nobody else uses the elements of the
    /// tile.
    pub run: Run,
}

impl MicroKernel {
    /// One with steps of one word, for which there is nothing to prepare.
    pub(super) const fn plain(rows: usize, cols: usize, word: Word, run: Run) -> Self {
        let max_packed = MAX_PACKED;
        Self { rows, cols, word, depth: 1, max_packed, enter: nothing, leave: nothing, run }
    }

    /// The layout of A.
    pub(super) fn a(self) -> Layout {
        let Self { rows: width, word, depth, .. } = self;
        Layout { width, word, depth, together: depth }
    }

    /// The layout of B, `[N, K]`.
    pub(super) fn b(self) -> Layout {
        let Self { cols: width, word, depth, .. } = self;
        Layout { width, word, depth, together: 1 }
    }

    /// The one for the instruction set in use, for operands of f32 or, where one of them is bf16, of bf16. Where
    /// the CPU cannot multiply pairs, the values of bf16 are multiplied as f32.
    pub(super) fn current(bf16: bool) -> Self {
        match (Self::of(isa::current()), bf16) {
            ((plain, _), false) => plain,
            ((_, Some(pairs)), true) => pairs,
            ((plain, None), true) => Self { word: Word::Rounded, ..plain },
        }
    }

    /// The one for f32, and the one for pairs of bf16 if there is one.
    #[cfg(target_arch = "x86_64")]
    fn of(isa: Isa) -> (Self, Option<Self>) {
        use super::{amx, avx2, avx512, avx512bf16, portable};
        match isa {
            Isa::Portable | Isa::Neon => (portable::KERNEL, None),
            Isa::Avx2 => (avx2::KERNEL, None),
            Isa::Avx512 => (avx512::KERNEL, None),
            Isa::Avx512Bf16 => (avx512::KERNEL, Some(avx512bf16::KERNEL)),
            Isa::Amx => (avx512::KERNEL, Some(amx::KERNEL)),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn of(isa: Isa) -> (Self, Option<Self>) {
        match isa {
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => (super::neon::KERNEL, None),
            _ => (super::portable::KERNEL, None),
        }
    }
}

/// For a micro-kernel that needs no preparation.
fn nothing() {}

/// A part of C and how products are stored there; for a micro-kernel at most as large as itself.
#[derive(Clone)]
pub(super) struct Tile<'a> {
    pub c: SharedMat<'a>,
    pub rows: Range<usize>,
    pub cols: Range<usize>,
    pub store: Store<'a>,
}

impl Tile<'_> {
    /// Where C is f32 and the tile has as many rows and columns as this: its first element, and the elements from a row
    /// to the next.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn whole_f32(&self, rows: usize, cols: usize) -> Option<(*mut f32, usize)> {
        let whole = self.rows.len() == rows && self.cols.len() == cols;
        if whole { self.c.part_f32(&self.rows, &self.cols) } else { None }
    }

    /// Stores `product`, one array per row, by the rule of `store`.
    ///
    /// # Safety
    /// Nobody else uses the elements of the tile.
    #[inline(always)]
    pub(super) unsafe fn write<const COLS: usize>(&self, product: &[[f32; COLS]]) {
        for (i, product) in self.rows.clone().zip(product) {
            let (start, n) = (self.cols.start, self.cols.len());
            // SAFETY: the caller's contract.
            unsafe {
                match n == COLS {
                    // The usual case: the length is known, and the loops become a few vectors.
                    true => self.c.store_row(i, start, product, self.store),
                    false => self.c.store_row(i, start, &product[..n], self.store),
                }
            }
        }
    }
}
