//! Row by row, a group of random words at a time.

use rayon::prelude::*;

use crate::elementwise;
use crate::parallel::rows_per_task;
use crate::philox::{self, BLOCKS, GROUP, Key};
use crate::simd::{Element, Simd, dispatch, each_vector, inlined, load, store};

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
pub fn forward<E: Element>(d: Dropout, x: &[f32], cols: usize, y: &mut [E]) {
    assert!(x.len() == y.len() && x.len().is_multiple_of(cols), "dropout: lengths");
    if d.p == 0.0 {
        return elementwise::convert(x, y);
    }
    let rows = rows_per_task(cols);
    let n = rows * cols;
    x.par_chunks(n).zip(y.par_chunks_mut(n)).enumerate().for_each(|(i, (x, y))| {
        drop_rows((d, i * rows), x, cols, y);
    });
}

/// dx = mask * dy: the forward, applied to the gradient.
///
/// # Panics
/// As [`forward`].
pub fn backward<E: Element>(d: Dropout, dy: &[f32], cols: usize, dx: &mut [E]) {
    forward(d, dy, cols, dx);
}

dispatch!(fn mask_row(d: Dropout, row: u32, first_block: u32, out: &mut [f32]) = mask_row_body);
dispatch!(
    /// y = mask * x, rows of `cols`; `dropout` has the number of the first, on which its mask depends.
    pub(crate) fn drop_rows<X: Element, Y: Element>(
        dropout: (Dropout, usize), x: &[X], cols: usize, y: &mut [Y]
    ) = drop_body
);

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
fn drop_body<S: Simd, X: Element, Y: Element>(
    s: S,
    (d, first): (Dropout, usize),
    x: &[X],
    cols: usize,
    y: &mut [Y],
) {
    for (i, (x, y)) in x.chunks_exact(cols).zip(y.chunks_exact_mut(cols)).enumerate() {
        for (group, (x, y)) in x.chunks(GROUP).zip(y.chunks_mut(GROUP)).enumerate() {
            let mask = mask_group(d, (first + i) as u32, group as u32);
            each_vector::<S>(
                x.len(),
                inlined!(|at, n| {
                    store(s, s.mul(load(s, x, at, n), load(s, &mask, at, n)), y, at, n);
                }),
            );
        }
    }
}
