//! Dense linear algebra in f64, on one thread: products, Cholesky, symmetric eigenvalues.
//!
//! ```text
//! Matrix, View      columns one behind the other; a run of columns is a view
//! products          a^T b, a b, and the lower triangle of a a^T and a^T a
//! Cholesky          A = L L^T: ln det A, A^-1 B, L^-1 B
//! Eigen             A = V diag(s) V^T, s ascending
//! Tridiagonal       Q^T A Q: (A + t I)^-1, its trace and ln det for many t
//! ```
//!
//! A symmetric matrix is its lower triangle: what stands above the diagonal is never read. Callers that
//! have many problems solve them side by side, hence one thread inside. No other file names `faer`, which does
//! the work (<https://docs.rs/faer>).

use std::ops::{Index, IndexMut, Range};

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::tridiag;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::{householder, matmul, triangular_solve};
use faer::{Accum, Conj, Mat, MatMut, MatRef, Par, Side, Spec};

/// Householder reflections that are applied at a time.
const BLOCK: usize = 32;

/// A matrix `[rows, cols]`, column by column.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f64>,
}

/// Columns of a [`Matrix`], side by side.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    rows: usize,
    cols: usize,
    data: &'a [f64],
}

impl Matrix {
    /// All zero.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self { rows, cols, data: vec![0.0; rows * cols] }
    }

    /// The matrix whose columns of `rows` numbers stand one behind the other in `data`.
    ///
    /// # Panics
    /// When that isn't a whole number of columns.
    pub fn from_columns(rows: usize, data: Vec<f64>) -> Self {
        let cols = data.len().checked_div(rows).unwrap_or(0);
        assert_eq!(rows * cols, data.len(), "whole columns");
        Self { rows, cols, data }
    }

    /// Length of a column.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Column `j`. Panics when it is not there, like its siblings.
    pub fn column(&self, j: usize) -> &[f64] {
        &self.data[j * self.rows..(j + 1) * self.rows]
    }

    /// Column `j`, to be written.
    pub fn column_mut(&mut self, j: usize) -> &mut [f64] {
        &mut self.data[j * self.rows..(j + 1) * self.rows]
    }

    /// All elements, column by column.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// All elements, to be written.
    pub fn data_mut(&mut self) -> &mut [f64] {
        &mut self.data
    }

    /// All columns.
    pub fn view(&self) -> View<'_> {
        self.columns(0..self.cols)
    }

    /// These columns.
    pub fn columns(&self, range: Range<usize>) -> View<'_> {
        let data = &self.data[range.start * self.rows..range.end * self.rows];
        View { rows: self.rows, cols: range.len(), data }
    }

    /// A copy of these columns, in this order.
    pub fn gather(&self, columns: &[usize]) -> Self {
        let mut data = Vec::with_capacity(columns.len() * self.rows);
        columns.iter().for_each(|&j| data.extend_from_slice(self.column(j)));
        Self { rows: self.rows, cols: columns.len(), data }
    }

    /// The sum of the diagonal.
    pub fn trace(&self) -> f64 {
        (0..self.rows.min(self.cols)).map(|i| self[(i, i)]).sum()
    }

    /// Multiplies all elements and adds to the diagonal: `scale A + shift I`.
    pub fn scale_and_shift(&mut self, scale: f64, shift: f64) {
        self.data.iter_mut().for_each(|x| *x *= scale);
        (0..self.rows.min(self.cols)).for_each(|i| self[(i, i)] += shift);
    }

    /// Adds `factor a b^T` to the lower triangle.
    pub fn add_outer(&mut self, factor: f64, a: &[f64], b: &[f64]) {
        for (j, &right) in b.iter().enumerate() {
            let column = self.column_mut(j)[j..].iter_mut();
            column.zip(&a[j..]).for_each(|(x, left)| *x += factor * left * right);
        }
    }

    fn faer(&self) -> MatRef<'_, f64> {
        self.view().faer()
    }

    fn faer_mut(&mut self) -> MatMut<'_, f64> {
        MatMut::from_column_major_slice_mut(&mut self.data, self.rows, self.cols)
    }
}

impl Index<(usize, usize)> for Matrix {
    type Output = f64;

    fn index(&self, (i, j): (usize, usize)) -> &f64 {
        &self.data[j * self.rows + i]
    }
}

impl IndexMut<(usize, usize)> for Matrix {
    fn index_mut(&mut self, (i, j): (usize, usize)) -> &mut f64 {
        &mut self.data[j * self.rows + i]
    }
}

