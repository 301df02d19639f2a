//! Products of small matrices: c = a b, c += a b.
//!
//! A tile of up to 6 rows and 2 vectors of c stays in registers while k runs: per step 2 loads of b, and 6
//! elements of a, each broadcast and used twice. b and c are padded to whole vectors, so there is no
//! remainder but in the rows. a may be transposed, as scores are, and b some columns of a wider matrix.

use crate::simd::{Element, Simd, dispatch, each_vector, inlined, load, store, turn};

/// A matrix in a slice: element (r, c) is `data[r * row_stride + c * col_stride]`.
#[derive(Clone, Copy)]
pub(super) struct View<'a, E = f32> {
    data: &'a [E],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, E> View<'a, E> {
    /// Rows of neighbouring elements, `stride` apart.
    pub(super) fn new(data: &'a [E], [rows, cols]: [usize; 2], stride: usize) -> Self {
        Self { data, rows, cols, row_stride: stride, col_stride: 1 }
    }

    /// The transpose, without a copy.
    pub(super) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Without the columns before `first`.
    #[inline(always)]
    fn columns_from(self, first: usize) -> Self {
        Self { data: &self.data[first..], cols: self.cols - first, ..self }
    }
}

dispatch!(
    /// c = a b, for a `[M, K]`, b `[K, P]` with neighbours side by side, and c `[M, P]`, P a multiple of `MAX_LANES`.
    /// Rows of c may be farther apart.
    pub(super) fn product(a: View, b: View, c: &mut [f32]) = product_body
);
dispatch!(
    /// c += a b, otherwise as [`product`].
    pub(super) fn add_product(a: View, b: View, c: &mut [f32]) = add_product_body
);
dispatch!(
    /// y = scale x with rows padded by zeros: x is `[M, K]`, y is `[M, P]`, P >= K a multiple of `MAX_LANES`.
    pub(super) fn pack<E: Element>(x: View<E>, scale: f32, y: &mut [f32]) = pack_body
);
dispatch!(
    /// y = scale x transposed, its rows padded by zeros: x is `[M, K]`, y is `[K, P]`, P >= M.
    pub(super) fn pack_transposed<E: Element>(
        x: View<E>, scale: f32, y: &mut [f32]
    ) = pack_transposed_body
);

/// What becomes of the rows of c.
#[derive(Clone, Copy)]
struct Output {
    /// Elements from one row to the next.
    stride: usize,
    /// Whether the product is added to what is there.
    accumulate: bool,
}

/// Rows of a tile: with 2 vectors, 12 accumulators leave room for the elements of a and b in 16 registers.
const ROWS: usize = 6;

#[inline(always)]
fn product_body<S: Simd>(s: S, a: View, b: View, c: &mut [f32]) {
    each_tile(s, a, b, c, false);
}

#[inline(always)]
fn add_product_body<S: Simd>(s: S, a: View, b: View, c: &mut [f32]) {
    each_tile(s, a, b, c, true);
}

#[inline(always)]
fn each_tile<S: Simd>(s: S, a: View, b: View, c: &mut [f32], accumulate: bool) {
    let output = Output { stride: c.len() / a.rows, accumulate };
    let mut at = 0;
    while at + 2 * S::LANES <= b.cols {
        column_of_tiles::<S, 2>(s, a, b.columns_from(at), &mut c[at..], output);
        at += 2 * S::LANES;
    }
    if at < b.cols {
        column_of_tiles::<S, 1>(s, a, b.columns_from(at), &mut c[at..], output);
    }
}

/// The tiles of one or two vectors of columns.
#[inline(always)]
fn column_of_tiles<S: Simd, const V: usize>(s: S, a: View, b: View, c: &mut [f32], output: Output) {
    let mut r = 0;
    while r < a.rows {
        let below = View { data: &a.data[r * a.row_stride..], rows: a.rows - r, ..a };
        let c = &mut c[r * output.stride..];
        r += match below.rows {
            1 => tile::<S, 1, V>(s, below, b, c, output),
            2 | 3 => tile::<S, 2, V>(s, below, b, c, output),
            4 | 5 => tile::<S, 4, V>(s, below, b, c, output),
            _ => tile::<S, ROWS, V>(s, below, b, c, output),
        };
    }
}

/// R rows and V vectors of c; gives R.
#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize>(
    s: S,
    a: View,
    b: View,
    c: &mut [f32],
    Output { stride, accumulate }: Output,
) -> usize {
    let sums = sums::<S, R, V>(s, a, b);
    for r in 0..R {
        let c_r = &mut c[r * stride..][..V * S::LANES];
        for v in 0..V {
            let c_rv = &mut c_r[v * S::LANES..];
            let sum = if accumulate { s.add(s.load(c_rv), sums[r][v]) } else { sums[r][v] };
            s.store(sum, c_rv);
        }
    }
    R
}

