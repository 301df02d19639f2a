//! What the micro-kernels have in common.
//!
//! A micro-kernel multiplies a panel of A (`[K, rows]`) with a panel of B (`[K, cols]`) and keeps the whole
//! `rows x cols` result in registers. `K` steps, each an outer product: load a group of B, broadcast the
//! elements of A one by one, multiply and add.

use std::ops::Range;

use super::view::{SharedMat, Store};
#[cfg(target_arch = "x86_64")]
use crate::isa::{self, Isa};

/// A micro-kernel and its shape.
#[derive(Clone, Copy)]
pub(super) struct MicroKernel {
    /// Rows of a panel of A.
    pub rows: usize,
    /// Columns of a panel of B.
    pub cols: usize,
    /// Multiplies the panels `a` and `b` and stores the result.
    ///
    /// # Safety
    /// The CPU has the instructions, and nobody else uses the elements of the tile.
    pub run: unsafe fn(a: &[f32], b: &[f32], tile: &Tile),
}

impl MicroKernel {
    /// The one for the instruction set in use.
    pub(super) fn current() -> Self {
        #[cfg(target_arch = "x86_64")]
        match isa::current() {
            Isa::Avx512 => return super::avx512::KERNEL,
            Isa::Avx2 => return super::avx2::KERNEL,
            Isa::Portable => {}
        }
        super::portable::KERNEL
    }
}

/// Where the result of a micro-kernel goes: at most as large as the kernel.
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
            // SAFETY: the caller's contract.
            let c = unsafe { self.c.row(i, self.cols.clone()) };
            match <&mut [f32; COLS]>::try_from(&mut *c) {
                // The usual case: the length is known, and the loops become a few vectors.
                Ok(c) => self.write_row(product, c),
                Err(_) => self.write_row(product, c),
            }
        }
    }

    #[inline(always)]
    fn write_row(&self, product: &[f32], c: &mut [f32]) {
        let Store { alpha, accumulate, bias } = self.store;
        let row = c.iter_mut().zip(product);
        match bias {
            _ if accumulate => row.for_each(|(c, p)| *c += alpha * p),
            Some(bias) => row
                .zip(&bias[self.cols.start..self.cols.end])
                .for_each(|((c, p), b)| *c = alpha * p + b),
            None => row.for_each(|(c, p)| *c = alpha * p),
        }
    }
}
