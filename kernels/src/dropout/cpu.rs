//! Row by row, a group of random words at a time.

use rayon::prelude::*;

use crate::parallel::rows_per_task;
use crate::philox::{self, BLOCKS, GROUP, Key};
use crate::simd::{Simd, dispatch};

/// How much is dropped, and which random numbers decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The probability that an element is dropped, in [0, 1).
    pub p: f32,
    /// The random numbers.
    pub key: Key,
}

impl Dropout {
    /// An element is kept when its 32 bits are at least this: round(p 2^32).
    ///
    /// # Panics
    /// When p is not in [0, 1).
    pub fn threshold(self) -> u32 {
        assert!((0.0..1.0).contains(&self.p), "dropout: expected p in [0, 1), got {}", self.p);
        (f64::from(self.p) * 2f64.powi(32)).round() as u32
    }

    /// What a kept element is multiplied by: 1 / (1 - p).
    pub fn scale(self) -> f32 {
        (1.0 / (1.0 - f64::from(self.p))) as f32
    }

    /// Writes the factors (0 or [`scale`](Self::scale)) of the columns `4 * first_block ..` of a row, as many
    /// as `out` has elements. For kernels that drop elements of something they never store, such as attention.
    ///
    /// # Panics
    /// When p is not in [0, 1).
    pub fn mask_row(self, row: u32, first_block: u32, out: &mut [f32]) {
        mask_row(self, row, first_block, out);
    }
}

/// y = mask * x; `x` and `y` are `[rows, cols]`.
///
/// # Panics
/// When the lengths differ or are no multiple of `cols`, or p is not in [0, 1).
pub fn forward(d: Dropout, x: &[f32], cols: usize, y: &mut [f32]) {
    assert!(x.len() == y.len() && x.len().is_multiple_of(cols), "dropout: lengths");
    if d.p == 0.0 {
        return y.copy_from_slice(x);
    }
    let rows = rows_per_task(cols);
    let n = rows * cols;
    x.par_chunks(n).zip(y.par_chunks_mut(n)).enumerate().for_each(|(i, (x, y))| {
        forward_rows(d, (i * rows) as u32, x, cols, y);
    });
}

/// dx = mask * dy: the forward, applied to the gradient.
///
/// # Panics
/// As [`forward`].
pub fn backward(d: Dropout, dy: &[f32], cols: usize, dx: &mut [f32]) {
    forward(d, dy, cols, dx);
}

dispatch!(fn mask_row(d: Dropout, row: u32, first_block: u32, out: &mut [f32]) = mask_row_body);
dispatch!(fn forward_rows(
    d: Dropout, first_row: u32, x: &[f32], cols: usize, y: &mut [f32]
) = forward_body);

/// The factors of the columns `GROUP * group ..` of a row; for the body of a kernel.
#[inline(always)]
pub(crate) fn mask_group(d: Dropout, row: u32, group: u32) -> [f32; GROUP] {
    mask_from(d, row, group.wrapping_mul(BLOCKS))
}

#[inline(always)]
fn mask_from(d: Dropout, row: u32, first_block: u32) -> [f32; GROUP] {
    let (threshold, scale) = (d.threshold(), d.scale());
    let bits = philox::group(d.key, row, first_block);
    bits.map(|bits| if bits >= threshold { scale } else { 0.0 })
}

#[inline(always)]
fn mask_row_body<S: Simd>(_: S, d: Dropout, row: u32, first_block: u32, out: &mut [f32]) {
    for (i, out) in (0..).zip(out.chunks_mut(GROUP)) {
        let mask = mask_from(d, row, first_block.wrapping_add(i * BLOCKS));
        out.copy_from_slice(&mask[..out.len()]);
    }
}

#[inline(always)]
fn forward_body<S: Simd>(s: S, d: Dropout, first_row: u32, x: &[f32], cols: usize, y: &mut [f32]) {
    for (row, (x, y)) in (first_row..).zip(x.chunks_exact(cols).zip(y.chunks_exact_mut(cols))) {
        mask_row_body(s, d, row, 0, y);
        for (y, x) in y.iter_mut().zip(x) {
            *y *= x;
        }
    }
}
