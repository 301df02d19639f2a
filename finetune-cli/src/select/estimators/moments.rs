//! Sums over rows from which covariances, regressions and their like are made.
//!
//! ```text
//! n,  sum x [D],  sum x x^T [D, D],  sum x y^T [D, C],  sum y, sum y^2 [C],  sum |x|^4,  sum |x|^2 x [D]
//! ```
//!
//! x is a row of states, y its targets. The sums of two sets of rows add up to those of both (`merge`), and those of
//! a part can be taken out of the whole (`minus`), so that N rows in chunks need memory for D^2 + C D numbers and
//! leaving out a fold costs no pass over rows. All sums are in f64, uncentred: a mean m of the states
//! costs `log10(m^2 / variance)` of 16 digits in a covariance, harmless for states of f32.

use crate::select::linalg::{Matrix, View, add_squares, add_times_transpose};

/// The most rows that are held in f64 at a time.
const CHUNK: usize = 256;

/// What is summed over rows of D states and C targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Rows, n.
    pub rows: f64,
    /// `sum x`, `[D]`.
    pub states: Vec<f64>,
    /// `sum x x^T`, `[D, D]`, the lower triangle.
    pub squares: Matrix,
    /// `sum x y^T`, `[D, C]`.
    pub cross: Matrix,
    /// `sum y`, `[C]`.
    pub targets: Vec<f64>,
    /// `sum y^2`, `[C]`.
    pub target_squares: Vec<f64>,
    /// `sum |x|^4`.
    pub norms: f64,
    /// `sum |x|^2 x`, `[D]`.
    pub weighted: Vec<f64>,
}

impl Moments {
    /// Of no rows, of `width` states and `targets` targets each.
    pub fn new(width: usize, targets: usize) -> Self {
        Self {
            rows: 0.0,
            states: vec![0.0; width],
            squares: Matrix::zeros(width, width),
            cross: Matrix::zeros(width, targets),
            targets: vec![0.0; targets],
            target_squares: vec![0.0; targets],
            norms: 0.0,
            weighted: vec![0.0; width],
        }
    }

    /// Adds rows: `states` `[n, D]` and `targets` `[n, C]`, row by row.
    ///
    /// # Panics
    /// When the two don't have the same whole number of rows, or a row is of no states or targets.
    pub fn add(&mut self, states: &[f32], targets: &[f64]) {
        let (width, outputs) = (self.states.len(), self.targets.len());
        let rows = states.chunks(CHUNK * width).zip(targets.chunks(CHUNK * outputs));
        assert_eq!(states.len() * outputs, targets.len() * width, "as many states as targets");
        for (states, targets) in rows {
            let states: Vec<f64> = states.iter().map(|&x| f64::from(x)).collect();
            self.add_columns(View::new(width, &states), View::new(outputs, targets));
        }
    }

    /// Adds rows that stand as columns: states `[D, n]` and targets `[C, n]`.
    pub(crate) fn add_columns(&mut self, states: View, targets: View) {
        assert_eq!(states.cols(), targets.cols(), "as many states as targets");
        self.rows += states.cols() as f64;
        add_squares(&mut self.squares, states);
        add_times_transpose(&mut self.cross, states, targets);
        for row in 0..states.cols() {
            let (x, y) = (states.column(row), targets.column(row));
            let square = dot(x, x);
            self.norms += square * square;
            add_scaled(&mut self.states, 1.0, x);
            add_scaled(&mut self.weighted, square, x);
            add_scaled(&mut self.targets, 1.0, y);
            self.target_squares.iter_mut().zip(y).for_each(|(sum, y)| *sum += y * y);
        }
    }

    /// Adds the sums of other rows. Panics when their widths differ, as does [`Moments::minus`].
    pub fn merge(&mut self, other: &Self) {
        self.combine(1.0, other);
    }

    /// The sums without those of `part`, which must be among these rows.
    pub fn minus(&self, part: &Self) -> Self {
        let mut rest = self.clone();
        rest.combine(-1.0, part);
        rest
    }

    fn combine(&mut self, sign: f64, other: &Self) {
        assert_eq!(self.states.len(), other.states.len(), "states of one width");
        assert_eq!(self.targets.len(), other.targets.len(), "targets of one width");
        self.rows += sign * other.rows;
        self.norms += sign * other.norms;
        add_scaled(&mut self.states, sign, &other.states);
        add_scaled(&mut self.weighted, sign, &other.weighted);
        add_scaled(&mut self.targets, sign, &other.targets);
        add_scaled(&mut self.target_squares, sign, &other.target_squares);
        add_scaled(self.squares.data_mut(), sign, other.squares.data());
        add_scaled(self.cross.data_mut(), sign, other.cross.data());
    }

    /// The mean of the states, `[D]`.
    pub fn mean(&self) -> Vec<f64> {
        self.states.iter().map(|sum| sum / self.rows).collect()
    }

    /// `sum (x - m) (x - m)^T` about the mean m, `[D, D]`, the lower triangle.
    pub fn scatter(&self) -> Matrix {
        let mut scatter = self.squares.clone();
        scatter.add_outer(-1.0 / self.rows, &self.states, &self.states);
        scatter
    }

    /// `sum (x - mean x) (y - mean y)` for target `c`, `[D]`.
    pub fn covariation(&self, c: usize) -> Vec<f64> {
        let mut sums = self.cross.column(c).to_vec();
        add_scaled(&mut sums, -self.targets[c] / self.rows, &self.states);
        sums
    }

    /// `sum (y - mean y)^2` of target `c`.
    pub fn target_scatter(&self, c: usize) -> f64 {
        self.target_squares[c] - self.targets[c] * self.targets[c] / self.rows
    }
}

/// `sum a b`.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Eight sums side by side, which one register of the widest instruction set holds.
    let mut sums = [0.0; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in left.zip(right) {
        (0..8).for_each(|i| sums[i] += a[i] * b[i]);
    }
    sums.iter().sum::<f64>() + rest
}

/// `to += factor x`.
pub(crate) fn add_scaled(to: &mut [f64], factor: f64, x: &[f64]) {
    to.iter_mut().zip(x).for_each(|(to, x)| *to += factor * x);
}
