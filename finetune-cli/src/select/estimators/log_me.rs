//! LogME: the log evidence of a Bayesian linear map from states to labels, at its maximum, per row.
//!
//! ```text
//! y = X w + noise,   w ~ N(0, I / a),   noise ~ N(0, I / b),   t = a / b,   M = X^T X + t I
//! L N = N/2 ln b - 1/2 ln det(M / t) - b/2 |y - X w|^2 - a/2 |w|^2 - N/2 ln 2 pi       w = M^-1 X^T y
//! g = sum_i s_i / (s_i + t),   a = g / (|w|^2 + e),   b = (N - g) / (|y - X w|^2 + e),   e = 1e-5
//! ```
//!
//! s are the eigenvalues of X^T X. The mean over the classes that have rows (one-hot y), over the labels that vary,
//! or of the score. The states are not centred. As in the authors' code but for two things: the
//! fixed point is iterated until t moves by less than 1e-10 of itself (theirs: 1e-3, at most 11 steps), by secants
//! in ln t, and with fewer rows than states ln det is that of the formula. States that are all 0 leave the evidence
//! of noise alone.
//!
//! X^T X [D, D], or X X^T [N, N] when that is smaller, is reduced to three diagonals once for all y and t.
//!
//! Source: You, Liu, Wang, Long, *LogME: practical assessment of pre-trained models for transfer learning*, ICML
//! 2021, <https://arxiv.org/abs/2102.11005>, <https://github.com/thuml/LogME>.

use std::f64::consts::PI;

use crate::select::linalg::{Matrix, Tridiagonal, inner_products};

use super::moments::{Moments, dot};
use super::sample::{Kind, Rows, live};

/// The authors' guard against division by zero.
const GUARD: f64 = 1e-5;
/// Relative change of t at which the iteration ends.
const TOLERANCE: f64 = 1e-10;
/// An end for fixed points that are approached slowly.
const STEPS: usize = 1000;

/// A target seen through the reduced matrix.
struct Evidence<'a> {
    rows: f64,
    matrix: &'a Tridiagonal,
    /// Whether the matrix is X^T X, not X X^T.
    primal: bool,
    /// `Q^T X^T y`, or `Q^T y`.
    target: &'a [f64],
    /// `|y|^2`.
    square: f64,
}

/// The maximum of one target's evidence depends on these, at a shift t.
struct Fit {
    /// `|w|^2`.
    weights: f64,
    /// `|y - X w|^2`.
    residual: f64,
    /// g, and N - g without its cancellation.
    used: f64,
    unused: f64,
}

/// LogME of rows with these sums; higher is better. NaN where the truth doesn't vary.
///
/// For fewer rows than states the estimators go through the rows themselves, to the same value.
pub fn log_me(moments: &Moments, kind: Kind) -> f64 {
    let live = live(moments, kind);
    let targets = moments.cross.gather(&live);
    evidence(moments, &live, moments.squares.clone(), targets)
}

/// LogME of the rows that are kept.
pub(super) fn of_rows(rows: &Rows, left_out: Option<usize>) -> f64 {
    let moments = rows.moments(left_out);
    if moments.rows as usize >= rows.states.rows() {
        return log_me(&moments, rows.kind);
    }
    let kept = rows.kept(left_out);
    let live = live(&moments, rows.kind);
    let target = |&c: &usize| kept.iter().map(move |&row| rows.targets[(c, row)]);
    let targets = live.iter().flat_map(target).collect();
    let products = inner_products(rows.states.gather(&kept).view());
    evidence(&moments, &live, products, Matrix::from_columns(kept.len(), targets))
}

/// The mean over the targets `live`, whose images under the transposed map (or themselves) are the columns.
fn evidence(moments: &Moments, live: &[usize], squares: Matrix, mut columns: Matrix) -> f64 {
    if live.is_empty() {
        return f64::NAN;
    }
    let primal = moments.rows as usize >= moments.states.len();
    if squares.trace() == 0.0 {
        return live.iter().map(|&c| null(moments.rows, moments.target_squares[c])).sum::<f64>()
            / live.len() as f64;
    }
    let matrix = &Tridiagonal::new(squares, &mut columns);
    let one = |(i, &c): (usize, &usize)| {
        let (target, square) = (columns.column(i), moments.target_squares[c]);
        Evidence { rows: moments.rows, matrix, primal, target, square }.maximum()
    };
    live.iter().enumerate().map(one).sum::<f64>() / live.len() as f64
}

/// The evidence without states: noise alone.
fn null(rows: f64, square: f64) -> f64 {
    let noise = rows / (square + GUARD);
    0.5 * noise.ln() - noise / 2.0 * square / rows - 0.5 * (2.0 * PI).ln()
}

/// How far to go along a step of the fixed point, when steps change by `slope` per unit of ln t (secant method).
fn stretch(slope: f64) -> f64 {
    // Towards a stable fixed point steps shrink; elsewhere the plain step is taken.
    if slope < 0.0 && slope.is_finite() { (-1.0 / slope).clamp(0.1, 10.0) } else { 1.0 }
}

impl Evidence<'_> {
    fn maximum(&self) -> f64 {
        let (mut t, mut step, mut moved) = (1.0f64, 0.0, 0.0);
        for _ in 0..STEPS {
            let fit = self.fit(t);
            let next = (fit.prior() / fit.noise() / t).ln();
            if next.abs() <= TOLERANCE || !next.is_finite() {
                break;
            }
            moved = next * stretch((next - step) / moved);
            step = next;
            t *= moved.exp();
        }
        self.at(t)
    }

    fn at(&self, t: f64) -> f64 {
        let fit = self.fit(t);
        let (prior, noise) = (fit.prior(), fit.noise());
        let size = self.target.len() as f64;
        let ln_det = self.matrix.shifted(t).ln_det() - size * t.ln();
        let errors = noise * fit.residual + prior * fit.weights;
        (self.rows * noise.ln() - ln_det - errors) / 2.0 / self.rows - 0.5 * (2.0 * PI).ln()
    }

    fn fit(&self, t: f64) -> Fit {
        let shifted = self.matrix.shifted(t);
        let solution = shifted.solve(self.target);
        let (norm, size) = (dot(&solution, &solution), self.target.len() as f64);
        let left = t * shifted.inverse_trace;
        let (weights, residual) = if self.primal {
            let explained = dot(&solution, self.target) + t * norm;
            (norm, (self.square - explained).max(0.0))
        } else {
            (self.matrix.quadratic(&solution), t * t * norm)
        };
        Fit { weights, residual, used: size - left, unused: self.rows - size + left }
    }
}

impl Fit {
    /// a.
    fn prior(&self) -> f64 {
        self.used / (self.weights + GUARD)
    }

    /// b.
    fn noise(&self) -> f64 {
        self.unused / (self.residual + GUARD)
    }
}
