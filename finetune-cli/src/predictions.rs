//! Logits to predictions, and predictions to figures.

use crate::data::{Labels, Task};
use crate::metrics::{self, Report};

/// What a model says of one example.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction {
    /// The probability of each class; they sum to 1.
    Class(Vec<f32>),
    /// The probability of each label by itself.
    Multi(Vec<f32>),
    /// The value.
    Score(f32),
}

impl Prediction {
    /// From the logits of one example, `[C]`.
    pub fn from_logits(task: &Task, logits: &[f32]) -> Self {
        match task {
            Task::SingleLabel(_) => Self::Class(softmax(logits)),
            Task::MultiLabel(_) => {
                Self::Multi(logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect())
            }
            Task::Regression => Self::Score(logits[0]),
        }
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f32> = logits.iter().map(|x| (x - max).exp()).collect();
    let sum: f32 = exps.iter().sum();
    exps.into_iter().map(|e| e / sum).collect()
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

/// The figures of predictions against the truth; `None` if there are no labels.
pub fn report(task: &Task, predictions: &[Prediction], labels: &Labels) -> Option<Report> {
    let names = || task.label_set().map(|set| set.names().to_vec()).unwrap_or_default();
    match labels {
        Labels::Absent => None,
        Labels::Class(truth) => {
            let ids: Vec<u32> = predictions.iter().map(|p| class_of(p) as u32).collect();
            Some(metrics::single_label(truth, &ids, &names()))
        }
        Labels::Multi(truth) => {
            let sets: Vec<Vec<u32>> = predictions.iter().map(|p| labels_of(p, 0.5)).collect();
            Some(metrics::multi_label(truth, &sets, &names()))
        }
        Labels::Score(truth) => {
            let scores: Vec<f32> = predictions.iter().map(value_of).collect();
            Some(metrics::regression(truth, &scores))
        }
    }
}

/// The names of the figures of a task, in the order in which they are shown.
pub fn metric_names(task: &Task) -> Vec<&'static str> {
    let (prediction, truth) = match task {
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
        Prediction::Score(_) => 0,
    }
}

fn labels_of(prediction: &Prediction, threshold: f32) -> Vec<u32> {
    match prediction {
        Prediction::Class(p) | Prediction::Multi(p) => above(p, threshold),
        Prediction::Score(_) => Vec::new(),
    }
}

fn value_of(prediction: &Prediction) -> f32 {
    match prediction {
        Prediction::Score(value) => *value,
        Prediction::Class(p) | Prediction::Multi(p) => p[0],
    }
}
