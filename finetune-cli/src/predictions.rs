//! Logits to predictions, and predictions to figures.

use tensor::philox::Rng;

use crate::data::{Labels, Task};
use crate::metrics::{self, Report};

/// Data sets that are drawn for a standard error, which is then right to a twentieth.
const RESAMPLES: usize = 200;
/// The random stream of these draws (`b"resample"` as a number).
const STREAM: u64 = 0x72_65_73_61_6D_70_6C_65;

/// What a model says of one example.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction {
    /// The probability of each class; they sum to 1.
    Class(Vec<f32>),
    /// The probability of each label by itself.
    Multi(Vec<f32>),
    /// The value.
    Score(f32),
    /// The likeliest class of each word, and its probability.
    Tags(Vec<(u32, f32)>),
}

impl Prediction {
    /// From the logits of one example, `[C]`, or of its words, `[M, C]`. If one of them is not finite, the prediction
    /// is no number: a class whose logit is minus infinity would make another one look certain.
    pub fn from_logits(task: &Task, logits: &[f32]) -> Self {
        let undefined;
        let logits = match logits.iter().all(|logit| logit.is_finite()) {
            true => logits,
            false => {
                undefined = vec![f32::NAN; logits.len()];
                &undefined
            }
        };
        match task {
            Task::SingleLabel(_) => Self::Class(softmax(logits)),
            Task::MultiLabel(_) => {
                Self::Multi(logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect())
            }
            Task::Regression => Self::Score(logits[0]),
            Task::Tags(set) => Self::Tags(logits.chunks(set.len()).map(likeliest).collect()),
        }
    }

