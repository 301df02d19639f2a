//! Matrices as views of slices.

use std::ops::Range;
use std::slice::Chunks;

use half::bf16;

use super::store::Store;
use crate::parallel::Shared;
use crate::simd::Element;

/// The elements behind a view.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// f32.
    F32(&'a [f32]),
    /// bf16; a product with such an operand rounds the other one to bf16 too.
    Bf16(&'a [bf16]),
}

impl<'a> Values<'a> {
    fn len(self) -> usize {
        match self {
            Self::F32(x) => x.len(),
            Self::Bf16(x) => x.len(),
        }
    }

    fn get(self, i: usize) -> f32 {
        match self {
            Self::F32(x) => x[i],
            Self::Bf16(x) => x[i].widen(),
        }
    }

    fn slice(self, range: Range<usize>) -> Self {
        match self {
            Self::F32(x) => Self::F32(&x[range]),
            Self::Bf16(x) => Self::Bf16(&x[range]),
        }
    }

    /// Asks the CPU to fetch some cache lines, from `offset` bytes on; they may lie outside.
    #[inline(always)]
    pub(super) fn prefetch<const LINES: usize>(self, offset: usize) {
        #[cfg(target_arch = "x86_64")]
        for line in 0..LINES {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let start: *const i8 = match self {
                Self::F32(x) => x.as_ptr().cast(),
                Self::Bf16(x) => x.as_ptr().cast(),
            };
            // SAFETY: SSE is part of x86-64; a hint reads nothing, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset + 64 * line)) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = offset;
    }
}

impl<'a> From<&'a [f32]> for Values<'a> {
    fn from(x: &'a [f32]) -> Self {
        Self::F32(x)
    }
}

impl<'a> From<&'a Vec<f32>> for Values<'a> {
    fn from(x: &'a Vec<f32>) -> Self {
        Self::F32(x)
    }
}

impl<'a, const N: usize> From<&'a [f32; N]> for Values<'a> {
    fn from(x: &'a [f32; N]) -> Self {
        Self::F32(x)
    }
}

impl<'a> From<&'a [bf16]> for Values<'a> {
    fn from(x: &'a [bf16]) -> Self {
        Self::Bf16(x)
    }
}

/// A strided view of a matrix in a slice.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'a> {
    data: Values<'a>,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> MatRef<'a> {
    /// A row-major `[rows, cols]` without gaps.
    ///
    /// # Panics
    /// When `data` has fewer than `rows * cols` elements.
    pub fn new(data: impl Into<Values<'a>>, rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols, 1)
    }

    /// Element (i, j) is `data[i * row_stride + j * col_stride]`.
    ///
    /// # Panics
    /// When the last element lies outside `data`.
    pub fn strided(
        data: impl Into<Values<'a>>,
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Self {
        let data = data.into();
        if rows > 0 && cols > 0 {
            let inside = last(rows, row_stride, cols, col_stride).is_some_and(|i| i < data.len());
            assert!(inside, "matmul: [{rows}, {cols}] in {} elements", data.len());
        }
        Self { data, rows, cols, row_stride, col_stride }
    }

    /// The transpose, `[cols, rows]`, without a copy.
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// Rows.
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn cols(self) -> usize {
        self.cols
    }

    /// Element (i, j).
    ///
    /// # Panics
    /// When it lies outside the matrix.
    pub fn get(self, i: usize, j: usize) -> f32 {
        assert!(i < self.rows && j < self.cols, "matmul: ({i}, {j}) of {:?}", self.shape());
        self.data.get(i * self.row_stride + j * self.col_stride)
    }

    pub(super) fn shape(self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// The part with these rows and columns, none of them empty.
    pub(super) fn block(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && cols.end <= self.cols, "matmul: block");
        let start = rows.start * self.row_stride + cols.start * self.col_stride;
        let data = self.data.slice(start..self.data.len());
        Self { data, rows: rows.len(), cols: cols.len(), ..self }
    }

    /// Row i, where columns are neighbours.
    #[inline(always)]
    pub(super) fn row(self, i: usize) -> Values<'a> {
        assert!(self.col_stride == 1 && i < self.rows, "matmul: row");
        let start = i * self.row_stride;
        self.data.slice(start..start + self.cols)
    }

    /// Row i of a matrix of f32, where columns are neighbours.
    #[inline(always)]
    pub(super) fn row_f32(self, i: usize) -> &'a [f32] {
        match self.row(i) {
            Values::F32(row) => row,
            Values::Bf16(_) => panic!("matmul: expected a row of f32"),
        }
    }

    /// The rows of a matrix of f32 where columns are neighbours and rows do not overlap: the first elements of each
    /// slice are the columns. There may be more slices than rows. None for a single row, whose stride may be
    /// anything.
    #[inline(always)]
    pub(super) fn rows_f32(self) -> Option<Chunks<'a, f32>> {
        let apart = self.col_stride == 1 && self.rows > 1 && self.row_stride >= self.cols;
        match self.data {
            Values::F32(x) if apart => Some(x.chunks(self.row_stride)),
            _ => None,
        }
    }

    /// Elements from one row to the next.
    pub(super) fn row_stride(self) -> usize {
        self.row_stride
    }

    /// Whether the elements are bf16.
    pub(super) fn is_bf16(self) -> bool {
        matches!(self.data, Values::Bf16(_))
    }

    /// Whether the elements of a row are neighbours.
    pub(super) fn has_contiguous_rows(self) -> bool {
        self.col_stride == 1
    }
}

