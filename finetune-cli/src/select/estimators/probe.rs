//! Linear probe: a linear model of the truth on standardised states, tested on the fold it has not seen.
//!
//! ```text
//! value = mean over rows of ln p(y | x)        p fitted on the other folds
//! ```
//!
//! Classes: multinomial logistic regression (of one score for two classes), as scikit-learn's `LogisticRegression`
//! with C = 1 / D. Labels: one for each, and the mean over labels. Scores: ridge regression with free bias and
//! penalty D |w|^2; the value is Pearson's correlation of the predictions outside training with the truth (NaN when
//! a side is constant). Either penalty is a prior under which all D standardised states together have unit variance.
//!
//! The logarithm grows smoothly where an accuracy jumps by 1 / N; the accuracy (over rows and labels) is there as
//! well. A class that none of n training rows has gets the probability 1 / (n + 2), that of Laplace's rule; so does
//! the absent value of a label, or of two classes, and the only one left gets the rest.
//!
//! Without a fold, the value is that of the rows of the other folds, each under the model that had not seen it:
//! nothing is fitted again.

use std::ops::Range;

use crate::select::linalg::{Matrix, times, transpose_times};

use super::features::{Inverse, Scaler};
use super::logistic::{Logistic, ln_probability, preconditioner};
use super::sample::{Kind, Rows};
use super::statistics::{mean, pearson};

/// Rows under the models that had not seen them.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// `ln p` of the truth (mean over labels) of each row; for scores, the predictions.
    pub scores: Vec<f64>,
    /// For each row, the share of right answers, one per row or label; empty for scores.
    pub right: Vec<f64>,
}

impl Probe {
    /// Fits one model per fold.
    pub(super) fn new(rows: &Rows) -> Self {
        let mut probe = Self { scores: vec![], right: vec![] };
        for fold in rows.folds.iter().filter(|fold| !fold.is_empty()) {
            let training: Vec<usize> = (0..rows.count()).filter(|i| !fold.contains(i)).collect();
            if training.is_empty() {
                probe.untrained(rows, fold);
            } else {
                Fold::new(rows, fold, training).test(rows, &mut probe);
            }
        }
        probe
    }

    /// All rows are of one fold.
    fn untrained(&mut self, rows: &Rows, fold: &Range<usize>) {
        let score = if rows.kind == Kind::Score { 0.0 } else { unseen(0).ln() };
        self.scores.extend(fold.clone().map(|_| score));
        self.right.extend(fold.clone().map(|_| 0.0).filter(|_| rows.kind != Kind::Score));
    }

    /// The value over the rows that are kept.
    pub(super) fn value(&self, rows: &Rows, left_out: Option<usize>) -> f64 {
        let kept = rows.kept(left_out);
        let scores: Vec<f64> = kept.iter().map(|&row| self.scores[row]).collect();
        if rows.kind != Kind::Score {
            return mean(&scores);
        }
        let truth: Vec<f64> = kept.iter().map(|&row| rows.targets[(0, row)]).collect();
        pearson(&scores, &truth)
    }

    /// Share of right answers over all rows (and labels); NaN for scores.
    pub fn accuracy(&self) -> f64 {
        mean(&self.right)
    }
}

/// `ln p` of the truth of a row, and whether it was the guess.
type Outcome = (f64, bool);

/// The probability of what n rows never had.
fn unseen(rows: usize) -> f64 {
    1.0 / (rows as f64 + 2.0)
}

/// What one fold's model learns from and is tested on.
struct Fold {
    training: Vec<usize>,
    tested: Vec<usize>,
    features: Matrix,
    tests: Matrix,
}

impl Fold {
    fn new(rows: &Rows, fold: &Range<usize>, training: Vec<usize>) -> Self {
        let states = rows.states.gather(&training);
        let scaler = Scaler::new(states.view());
        let tested: Vec<usize> = fold.clone().collect();
        let tests = scaler.apply(rows.states.gather(&tested));
        Self { training, tested, features: scaler.apply(states), tests }
    }

