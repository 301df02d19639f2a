//! H-score with a shrunk covariance: how much of the states' spread lies between the classes.
//!
//! ```text
//! H = (1 - a) tr(S_a^-1 B)          S_a = (1 - a) S + a (tr S / D) I,  S = cov(x) [D, D]
//! B = sum_c p_c (m_c - m) (m_c - m)^T = sum_c cov(x, y_c) cov(x, y_c)^T / p_c    y_c: 1 in class c
//! B = cov(x, y) cov(x, y)^T / var(y)                                             a score or a label
//! ```
//!
//! a is the shrinkage of Ledoit and Wolf, as in `sklearn.covariance.ledoit_wolf`. The factor 1 - a, the authors', keeps
//! H in [0, C - 1], [0, 1] for a label or score. For scores the optimal function of the truth becomes the optimal
//! linear one; for two values both are the same number. Several labels: the mean over those that vary. Covariances
//! divide by N. States that do not vary tell nothing: 0; a shrunk covariance that is singular (a = 0, as with
//! two rows): NaN.
//!
//! Sources: Bao et al., *An information-theoretic approach to transferability in task transfer learning*, ICIP
//! 2019; Ibrahim, Ponomareva, Mazumder, *Newer is not always better*, 2022, <https://arxiv.org/abs/2110.06893>;
//! Ledoit, Wolf, *A well-conditioned estimator for large-dimensional covariance matrices*, 2004.

use crate::select::linalg::{Cholesky, Matrix};

use super::moments::{Moments, dot};
use super::sample::{Kind, live};

/// A variance this small beside the mean square is rounding of the sums.
const ROUNDING: f64 = 1e-13;

/// The H-score of rows with these sums; higher is better. NaN where the truth doesn't vary.
pub fn h_score(moments: &Moments, kind: Kind) -> f64 {
    let live = live(moments, kind);
    let mut covariance = moments.scatter();
    covariance.scale_and_shift(1.0 / moments.rows, 0.0);
    let spread = covariance.trace();
    if live.is_empty() {
        return f64::NAN;
    }
    if spread <= ROUNDING * moments.squares.trace() / moments.rows {
        return 0.0;
    }
    let shrinkage = shrinkage(moments, &covariance);
    covariance.scale_and_shift(1.0 - shrinkage, shrinkage * spread / covariance.rows() as f64);
    let sum = Cholesky::new(&covariance)
        .map_or(f64::NAN, |factor| explained(moments, kind, &live, &factor));
    (1.0 - shrinkage) * if kind == Kind::Class { sum } else { sum / live.len() as f64 }
}

/// `tr(S^-1 B)`, or the sum of those of each target: `|L^-1 v|^2` of each v whose `v v^T` make up B.
fn explained(moments: &Moments, kind: Kind, live: &[usize], factor: &Cholesky) -> f64 {
    let columns = live.iter().flat_map(|&c| moments.covariation(c)).collect();
    let mut rays = Matrix::from_columns(moments.states.len(), columns);
    factor.half_solve(&mut rays);
    let share = |(i, &c)| {
        let ray = rays.column(i);
        dot(ray, ray) / moments.rows / scale(moments, kind, c)
    };
    live.iter().enumerate().map(share).sum()
}

/// N times what a ray's square is divided by.
fn scale(moments: &Moments, kind: Kind, c: usize) -> f64 {
    if kind == Kind::Class { moments.targets[c] } else { moments.target_scatter(c) }
}

/// The weight of the identity, in [0, 1]; `covariance` is that of the sums.
fn shrinkage(moments: &Moments, covariance: &Matrix) -> f64 {
    let (rows, width) = (moments.rows, covariance.rows() as f64);
    // One state is its own mean variance, whatever the weight.
    if covariance.rows() == 1 {
        return 0.0;
    }
    let square = square_norm(covariance);
    let spread = covariance.trace();
    let distance = (square - spread * spread / width) / width;
    let noise = (centred_norms(moments) / rows - square) / (width * rows);
    let noise = noise.min(distance);
    if noise <= 0.0 { 0.0 } else { noise / distance }
}

/// The sum of the squares of all elements of a symmetric matrix.
fn square_norm(lower: &Matrix) -> f64 {
    let column = |j: usize| {
        let below = &lower.column(j)[j + 1..];
        2.0 * dot(below, below) + lower[(j, j)].powi(2)
    };
    (0..lower.cols()).map(column).sum()
}

/// `sum |x - m|^4`, from `|x - m|^2 = |x|^2 - 2 m x + |m|^2`.
fn centred_norms(moments: &Moments) -> f64 {
    let mean = moments.mean();
    let square = dot(&mean, &mean);
    let along = quadratic(&moments.squares, &mean);
    let norms = moments.norms + 4.0 * along - 4.0 * dot(&mean, &moments.weighted);
    norms + 2.0 * square * moments.squares.trace() - 3.0 * moments.rows * square * square
}

/// `v^T A v` of a symmetric matrix.
fn quadratic(lower: &Matrix, v: &[f64]) -> f64 {
    let column = |j: usize| {
        let below = dot(&lower.column(j)[j + 1..], &v[j + 1..]);
        v[j] * (2.0 * below + lower[(j, j)] * v[j])
    };
    (0..v.len()).map(column).sum()
}
