//! Logistic regression with a squared penalty, solved to the last digits that matter.
//!
//! ```text
//! min over W [D, K], b [K]:   sum_i loss(W^T a_i + b, y_i) + D/2 |W|^2          (b is free)
//! two classes: K = 1, loss = ln(1 + e^z) - y z          more: K classes, loss = ln sum_k e^z_k - z_y
//! gradient: A R^T + D W, and the row sums of R            R = p - y [K, n]
//! ```
//!
//! The penalty is the prior w ~ N(0, 1 / D), under which a score has the variance 1 whatever the width of the states: a
//! fixed penalty would leave wide states all but free, and the probe would measure how it overfits.
//!
//! L-BFGS, which begins each direction with the inverse of `c A A^T + D I`, c a typical weight p (1 - p): the Hessian
//! of a class lies close to that matrix. Scores are linear in the step, so that the search along a direction costs no
//! product: Newton's method between brackets, to a tenth of the first slope. Two thin products per step.
//! Ends when the gradient, measured by that inverse, is below 1e-8.
//!
//! Sources: Nocedal, Wright, *Numerical optimization*, 2006, algorithm 7.4; the problem is that of
//! `sklearn.linear_model.LogisticRegression` with C = 1 / D.

use std::collections::VecDeque;

use crate::select::linalg::{Matrix, View, times, transpose_times};

use super::features::Inverse;
use super::moments::{add_scaled, dot};

/// Steps that L-BFGS remembers.
const MEMORY: usize = 12;
/// Length of the gradient, in logits of a step, at which the solution is taken.
const TOLERANCE: f64 = 1e-8;
/// An end that no convex problem of this kind comes near.
const STEPS: usize = 1000;
/// A typical weight p (1 - p) of a class at the solution.
const WEIGHT: f64 = 0.15;
/// Share of the first slope at which the search along a direction ends.
const SLOPE: f64 = 0.1;

/// The problem: features `[D, n]` and targets `[K, n]`.
pub(super) struct Logistic<'a> {
    pub features: View<'a>,
    pub targets: &'a Matrix,
    pub inverse: &'a Inverse<'a>,
}

/// Weights `[D, K]` and biases `[K]`, one behind the other: the coordinates of the search.
#[derive(Clone)]
pub(super) struct Solution {
    weights: Matrix,
    biases: Vec<f64>,
}

/// A step of the past: what moved, and how the gradient changed.
struct Step {
    moved: Solution,
    change: Solution,
    /// One over their product.
    rho: f64,
}

/// `(c A A^T + D I)^-1` for features `[D, n]`.
pub(super) fn preconditioner(features: View) -> Option<Inverse> {
    Inverse::new(features, WEIGHT, penalty(features))
}

/// D, the factor of the penalty.
fn penalty(features: View) -> f64 {
    features.rows() as f64
}

impl Solution {
    fn zeros(width: usize, outputs: usize) -> Self {
        Self { weights: Matrix::zeros(width, outputs), biases: vec![0.0; outputs] }
    }

    fn dot(&self, other: &Self) -> f64 {
        dot(self.weights.data(), other.weights.data()) + dot(&self.biases, &other.biases)
    }

    fn add(&mut self, factor: f64, other: &Self) {
        add_scaled(self.weights.data_mut(), factor, other.weights.data());
        add_scaled(&mut self.biases, factor, &other.biases);
    }

    /// Scores `[K, n]` of features `[D, n]`.
    pub fn scores(&self, features: View) -> Matrix {
        let mut scores = transpose_times(self.weights.view(), features);
        for row in 0..scores.cols() {
            add_scaled(scores.column_mut(row), 1.0, &self.biases);
        }
        scores
    }
}

