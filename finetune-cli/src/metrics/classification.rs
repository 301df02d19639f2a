//! Metrics of classes.

use super::{ClassScores, Report, check};

/// Metrics of one class per example; `targets` and `predictions` are class numbers, `[B]`, `names` is `[C]`.
///
/// `accuracy`, `matthews_correlation`, and `precision`, `recall` and `f1` each as `_macro`, `_weighted` and
/// `_micro`. For two classes also the plain `precision`, `recall` and `f1`, of class 1. The macro mean is over
/// the classes that occur, true or predicted, as in scikit-learn.
///
/// # Panics
/// When there are no examples, the lengths differ or a class is not below C.
pub fn single_label(targets: &[u32], predictions: &[u32], names: &[String]) -> Report {
    check(targets.len(), predictions.len());
    let mut counts = vec![Counts::default(); names.len()];
    for (&target, &prediction) in targets.iter().zip(predictions) {
        counts[target as usize].target += 1;
        counts[prediction as usize].predicted += 1;
        counts[target as usize].both += u64::from(target == prediction);
    }
    let right: u64 = counts.iter().map(|c| c.both).sum();
    let accuracy = right as f64 / targets.len() as f64;
    let mut metrics = vec![("accuracy", accuracy), ("matthews_correlation", matthews(&counts))];
    if let [_, positive] = counts[..] {
        metrics.extend(["precision", "recall", "f1"].into_iter().zip(positive.scores()));
    }
    let present: Vec<Counts> =
        counts.iter().copied().filter(|c| c.target + c.predicted > 0).collect();
    metrics.extend(averages(&present));
    let confusion = confusion(targets, predictions, names.len());
    Report { metrics, classes: classes(names, &counts), confusion }
}

/// Classes of which there is a confusion matrix: of ten times as many it would take 800 MB.
const MOST_IN_A_MATRIX: usize = 1000;

/// `[C][C]` counts, rows true and columns predicted; none of very many classes.
fn confusion(targets: &[u32], predictions: &[u32], classes: usize) -> Option<Vec<Vec<u64>>> {
    if classes > MOST_IN_A_MATRIX {
        return None;
    }
    let mut counts = vec![vec![0; classes]; classes];
    for (&target, &prediction) in targets.iter().zip(predictions) {
        counts[target as usize][prediction as usize] += 1;
    }
    Some(counts)
}

/// Metrics of any number of classes per example; each row holds distinct class numbers, `names` is `[C]`.
///
/// `accuracy` is the share of rows that are right in every class (subset accuracy); `precision`, `recall` and
/// `f1` each as `_macro` (over all C classes), `_weighted` and `_micro`.
///
/// # Panics
/// When there are no examples, the lengths differ or a class is not below C.
pub fn multi_label(targets: &[Vec<u32>], predictions: &[Vec<u32>], names: &[String]) -> Report {
    check(targets.len(), predictions.len());
    let mut counts = vec![Counts::default(); names.len()];
    let mut exact = 0u64;
    for (target, prediction) in targets.iter().zip(predictions) {
        target.iter().for_each(|&k| counts[k as usize].target += 1);
        prediction.iter().for_each(|&k| counts[k as usize].predicted += 1);
        let both = target.iter().filter(|k| prediction.contains(k));
        let both = both.map(|&k| counts[k as usize].both += 1).count();
        exact += u64::from(both == target.len() && both == prediction.len());
    }
    let mut metrics = vec![("accuracy", exact as f64 / targets.len() as f64)];
    metrics.extend(averages(&counts));
    Report { metrics, classes: classes(names, &counts), confusion: None }
}

/// Rows of a class: truly in it, predicted in it, and both.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) target: u64,
    pub(super) predicted: u64,
    pub(super) both: u64,
}

impl Counts {
    /// Precision, recall, F1.
    fn scores(self) -> [f64; 3] {
        let Self { target, predicted, both } = self;
        [ratio(both, predicted), ratio(both, target), ratio(2 * both, target + predicted)]
    }
}

/// Macro, weighted and micro averages of precision, recall and F1.
pub(super) fn averages(counts: &[Counts]) -> Vec<(&'static str, f64)> {
    let rows: u64 = counts.iter().map(|c| c.target).sum();
    let sum = |i: usize, weight: &dyn Fn(&Counts) -> f64| -> f64 {
        counts.iter().map(|c| weight(c) * c.scores()[i]).sum()
    };
    let micro = counts.iter().fold(Counts::default(), |all, c| Counts {
        target: all.target + c.target,
        predicted: all.predicted + c.predicted,
        both: all.both + c.both,
    });
    let names = [
        ["precision_macro", "precision_weighted", "precision_micro"],
        ["recall_macro", "recall_weighted", "recall_micro"],
        ["f1_macro", "f1_weighted", "f1_micro"],
    ];
    let values = |i: usize| {
        let mean = sum(i, &|_| 1.0) / counts.len().max(1) as f64;
        [mean, sum(i, &|c| ratio(c.target, rows)), micro.scores()[i]]
    };
    (0..3).flat_map(|i| names[i].into_iter().zip(values(i))).collect()
}

/// Matthews correlation over C classes; 0 when either side is constant.
fn matthews(counts: &[Counts]) -> f64 {
    let sum =
        |term: &dyn Fn(&Counts) -> u64| -> f64 { counts.iter().map(|c| term(c) as f64).sum() };
    let (s, c) = (sum(&|c| c.target), sum(&|c| c.both));
    let chance = sum(&|c| c.target * c.predicted);
    let targets = s * s - sum(&|c| c.target * c.target);
    let predictions = s * s - sum(&|c| c.predicted * c.predicted);
    let scale = (targets * predictions).sqrt();
    if scale == 0.0 { 0.0 } else { (s * c - chance) / scale }
}

pub(super) fn classes(names: &[String], counts: &[Counts]) -> Vec<ClassScores> {
    let class = |(name, counts): (&String, &Counts)| {
        let [precision, recall, f1] = counts.scores();
        ClassScores { name: name.clone(), precision, recall, f1, support: counts.target }
    };
    names.iter().zip(counts).map(class).collect()
}

/// `a / b`, and 0 where b is.
fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}