/// Where a product is written.
#[derive(Debug)]
pub enum ValuesMut<'a> {
    /// f32.
    F32(&'a mut [f32]),
    /// bf16; sums are f32 and rounded once.
    Bf16(&'a mut [bf16]),
}

impl<'a> From<&'a mut [f32]> for ValuesMut<'a> {
    fn from(x: &'a mut [f32]) -> Self {
        Self::F32(x)
    }
}

impl<'a> From<&'a mut Vec<f32>> for ValuesMut<'a> {
    fn from(x: &'a mut Vec<f32>) -> Self {
        Self::F32(x)
    }
}

impl<'a, const N: usize> From<&'a mut [f32; N]> for ValuesMut<'a> {
    fn from(x: &'a mut [f32; N]) -> Self {
        Self::F32(x)
    }
}

impl<'a> From<&'a mut [bf16]> for ValuesMut<'a> {
    fn from(x: &'a mut [bf16]) -> Self {
        Self::Bf16(x)
    }
}

/// A mutable view of a matrix whose rows may have gaps between them.
#[derive(Debug)]
pub struct MatMut<'a> {
    data: ValuesMut<'a>,
    rows: usize,
    cols: usize,
    row_stride: usize,
}

impl<'a> MatMut<'a> {
    /// A row-major `[rows, cols]` without gaps.
    ///
    /// # Panics
    /// When `data` has fewer than `rows * cols` elements.
    pub fn new(data: impl Into<ValuesMut<'a>>, rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Element (i, j) is `data[i * row_stride + j]`.
    ///
    /// # Panics
    /// When rows overlap or the last element lies outside `data`.
    pub fn strided(
        data: impl Into<ValuesMut<'a>>,
        rows: usize,
        cols: usize,
        row_stride: usize,
    ) -> Self {
        let data = data.into();
        let len = match &data {
            ValuesMut::F32(x) => x.len(),
            ValuesMut::Bf16(x) => x.len(),
        };
        if rows > 0 && cols > 0 {
            assert!(rows == 1 || row_stride >= cols, "matmul: rows of the output overlap");
            let inside = last(rows, row_stride, cols, 1).is_some_and(|i| i < len);
            assert!(inside, "matmul: [{rows}, {cols}] in {len} elements");
        }
        Self { data, rows, cols, row_stride }
    }

    pub(super) fn shape(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// Gives up the exclusive view for one that tiles of the product can share.
    pub(super) fn share(self) -> SharedMat<'a> {
        let Self { rows, cols, row_stride, .. } = self;
        let data = match self.data {
            ValuesMut::F32(x) => SharedValues::F32(Shared::new(x)),
            ValuesMut::Bf16(x) => SharedValues::Bf16(Shared::new(x)),
        };
        SharedMat { data, rows, cols, row_stride }
    }
}

/// Where the last element lies, if that is a number at all: what wrapped around would seem to be inside.
fn last(rows: usize, row_stride: usize, cols: usize, col_stride: usize) -> Option<usize> {
    let [row, col] = [(rows - 1).checked_mul(row_stride)?, (cols - 1).checked_mul(col_stride)?];
    row.checked_add(col)
}

#[derive(Clone, Copy)]
enum SharedValues<'a> {
    F32(Shared<'a>),
    Bf16(Shared<'a, bf16>),
}

/// The output while tiles of it are written, by several threads perhaps.
#[derive(Clone, Copy)]
pub(super) struct SharedMat<'a> {
    data: SharedValues<'a>,
    rows: usize,
    cols: usize,
    row_stride: usize,
}

impl<'a> SharedMat<'a> {
    /// Whether the elements are bf16.
    pub(super) fn is_bf16(self) -> bool {
        matches!(self.data, SharedValues::Bf16(_))
    }

    /// Where the part with these rows and columns, none of them empty, begins, and the elements from a row to the next;
    /// none where elements are not f32. To be written where nobody else uses these elements.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn part_f32(
        self,
        rows: &Range<usize>,
        cols: &Range<usize>,
    ) -> Option<(*mut f32, usize)> {
        assert!(rows.end <= self.rows && cols.end <= self.cols, "matmul: part of the output");
        let SharedValues::F32(c) = self.data else { return None };
        let len = (rows.len() - 1) * self.row_stride + cols.len();
        Some((c.pointer(rows.start * self.row_stride + cols.start, len), self.row_stride))
    }

    /// Stores a product that is zero because K is.
    ///
    /// # Safety
    /// Nobody else uses the matrix.
    pub(super) unsafe fn store_zero(self, store: Store) {
        let zeros = vec![0.0; self.cols];
        for i in 0..self.rows {
            // SAFETY: the caller's contract.
            unsafe { self.store_row(i, 0, &zeros, store) }
        }
    }

    /// Stores part of a row of the product, from column `start` on, by the rule of `store`.
    ///
    /// # Safety
    /// Nobody else uses these elements.
    #[inline(always)]
    pub(super) unsafe fn store_row(self, i: usize, start: usize, product: &[f32], store: Store) {
        let n = product.len();
        assert!(i < self.rows && start <= self.cols && n <= self.cols - start);
        let at = i * self.row_stride + start;
        // SAFETY: the caller's contract; rows do not overlap, by the check of `MatMut::strided`.
        unsafe {
            match self.data {
                SharedValues::F32(c) => store.write(product, start, c.slice(at, n)),
                SharedValues::Bf16(c) => store.write(product, start, c.slice(at, n)),
            }
        }
    }
}
