//! What the micro-kernels have in common.
//!
//! A micro-kernel multiplies a panel of A (`[K, rows]`) with a panel of B (`[K, cols]`) and keeps the whole
//! `rows x cols` result in registers. `K` steps, each an outer product: load a group of B, broadcast the
//! elements of A one by one, multiply and add. A step reads one word of each lane: an f32, or two bf16 that
//! one instruction multiplies and adds up. Where one instruction multiplies whole matrices, a step reads several
//! words of each lane, and those of a row of A lie together.

use std::ops::Range;

use super::pack::{Layout, Word};
use super::view::{SharedMat, Store};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::isa::{self, Isa};

/// Multiplies the panels `a` and `b` and stores the result.
type Run = unsafe fn(a: &[u32], b: &[u32], tile: &Tile);

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
        Self { rows, cols, word, depth: 1, enter: nothing, leave: nothing, run }
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
        #[cfg(target_arch = "x86_64")]
        match isa::current() {
            Isa::Amx if bf16 => return super::amx::KERNEL,
            Isa::Avx512Bf16 if bf16 => return super::avx512bf16::KERNEL,
            _ => {}
        }
        match bf16 {
            false => Self::of_f32(),
            true => Self { word: Word::Rounded, ..Self::of_f32() },
        }
    }

    fn of_f32() -> Self {
        #[cfg(target_arch = "x86_64")]
        match isa::current() {
            Isa::Portable | Isa::Neon => {}
            Isa::Avx2 => return super::avx2::KERNEL,
            Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx => return super::avx512::KERNEL,
        }
        #[cfg(target_arch = "aarch64")]
        if isa::current() == Isa::Neon {
            return super::neon::KERNEL;
        }
        super::portable::KERNEL
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