    fn test(&self, rows: &Rows, probe: &mut Probe) {
        if rows.kind == Kind::Score {
            probe.scores.extend(self.ridge(&rows.target(0)));
            return;
        }
        // Labels are fitted one by one and share the matrix; classes are one fit.
        let inverse = preconditioner(self.features.view());
        let outcomes: Vec<Vec<Outcome>> = match rows.kind {
            Kind::Class => vec![self.classes(&rows.classes(), rows.targets.rows(), &inverse)],
            _ => (0..rows.targets.rows())
                .map(|c| {
                    let label: Vec<usize> = rows.target(c).iter().map(|&y| y as usize).collect();
                    self.classes(&label, 2, &inverse)
                })
                .collect(),
        };
        for i in 0..self.tested.len() {
            let of = |f: &dyn Fn(Outcome) -> f64| -> f64 {
                mean(&outcomes.iter().map(|outcome| f(outcome[i])).collect::<Vec<_>>())
            };
            probe.scores.push(of(&|outcome| outcome.0));
            probe.right.push(of(&|outcome| f64::from(outcome.1)));
        }
    }

    /// The logarithm of the probability of the truth of each tested row, and whether it was the guess.
    fn classes(&self, truth: &[usize], count: usize, inverse: &Option<Inverse>) -> Vec<Outcome> {
        let seen = |&class: &usize| self.training.iter().any(|&row| truth[row] == class);
        let present: Vec<usize> = (0..count).filter(seen).collect();
        let place = |&row: &usize| present.iter().position(|&class| class == truth[row]);
        let training: Vec<usize> = self.training.iter().filter_map(place).collect();
        let tested: Vec<Option<usize>> = self.tested.iter().map(place).collect();
        match inverse {
            Some(inverse) if present.len() > 1 => {
                self.fitted(&one_hot(&training, present.len()), &tested, inverse)
            }
            _ => tested.iter().map(|place| self.unfitted(*place)).collect(),
        }
    }

    /// Where all training rows are of one class.
    fn unfitted(&self, place: Option<usize>) -> Outcome {
        let unseen = unseen(self.training.len());
        let probability = if place.is_some() { 1.0 - unseen } else { unseen };
        (probability.ln(), place.is_some())
    }

    /// By logistic regression on targets `[K, n]`; `None` is a class without training rows.
    fn fitted(
        &self,
        targets: &Matrix,
        tested: &[Option<usize>],
        inverse: &Inverse,
    ) -> Vec<Outcome> {
        let solution = Logistic { features: self.features.view(), targets, inverse }.solve();
        let scores = solution.scores(self.tests.view());
        let unseen = unseen(self.training.len()).ln();
        let outcome = |(row, place): (usize, &Option<usize>)| {
            let scores = scores.column(row);
            let ln = place.map_or(unseen, |class| ln_probability(scores, class));
            (ln, *place == Some(guess(scores)))
        };
        tested.iter().enumerate().map(outcome).collect()
    }

    /// The predicted score of each tested row.
    fn ridge(&self, truth: &[f64]) -> Vec<f64> {
        let truth: Vec<f64> = self.training.iter().map(|&row| truth[row]).collect();
        let centre = mean(&truth);
        let centred = truth.iter().map(|y| y - centre).collect();
        let centred = Matrix::from_columns(truth.len(), centred);
        let features = self.features.view();
        let Some(inverse) = Inverse::new(features, 1.0, features.rows() as f64) else {
            return vec![centre; self.tested.len()];
        };
        let weights = inverse.apply(times(features, centred.view()));
        let predicted = transpose_times(self.tests.view(), weights.view());
        predicted.data().iter().map(|x| x + centre).collect()
    }
}

/// Targets `[K, n]` of logistic regression: one row of 0 and 1 for two classes.
fn one_hot(classes: &[usize], count: usize) -> Matrix {
    if count == 2 {
        return Matrix::from_columns(1, classes.iter().map(|&class| class as f64).collect());
    }
    let mut targets = Matrix::zeros(count, classes.len());
    classes.iter().enumerate().for_each(|(row, &class)| targets[(class, row)] = 1.0);
    targets
}

/// The place of the largest score; of one score, whether it is positive.
fn guess(scores: &[f64]) -> usize {
    if let [score] = scores {
        return usize::from(*score > 0.0);
    }
    (0..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best })
}
