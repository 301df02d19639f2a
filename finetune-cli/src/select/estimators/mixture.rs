//! A mixture of Gaussians with diagonal covariances, fitted by expectation and maximisation.
//!
//! ```text
//! E:  r_ik = w_k N(x_i; m_k, v_k) / sum_j w_j N(x_i; m_j, v_j)                  r [K, n], x [d, n]
//! M:  n_k = sum_i r_ik,  w_k = n_k / n,  m_k = sum_i r_ik x_i / n_k,  v_k = sum_i r_ik x_i^2 / n_k - m_k^2 + 1e-6
//! ```
//!
//! Begins with given means, equal weights and the variances of all rows, and ends when the mean log likelihood of a row moves
//! by less than 1e-3, or after 100 rounds: tolerance, rounds and the floor of variances are those of
//! scikit-learn's `GaussianMixture`. Means come from k-means++: the first a row at random, each other one a row with
//! probability in proportion to its squared distance from the closest so far.
//!
//! Sources: Dempster, Laird, Rubin, *Maximum likelihood from incomplete data via the EM algorithm*, 1977; Arthur,
//! Vassilvitskii, *k-means++: the advantages of careful seeding*, 2007.

use std::f64::consts::PI;

use tensor::philox::Rng;

use crate::select::linalg::{Matrix, View, add_times_transpose, times};

use super::moments::add_scaled;

/// Change of the mean log likelihood at which the rounds end.
const TOLERANCE: f64 = 1e-3;
/// Rounds at most.
const ROUNDS: usize = 100;
/// What is added to variances, so that a component of one row has a density.
const FLOOR: f64 = 1e-6;

/// The fitted mixture of K components on points of d numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// w `[K]`.
    pub weights: Vec<f64>,
    /// m `[d, K]`.
    pub means: Matrix,
    /// v `[d, K]`.
    pub variances: Matrix,
}

/// The rows that k-means++ begins with, at most `count` and fewer when the points have fewer places.
///
/// Points are columns `[d, n]`.
pub fn spread_out(points: View, count: usize, rng: &mut Rng) -> Vec<usize> {
    let rows = points.cols();
    let mut chosen = vec![rng.below(rows as u64) as usize];
    let mut distances = vec![f64::INFINITY; rows];
    while chosen.len() < count {
        let last = points.column(chosen[chosen.len() - 1]);
        for (row, distance) in distances.iter_mut().enumerate() {
            let square: f64 =
                points.column(row).iter().zip(last).map(|(a, b)| (a - b) * (a - b)).sum();
            *distance = distance.min(square);
        }
        let mut left = rng.uniform() * distances.iter().sum::<f64>();
        let hit = |distance: &f64| {
            left -= distance;
            left < 0.0
        };
        let Some(next) = distances.iter().position(hit) else { break };
        chosen.push(next);
    }
    chosen
}

impl Mixture {
    /// Fits points `[d, n]`, beginning with means `[d, K]`.
    ///
    /// # Panics
    /// When there are no points or no means, or both differ in d.
    pub fn fit(points: View, means: Matrix) -> Self {
        assert!(points.cols() > 0 && means.cols() > 0, "points and means");
        let squared = with_squares(points);
        let mut mixture = Self::first(points, means);
        let mut last = f64::NEG_INFINITY;
        for _ in 0..ROUNDS {
            let (likelihood, responsibilities) = mixture.expect(squared.view());
            mixture.maximise(squared.view(), &responsibilities);
            if (likelihood - last).abs() < TOLERANCE {
                break;
            }
            last = likelihood;
        }
        mixture
    }

    fn first(points: View, means: Matrix) -> Self {
        let (d, n, k) = (points.rows(), points.cols() as f64, means.cols());
        let mut centre = vec![0.0; d];
        (0..points.cols()).for_each(|i| add_scaled(&mut centre, 1.0 / n, points.column(i)));
        let mut variance = vec![FLOOR; d];
        for i in 0..points.cols() {
            let centred = points.column(i).iter().zip(&centre).map(|(x, m)| x - m);
            variance.iter_mut().zip(centred).for_each(|(v, x)| *v += x * x / n);
        }
        let variances = Matrix::from_columns(d, variance.repeat(k));
        Self { weights: vec![1.0 / k as f64; k], means, variances }
    }

    /// The mean log likelihood of points `[d, n]` and their responsibilities `[K, n]`.
    pub fn responsibilities(&self, points: View) -> (f64, Matrix) {
        self.expect(with_squares(points).view())
    }

    fn expect(&self, squared: View) -> (f64, Matrix) {
        let (coefficients, constants) = self.logarithm();
        let mut shares = times(coefficients.view(), squared);
        let mut sum = 0.0;
        for row in 0..shares.cols() {
            add_scaled(shares.column_mut(row), 1.0, &constants);
            sum += normalise(shares.column_mut(row));
        }
        (sum / shares.cols() as f64, shares)
    }

    /// `ln w_k N(x; m_k, v_k)` as a linear map of x and its squares: `[K, 2 d]` and constants `[K]`.
    fn logarithm(&self) -> (Matrix, Vec<f64>) {
        let (d, k) = (self.means.rows(), self.weights.len());
        let mut coefficients = Matrix::zeros(k, 2 * d);
        let mut constants: Vec<f64> = self.weights.iter().map(|w| w.ln()).collect();
        for (component, constant) in constants.iter_mut().enumerate() {
            for i in 0..d {
                let (m, v) = (self.means[(i, component)], self.variances[(i, component)]);
                coefficients[(component, i)] = m / v;
                coefficients[(component, d + i)] = -0.5 / v;
                *constant -= 0.5 * (m * m / v + (2.0 * PI * v).ln());
            }
        }
        (coefficients, constants)
    }

    fn maximise(&mut self, squared: View, responsibilities: &Matrix) {
        let (d, k) = (self.means.rows(), self.weights.len());
        // scikit-learn's guard for a component without rows.
        let mut counts = vec![10.0 * f64::EPSILON; k];
        for row in 0..responsibilities.cols() {
            add_scaled(&mut counts, 1.0, responsibilities.column(row));
        }
        let mut sums = Matrix::zeros(2 * d, k);
        add_times_transpose(&mut sums, squared, responsibilities.view());
        let all: f64 = counts.iter().sum();
        for (component, count) in counts.iter().enumerate() {
            self.weights[component] = count / all;
            for i in 0..d {
                let mean = sums[(i, component)] / count;
                let variance = sums[(d + i, component)] / count - mean * mean;
                self.means[(i, component)] = mean;
                self.variances[(i, component)] = variance.max(0.0) + FLOOR;
            }
        }
    }
}

/// x above its squares, `[2 d, n]`.
fn with_squares(points: View) -> Matrix {
    let d = points.rows();
    let mut both = Matrix::zeros(2 * d, points.cols());
    for i in 0..points.cols() {
        let (x, squares) = both.column_mut(i).split_at_mut(d);
        x.copy_from_slice(points.column(i));
        squares.iter_mut().zip(points.column(i)).for_each(|(square, x)| *square = x * x);
    }
    both
}

/// Logarithms to shares of their sum, whose logarithm is returned.
fn normalise(logarithms: &mut [f64]) -> f64 {
    let largest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logarithms.iter_mut().for_each(|x| *x = (*x - largest).exp());
    let sum: f64 = logarithms.iter().sum();
    logarithms.iter_mut().for_each(|x| *x /= sum);
    largest + sum.ln()
}
