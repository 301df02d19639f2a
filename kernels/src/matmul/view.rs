//! Matrices as views of slices, and what happens with a product.

use std::ops::Range;

use crate::parallel::Shared;

/// A strided view of a matrix in a slice.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'a> {
    data: &'a [f32],
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
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols, 1)
    }

    /// Element (i, j) is `data[i * row_stride + j * col_stride]`.
    ///
    /// # Panics
    /// When the last element lies outside `data`.
    pub fn strided(
        data: &'a [f32],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Self {
        if rows > 0 && cols > 0 {
            let last = (rows - 1) * row_stride + (cols - 1) * col_stride;
            assert!(last < data.len(), "matmul: [{rows}, {cols}] in {} elements", data.len());
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
        self.data[i * self.row_stride + j * self.col_stride]
    }

    pub(super) fn shape(self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// The part with these rows and columns, none of them empty.
    pub(super) fn block(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && cols.end <= self.cols, "matmul: block");
        let start = rows.start * self.row_stride + cols.start * self.col_stride;
        Self { data: &self.data[start..], rows: rows.len(), cols: cols.len(), ..self }
    }

    /// Row i, where columns are neighbours.
    pub(super) fn row(self, i: usize) -> &'a [f32] {
        assert!(self.col_stride == 1 && i < self.rows, "matmul: row");
        &self.data[i * self.row_stride..][..self.cols]
    }

    /// Whether the elements of a row are neighbours.
    pub(super) fn has_contiguous_rows(self) -> bool {
        self.col_stride == 1
    }
}

/// A mutable view of a matrix whose rows may have gaps between them.
#[derive(Debug)]
pub struct MatMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
}

impl<'a> MatMut<'a> {
    /// A row-major `[rows, cols]` without gaps.
    ///
    /// # Panics
    /// When `data` has fewer than `rows * cols` elements.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Element (i, j) is `data[i * row_stride + j]`.
    ///
    /// # Panics
    /// When rows overlap or the last element lies outside `data`.
    pub fn strided(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        if rows > 0 && cols > 0 {
            assert!(rows == 1 || row_stride >= cols, "matmul: rows of the output overlap");
            let last = (rows - 1) * row_stride + cols - 1;
            assert!(last < data.len(), "matmul: [{rows}, {cols}] in {} elements", data.len());
        }
        Self { data, rows, cols, row_stride }
    }

    pub(super) fn shape(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// Gives up the exclusive view for one that tiles of the product can share.
    pub(super) fn share(self) -> SharedMat<'a> {
        SharedMat {
            data: Shared::new(self.data),
            rows: self.rows,
            cols: self.cols,
            row_stride: self.row_stride,
        }
    }
}

/// The output while tiles of it are written, by several threads perhaps.
#[derive(Clone, Copy)]
pub(super) struct SharedMat<'a> {
    data: Shared<'a>,
    rows: usize,
    cols: usize,
    row_stride: usize,
}

impl<'a> SharedMat<'a> {
    /// Stores a product that is zero because K is.
    ///
    /// # Safety
    /// Nobody else uses the matrix.
    pub(super) unsafe fn store_zero(self, store: Store) {
        for i in (0..self.rows).filter(|_| !store.accumulate) {
            // SAFETY: the caller's contract.
            let row = unsafe { self.row(i, 0..self.cols) };
            match store.bias {
                Some(bias) => row.copy_from_slice(bias),
                None => row.fill(0.0),
            }
        }
    }

    /// Columns `cols` of row `i`.
    ///
    /// # Safety
    /// Nobody else uses these elements while the slice lives.
    #[inline(always)]
    pub(super) unsafe fn row(self, i: usize, cols: Range<usize>) -> &'a mut [f32] {
        assert!(i < self.rows && cols.start <= cols.end && cols.end <= self.cols);
        // SAFETY: the caller's contract; rows do not overlap, by the check of `MatMut::strided`.
        unsafe { self.data.slice(i * self.row_stride + cols.start, cols.len()) }
    }
}

/// What happens with the product.
#[derive(Clone, Copy, Debug)]
pub struct Store<'a> {
    /// Scales the product.
    pub alpha: f32,
    /// C += instead of C =.
    pub accumulate: bool,
    /// `[cols of C]`, added to each row; not with `accumulate`.
    pub bias: Option<&'a [f32]>,
}

impl Default for Store<'_> {
    fn default() -> Self {
        Self { alpha: 1.0, accumulate: false, bias: None }
    }
}

impl Store<'_> {
    /// How the block of K that begins at `k` is stored: all but the first add to what is there.
    pub(super) fn of_block(self, k: usize) -> Self {
        if k == 0 { self } else { Self { accumulate: true, bias: None, ..self } }
    }
}