/// The sums of a tile. Bounds are checked once: at each step of k, that is nearly as many instructions as the
/// arithmetic.
#[inline(always)]
fn sums<S: Simd, const R: usize, const V: usize>(s: S, a: View, b: View) -> [[S::F; V]; R] {
    let steps = a.cols;
    let last = steps.saturating_sub(1);
    assert!((R - 1) * a.row_stride + last * a.col_stride < a.data.len());
    assert!(last * b.row_stride + V * S::LANES <= b.data.len());
    let (mut a_k, mut b_k) = (a.data.as_ptr(), b.data.as_ptr());
    let mut acc = [[s.splat(0.0); V]; R];
    for _ in 0..steps {
        let mut vectors = [s.splat(0.0); V];
        for (v, vector) in vectors.iter_mut().enumerate() {
            // SAFETY: as the second assertion says.
            *vector =
                s.load(unsafe { std::slice::from_raw_parts(b_k.add(v * S::LANES), S::LANES) });
        }
        for (r, acc) in acc.iter_mut().enumerate() {
            // SAFETY: as the first assertion says.
            let x = s.splat(unsafe { *a_k.add(r * a.row_stride) });
            for (acc, vector) in acc.iter_mut().zip(vectors) {
                *acc = s.fma(x, vector, *acc);
            }
        }
        // Beyond the last element after the last step, and not read there.
        (a_k, b_k) = (a_k.wrapping_add(a.col_stride), b_k.wrapping_add(b.row_stride));
    }
    acc
}

#[inline(always)]
fn pack_body<S: Simd, E: Element>(s: S, x: View<E>, scale: f32, y: &mut [f32]) {
    let factor = s.splat(scale);
    for (r, y) in y.chunks_exact_mut(y.len() / x.rows).enumerate() {
        let (y, padding) = y.split_at_mut(x.cols);
        let x = &x.data[r * x.row_stride..][..x.cols];
        each_vector::<S>(
            x.len(),
            inlined!(|at, n| store(s, s.mul(load(s, x, at, n), factor), y, at, n)),
        );
        padding.fill(0.0);
    }
}

/// Columns turned at a time: four rows of them stay in L1.
const TURNED: usize = 64;

/// Four rows at a time, side by side in f32, then 4 x 4 squares turned in registers.
#[inline(always)]
fn pack_transposed_body<S: Simd, E: Element>(s: S, x: View<E>, scale: f32, y: &mut [f32]) {
    let width = y.len() / x.cols;
    for first in (0..x.cols).step_by(TURNED) {
        let n = TURNED.min(x.cols - first);
        let y = &mut y[first * width..][..n * width];
        for r in (0..width).step_by(4) {
            let rows = scaled_rows(s, x, Strip { row: r, first, n }, scale);
            turn_rows(&rows, n, &mut y[r..], width);
        }
    }
    y.chunks_exact_mut(width).for_each(|y| y[x.rows..].fill(0.0));
}

/// Four rows of a matrix, from `row` on, and of these the `n` columns from `first` on.
struct Strip {
    row: usize,
    first: usize,
    n: usize,
}

/// The elements of a strip. Rows beyond the last are read as the last: what becomes of them is written over.
#[inline(always)]
fn scaled_rows<S: Simd, E: Element>(
    s: S,
    x: View<E>,
    Strip { row, first, n }: Strip,
    scale: f32,
) -> [[f32; TURNED]; 4] {
    let (mut rows, factor) = ([[0.0; TURNED]; 4], s.splat(scale));
    for (i, out) in rows.iter_mut().enumerate() {
        let from = &x.data[(row + i).min(x.rows - 1) * x.row_stride + first..][..n];
        each_vector::<S>(
            n,
            inlined!(|at, n| store(s, s.mul(load(s, from, at, n), factor), out, at, n)),
        );
    }
    rows
}

/// Writes the first `n` columns of `rows` to groups that are `stride` apart.
#[inline(always)]
fn turn_rows(rows: &[[f32; TURNED]; 4], n: usize, y: &mut [f32], stride: usize) {
    let whole = n / 4 * 4;
    assert!(n <= TURNED && (n - 1) * stride + 4 <= y.len());
    for at in (0..whole).step_by(4) {
        let from = rows.each_ref().map(|row| row[at..].as_ptr().cast());
        // SAFETY: at + 4 <= n <= TURNED; group at + 3 has four lanes within `y`, by the assertion.
        unsafe { turn(from, y.as_mut_ptr().add(at * stride).cast(), stride) };
    }
    for at in whole..n {
        (0..4).for_each(|i| y[at * stride + i] = rows[i][at]);
    }
}
