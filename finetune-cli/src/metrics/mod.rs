//! How good predictions are: the numbers of scikit-learn and SciPy, under the names that Hugging Face gives them.
//!
//! ```text
//! precision  tp / (tp + fp)        recall  tp / (tp + fn)        f1  2 tp / (2 tp + fp + fn)
//! macro      mean over classes     weighted  mean by true rows   micro  from the sums of tp, fp, fn
//! mcc        (s c - sum_k t_k p_k) / sqrt((s^2 - sum_k p_k^2) (s^2 - sum_k t_k^2))
//! r2         1 - sum (y - x)^2 / sum (y - mean y)^2
//! pearson    cov(x, y) / (std x  std y)            spearmanr  pearson of the ranks
//! ```
//!
//! Over s examples, c of them right, class k true t_k times and predicted p_k times. What would divide by
//! zero is 0, as with scikit-learn's `zero_division=0`; a correlation with a constant is NaN, as in SciPy. All
//! sums are in f64.
//!
//! Sources: <https://scikit-learn.org/stable/modules/model_evaluation.html>; Gorodkin, *Comparing two
//! K-category assignments by a K-category correlation coefficient*, 2004. The fixtures of
//! `tests/metrics.rs` come from both libraries.

mod classification;
mod display;
mod regression;
mod tagging;

pub use classification::{multi_label, single_label};
pub use regression::regression;
pub use tagging::{Entity, are_entities, entities, is_of_entities, tagging};

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Precision, recall and F1 of one class.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ClassScores {
    /// The name of the class.
    #[serde(skip)]
    pub name: String,
    /// Of the rows predicted as this class, the share that are.
    pub precision: f64,
    /// Of the rows of this class, the share predicted as such.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// How many rows are of this class.
    pub support: u64,
}

/// All metrics of one evaluation.
///
/// Serialized flat: the metrics by name, then `per_class` (an object by class name) and `confusion_matrix` (rows
/// true, columns predicted) where there are any. A NaN becomes `null`.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Names and values, in the order in which they are shown.
    pub metrics: Vec<(&'static str, f64)>,
    /// One entry per class; empty for regression.
    pub classes: Vec<ClassScores>,
    /// `[C][C]` counts, rows true and columns predicted; of a single label, and of up to a thousand classes.
    pub confusion: Option<Vec<Vec<u64>>>,
}

impl Report {
    /// The metric of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(other, _)| *other == name).map(|&(_, value)| value)
    }
}

fn check(targets: usize, predictions: usize) {
    assert!(targets > 0, "metrics: no examples");
    assert_eq!(targets, predictions, "metrics: targets and predictions");
}

/// A figure such that more is better: errors and losses change their sign, a NaN is the worst.
pub fn rank(name: &str, figure: f64) -> f64 {
    let smaller_is_better = matches!(name, "loss" | "mse" | "rmse" | "mae");
    match (figure.is_nan(), smaller_is_better) {
        (true, _) => f64::NEG_INFINITY,
        (false, true) => -figure,
        (false, false) => figure,
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.metrics {
            map.serialize_entry(name, value)?;
        }
        if !self.classes.is_empty() {
            map.serialize_entry("per_class", &PerClass(&self.classes))?;
        }
        if let Some(confusion) = &self.confusion {
            map.serialize_entry("confusion_matrix", confusion)?;
        }
        map.end()
    }
}

/// Classes as an object by name.
struct PerClass<'a>(&'a [ClassScores]);

impl Serialize for PerClass<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|class| (&class.name, class)))
    }
}