impl<'a> View<'a> {
    /// Columns of `rows` numbers, one behind the other.
    ///
    /// # Panics
    /// When that isn't a whole number of columns.
    pub fn new(rows: usize, data: &'a [f64]) -> Self {
        let cols = data.len().checked_div(rows).unwrap_or(0);
        assert_eq!(rows * cols, data.len(), "whole columns");
        Self { rows, cols, data }
    }

    /// Length of a column.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Column `j`. Panics when it is not there.
    pub fn column(&self, j: usize) -> &'a [f64] {
        &self.data[j * self.rows..(j + 1) * self.rows]
    }

    fn faer(&self) -> MatRef<'a, f64> {
        MatRef::from_column_major_slice(self.data, self.rows, self.cols)
    }
}

/// `a^T b`. Panics when the columns differ in length.
pub fn transpose_times(a: View, b: View) -> Matrix {
    let mut out = Matrix::zeros(a.cols, b.cols);
    let (a, b) = (a.faer().transpose(), b.faer());
    matmul::matmul(out.faer_mut(), Accum::Replace, a, b, 1.0, Par::Seq);
    out
}

/// `a b`. Panics when `a` has not as many columns as `b` has rows.
pub fn times(a: View, b: View) -> Matrix {
    let mut out = Matrix::zeros(a.rows, b.cols);
    matmul::matmul(out.faer_mut(), Accum::Replace, a.faer(), b.faer(), 1.0, Par::Seq);
    out
}

/// Adds `a b^T` to `out`. Panics when the shapes do not fit.
pub fn add_times_transpose(out: &mut Matrix, a: View, b: View) {
    let b = b.faer().transpose();
    matmul::matmul(out.faer_mut(), Accum::Add, a.faer(), b, 1.0, Par::Seq);
}

/// Adds the lower triangle of `a a^T` to `out`. Panics when the shapes do not fit.
pub fn add_squares(out: &mut Matrix, a: View) {
    add_lower(out.faer_mut(), a.faer());
}

/// The lower triangle of `a^T a`.
pub fn inner_products(a: View) -> Matrix {
    let mut out = Matrix::zeros(a.cols, a.cols);
    add_lower(out.faer_mut(), a.faer().transpose());
    out
}

fn add_lower(out: MatMut<f64>, a: MatRef<f64>) {
    let (lower, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
    triangular::matmul(out, lower, Accum::Add, a, full, a.transpose(), full, 1.0, Par::Seq);
}

/// The factor of a positive definite matrix: `A = L L^T`.
#[derive(Clone, Debug)]
pub struct Cholesky {
    factor: Mat<f64>,
}

impl Cholesky {
    /// Factors the lower triangle of a matrix; `None` when it isn't positive definite beyond rounding, that is
    /// when a squared pivot is below `n 2^-52` of the largest element of the diagonal.
    pub fn new(matrix: &Matrix) -> Option<Self> {
        let largest = (0..matrix.rows).map(|i| matrix[(i, i)]).fold(0.0, f64::max);
        let least = f64::EPSILON * matrix.rows as f64 * largest;
        let factor = matrix.faer().llt(Side::Lower).ok()?.L().to_owned();
        let sound = (0..matrix.rows).all(|i| factor[(i, i)].powi(2) > least);
        sound.then_some(Self { factor })
    }

    /// `ln det A`.
    pub fn ln_det(&self) -> f64 {
        (0..self.factor.nrows()).map(|i| 2.0 * self.factor[(i, i)].ln()).sum()
    }

    /// Replaces B by `L^-1 B`. Panics when the rows do not fit.
    pub fn half_solve(&self, b: &mut Matrix) {
        let factor = self.factor.as_ref();
        triangular_solve::solve_lower_triangular_in_place(factor, b.faer_mut(), Par::Seq);
    }

    /// Replaces B by `A^-1 B`. Panics when the rows do not fit.
    pub fn solve(&self, b: &mut Matrix) {
        self.half_solve(b);
        let factor = self.factor.transpose();
        triangular_solve::solve_upper_triangular_in_place(factor, b.faer_mut(), Par::Seq);
    }
}

/// Eigenvalues and vectors of a symmetric matrix.
#[derive(Clone, Debug)]
pub struct Eigen {
    /// Ascending.
    pub values: Vec<f64>,
    /// One column per value, of length 1.
    pub vectors: Matrix,
}

impl Eigen {
    /// Decomposes the lower triangle of a square matrix; `None` when the iteration doesn't end, as with NaN.
    pub fn new(matrix: &Matrix) -> Option<Self> {
        let found = matrix.faer().self_adjoint_eigen(Side::Lower).ok()?;
        let values = found.S().column_vector().iter().copied().collect();
        let vectors = found.U().col_iter().flat_map(|column| column.iter()).copied().collect();
        Some(Self { values, vectors: Matrix::from_columns(matrix.rows, vectors) })
    }
}

/// `Q^T A Q = T` of a symmetric matrix: a diagonal and what stands beside it.
#[derive(Clone, Debug)]
pub struct Tridiagonal {
    diagonal: Vec<f64>,
    beside: Vec<f64>,
}

/// `T + t I` as `L D L^T`, for a positive semidefinite T and t > 0.
#[derive(Clone, Debug)]
pub struct Shifted<'a> {
    from: &'a Tridiagonal,
    pivots: Vec<f64>,
    /// `tr (T + t I)^-1`.
    pub inverse_trace: f64,
}