    /// Whether it has numbers alone: those of a model whose logits are not finite are NaN.
    pub fn is_finite(&self) -> bool {
        match self {
            Self::Class(p) | Self::Multi(p) => p.iter().all(|p| p.is_finite()),
            Self::Score(value) => value.is_finite(),
            Self::Tags(words) => words.iter().all(|(_, p)| p.is_finite()),
        }
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f32> = logits.iter().map(|x| (x - max).exp()).collect();
    let sum: f32 = exps.iter().sum();
    exps.into_iter().map(|e| e / sum).collect()
}

/// The class of the greatest probability, and that.
fn likeliest(logits: &[f32]) -> (u32, f32) {
    let p = softmax(logits);
    let best = argmax(&p);
    (best as u32, p[best])
}

/// The index of the greatest value, the first of equals.
pub fn argmax(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

/// The labels whose probability reaches the threshold.
pub fn above(probabilities: &[f32], threshold: f32) -> Vec<u32> {
    let chosen = probabilities.iter().zip(0..).filter(|(p, _)| **p >= threshold);
    chosen.map(|(_, i)| i).collect()
}

/// From this probability on a label holds where nothing else is said: it is likelier than not.
pub const THRESHOLD: f32 = 0.5;

/// The figures of predictions against the truth; `None` if there are no labels.
pub fn report(task: &Task, predictions: &[Prediction], labels: &Labels) -> Option<Report> {
    report_at(THRESHOLD, task, predictions, labels)
}

/// [`report`], with labels that hold from `threshold` on where any of them may.
pub fn report_at(
    threshold: f32,
    task: &Task,
    predictions: &[Prediction],
    labels: &Labels,
) -> Option<Report> {
    let names = || task.label_set().map(|set| set.names().to_vec()).unwrap_or_default();
    match labels {
        Labels::Absent => None,
        Labels::Class(truth) => {
            let ids: Vec<u32> = predictions.iter().map(|p| class_of(p) as u32).collect();
            Some(metrics::single_label(truth, &ids, &names()))
        }
        Labels::Multi(truth) => {
            let sets: Vec<Vec<u32>> = predictions.iter().map(|p| labels_of(p, threshold)).collect();
            Some(metrics::multi_label(truth, &sets, &names()))
        }
        Labels::Score(truth) => {
            let scores: Vec<f32> = predictions.iter().map(value_of).collect();
            Some(metrics::regression(truth, &scores))
        }
        Labels::Tags(truth) => {
            let labelled = truth.iter().zip(predictions).map(|(truth, p)| labelled(truth, p));
            let (truth, tags): (Vec<_>, Vec<_>) = labelled.unzip();
            Some(metrics::tagging(&truth, &tags, &names()))
        }
    }
}

/// The standard error of a figure: its standard deviation over 200 data sets of the same size, drawn with
/// replacement from this one (Efron's bootstrap). None if there are no labels or the figure has no value on them.
pub fn standard_error(
    task: &Task,
    predictions: &[Prediction],
    labels: &Labels,
    name: &str,
) -> Option<f64> {
    let mut rng = Rng::new(0, STREAM);
    let rows = predictions.len() as u64;
    let figure = |_| {
        let drawn: Vec<usize> = (0..rows).map(|_| rng.below(rows) as usize).collect();
        let predictions: Vec<Prediction> = drawn.iter().map(|&i| predictions[i].clone()).collect();
        report(task, &predictions, &labels.select(&drawn))?.get(name)
    };
    let figures: Vec<f64> = (0..RESAMPLES).filter_map(figure).filter(|x| x.is_finite()).collect();
    if figures.len() < 2 {
        return None;
    }
    let n = figures.len() as f64;
    let mean = figures.iter().sum::<f64>() / n;
    let square = figures.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Some(square.sqrt())
}

/// The names of the figures of a task, in the order in which they are shown.
pub fn metric_names(task: &Task) -> Vec<&'static str> {
    let (prediction, truth) = match task {
        Task::Tags(_) => (Prediction::Tags(vec![(0, 1.0)]), Labels::Tags(vec![vec![Some(0)]])),
        Task::SingleLabel(_) => (Prediction::Class(vec![1.0]), Labels::Class(vec![0])),
        Task::MultiLabel(_) => (Prediction::Multi(vec![1.0]), Labels::Multi(vec![vec![0]])),
        Task::Regression => (Prediction::Score(0.0), Labels::Score(vec![0.0])),
    };
    let report = report(task, &[prediction], &truth).expect("there are labels");
    report.metrics.into_iter().map(|(name, _)| name).collect()
}

fn class_of(prediction: &Prediction) -> usize {
    match prediction {
        Prediction::Class(p) | Prediction::Multi(p) => argmax(p),
        Prediction::Score(_) | Prediction::Tags(_) => 0,
    }
}

fn labels_of(prediction: &Prediction, threshold: f32) -> Vec<u32> {
    match prediction {
        Prediction::Class(p) | Prediction::Multi(p) => above(p, threshold),
        Prediction::Score(_) | Prediction::Tags(_) => Vec::new(),
    }
}

fn value_of(prediction: &Prediction) -> f32 {
    match prediction {
        Prediction::Score(value) => *value,
        Prediction::Class(p) | Prediction::Multi(p) => p[0],
        Prediction::Tags(_) => 0.0,
    }
}

/// The true and the predicted class of the words that have a label: the others are left out, as in the examples of
/// transformers.
fn labelled(truth: &[Option<u32>], prediction: &Prediction) -> (Vec<u32>, Vec<u32>) {
    let words = match prediction {
        Prediction::Tags(words) => &words[..],
        _ => &[],
    };
    assert_eq!(truth.len(), words.len(), "predictions: labels of words");
    truth.iter().zip(words).filter_map(|(truth, (class, _))| Some(((*truth)?, *class))).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::LabelSet;

    #[test]
    fn the_standard_error_of_an_accuracy_is_that_of_its_formula() {
        let names = ["a", "b"].map(str::to_owned).to_vec();
        let task = Task::SingleLabel(LabelSet::from_names(names).expect("two labels"));
        let right = |row: u32| !row.is_multiple_of(5);
        let predictions: Vec<Prediction> = (0..400)
            .map(|row| Prediction::Class(if right(row) { vec![1.0, 0.0] } else { vec![0.0, 1.0] }))
            .collect();
        let labels = Labels::Class(vec![0; 400]);
        let error = standard_error(&task, &predictions, &labels, "accuracy").expect("a value");
        // sqrt(p (1 - p) / n)
        let want = (0.8f64 * 0.2 / 400.0).sqrt();
        assert!((error / want - 1.0).abs() < 0.2, "{error} {want}");
        assert_eq!(standard_error(&task, &predictions, &labels, "bleu"), None);
    }
}