impl Logistic<'_> {
    /// The minimum.
    pub fn solve(&self) -> Solution {
        let (width, outputs) = (self.features.rows(), self.targets.rows());
        let mut at = Solution::zeros(width, outputs);
        let mut scores = at.scores(self.features);
        let mut gradient = self.gradient(&at, &scores);
        let mut past = VecDeque::with_capacity(MEMORY);
        for _ in 0..STEPS {
            let direction = self.direction(&gradient, &past);
            let slope = direction.dot(&gradient);
            if slope.is_nan() || slope > -TOLERANCE * TOLERANCE {
                break;
            }
            let along = direction.scores(self.features);
            let length = self.search(&scores, &along, (&at, &direction));
            at.add(length, &direction);
            add_scaled(scores.data_mut(), length, along.data());
            let new = self.gradient(&at, &scores);
            remember(&mut past, (length, direction), &gradient, &new);
            gradient = new;
        }
        at
    }

    fn gradient(&self, at: &Solution, scores: &Matrix) -> Solution {
        let mut errors = scores.clone();
        let mut biases = vec![0.0; errors.rows()];
        for row in 0..errors.cols() {
            let column = errors.column_mut(row);
            probabilities(column);
            add_scaled(column, -1.0, self.targets.column(row));
            add_scaled(&mut biases, 1.0, column);
        }
        // [n, K], so that the product reads the features column by column.
        let mut weights = times(self.features, transpose(&errors).view());
        add_scaled(weights.data_mut(), penalty(self.features), at.weights.data());
        Solution { weights, biases }
    }

    /// The two loops of L-BFGS, downhill.
    fn direction(&self, gradient: &Solution, past: &VecDeque<Step>) -> Solution {
        let mut direction = gradient.clone();
        let mut factors = Vec::with_capacity(past.len());
        for step in past.iter().rev() {
            let factor = step.rho * step.moved.dot(&direction);
            direction.add(-factor, &step.change);
            factors.push(factor);
        }
        direction = self.precondition(direction);
        for (step, factor) in past.iter().zip(factors.into_iter().rev()) {
            let other = step.rho * step.change.dot(&direction);
            direction.add(factor - other, &step.moved);
        }
        direction.weights.scale_and_shift(-1.0, 0.0);
        direction.biases.iter_mut().for_each(|bias| *bias = -*bias);
        direction
    }

    fn precondition(&self, mut gradient: Solution) -> Solution {
        let rows = self.features.cols() as f64;
        gradient.biases.iter_mut().for_each(|bias| *bias /= WEIGHT * rows);
        Solution { weights: self.inverse.apply(gradient.weights), biases: gradient.biases }
    }

    /// The length at which the slope along a direction is small.
    fn search(&self, scores: &Matrix, along: &Matrix, step: (&Solution, &Solution)) -> f64 {
        let (at, direction) = (step.0.weights.data(), step.1.weights.data());
        let penalty = penalty(self.features);
        let (first, curve) = (penalty * dot(at, direction), penalty * dot(direction, direction));
        let slopes = |t: f64| {
            let (slope, bend) = self.slopes(scores, along, t);
            (slope + first + t * curve, bend + curve)
        };
        let start = slopes(0.0).0.abs();
        let (mut low, mut high, mut t) = (0.0, f64::INFINITY, 1.0);
        for _ in 0..50 {
            let (slope, bend) = slopes(t);
            if slope.abs() <= SLOPE * start {
                break;
            }
            if slope < 0.0 {
                low = t
            } else {
                high = t
            }
            let newton = t - slope / bend;
            let inside = newton > low && newton < high.min(10.0 * t);
            t = if inside { newton } else { (low + high.min(4.0 * t)) / 2.0 };
        }
        t
    }

    /// First and second derivative of the losses along a direction.
    fn slopes(&self, scores: &Matrix, along: &Matrix, t: f64) -> (f64, f64) {
        let (mut slope, mut bend) = (0.0, 0.0);
        let mut p = vec![0.0; scores.rows()];
        for row in 0..scores.cols() {
            let step = along.column(row);
            p.copy_from_slice(scores.column(row));
            add_scaled(&mut p, t, step);
            probabilities(&mut p);
            let terms = p.iter().zip(step).zip(self.targets.column(row));
            let (mut mean, mut square) = (0.0, 0.0);
            for ((p, step), y) in terms {
                slope += (p - y) * step;
                mean += p * step;
                square += p * step * step;
            }
            bend += square - mean * mean;
        }
        (slope, bend)
    }
}

fn remember(past: &mut VecDeque<Step>, step: (f64, Solution), old: &Solution, new: &Solution) {
    let (length, mut moved) = step;
    moved.weights.scale_and_shift(length, 0.0);
    moved.biases.iter_mut().for_each(|bias| *bias *= length);
    let mut change = new.clone();
    change.add(-1.0, old);
    let product = moved.dot(&change);
    if product > 0.0 {
        past.push_back(Step { moved, change, rho: 1.0 / product });
    }
    if past.len() > MEMORY {
        past.pop_front();
    }
}

fn transpose(matrix: &Matrix) -> Matrix {
    let mut out = Matrix::zeros(matrix.cols(), matrix.rows());
    for j in 0..matrix.cols() {
        matrix.column(j).iter().enumerate().for_each(|(i, &x)| out[(j, i)] = x);
    }
    out
}

/// Scores to probabilities: the logistic function of one score, the softmax of several.
pub(super) fn probabilities(scores: &mut [f64]) {
    if let [score] = scores {
        *score = 1.0 / (1.0 + (-*score).exp());
        return;
    }
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// The logarithm of the probability of output `c` (of one score: whether it is 1), from scores.
pub(super) fn ln_probability(scores: &[f64], c: usize) -> f64 {
    if let [score] = scores {
        let margin = if c == 1 { *score } else { -*score };
        return -((-margin.abs()).exp().ln_1p() + (-margin).max(0.0));
    }
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
    scores[c] - largest - sum.ln()
}