impl Tridiagonal {
    /// Reduces the lower triangle of A by Householder reflections, and replaces B by `Q^T B`.
    ///
    /// It costs a fraction of the eigenvalues and answers for any shift in time linear in n.
    ///
    /// # Panics
    /// When the rows do not fit.
    pub fn new(mut a: Matrix, b: &mut Matrix) -> Self {
        let n = a.rows;
        assert_eq!(n, b.rows, "one row of b per row of a");
        if n > 1 {
            reduce(&mut a, b);
        }
        Self {
            diagonal: (0..n).map(|i| a[(i, i)]).collect(),
            beside: (1..n).map(|i| a[(i, i - 1)]).collect(),
        }
    }

    /// Factors `T + t I`. Pivots that rounding made smaller than t are t: T has no negative eigenvalue.
    pub fn shifted(&self, t: f64) -> Shifted<'_> {
        let mut pivots: Vec<f64> = Vec::with_capacity(self.diagonal.len());
        // The trace is the derivative of ln det, a sum of positive terms.
        let (mut slope, mut inverse_trace) = (1.0, 0.0);
        for (i, &diagonal) in self.diagonal.iter().enumerate() {
            let mut pivot = diagonal + t;
            if i > 0 {
                let ratio = self.beside[i - 1] / pivots[i - 1];
                pivot -= ratio * self.beside[i - 1];
                slope = 1.0 + ratio * ratio * slope;
            }
            pivots.push(pivot.max(t));
            inverse_trace += slope / pivots[i];
        }
        Shifted { from: self, pivots, inverse_trace }
    }

    /// `v^T T v`.
    pub fn quadratic(&self, v: &[f64]) -> f64 {
        let diagonal: f64 = self.diagonal.iter().zip(v).map(|(a, v)| a * v * v).sum();
        let pairs = v.iter().zip(v.iter().skip(1));
        diagonal + 2.0 * self.beside.iter().zip(pairs).map(|(b, (v, w))| b * v * w).sum::<f64>()
    }
}

impl Shifted<'_> {
    /// `ln det (T + t I)`.
    pub fn ln_det(&self) -> f64 {
        self.pivots.iter().map(|pivot| pivot.ln()).sum()
    }

    /// `(T + t I)^-1 b`.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = b.to_vec();
        for i in 1..x.len() {
            x[i] -= self.from.beside[i - 1] / self.pivots[i - 1] * x[i - 1];
        }
        for i in (0..x.len()).rev() {
            let above = self.from.beside.get(i).map_or(0.0, |beside| beside * x[i + 1]);
            x[i] = (x[i] - above) / self.pivots[i];
        }
        x
    }
}

fn reduce(a: &mut Matrix, b: &mut Matrix) {
    let (n, cols) = (a.rows, b.cols);
    let mut factors = Matrix::zeros(BLOCK.min(n - 1), n - 1);
    let scratch = tridiag::tridiag_in_place_scratch::<f64>(n, Par::Seq, Spec::default());
    let apply =
        householder::apply_block_householder_sequence_transpose_on_the_left_in_place_scratch::<f64>;
    let mut memory = MemBuffer::new(scratch.or(apply(n - 1, BLOCK, cols)));
    let stack = MemStack::new(&mut memory);
    let factor = factors.faer_mut();
    tridiag::tridiag_in_place(a.faer_mut(), factor, Par::Seq, stack, Spec::default());
    householder::apply_block_householder_sequence_transpose_on_the_left_in_place_with_conj(
        a.faer().submatrix(1, 0, n - 1, n - 1),
        factors.faer(),
        Conj::No,
        b.faer_mut().subrows_mut(1, n - 1),
        Par::Seq,
        MemStack::new(&mut memory),
    );
}
