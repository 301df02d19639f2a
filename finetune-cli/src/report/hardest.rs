//! The examples that a model finds hardest: where it is most certain of something else than the label.
//!
//! ```text
//! one class       -log p(label)
//! any labels      -sum log p(label) over those that hold, -sum log(1 - p) over the others
//! a number        |predicted - true|
//! words           -sum log(1 - p(predicted)) over the wrong words
//! ```
//!
//! Of a word only the likeliest class is known: what is left beside its probability is the most that the label can
//! have, so that the last line is what the loss of the wrong words is at least.

use super::Measured;
use crate::data::Labels;
use crate::predictions::{Prediction, above, argmax};

/// The rows whose prediction is wrong, of numbers all, the greatest loss first, at most so many.
pub fn rows(measured: &Measured, most: usize) -> Vec<usize> {
    let count = measured.texts.examples.len().min(measured.predictions.len());
    let loss = |row| Some((row, loss(measured, row)?));
    let mut losses: Vec<(usize, f64)> = (0..count).filter_map(loss).collect();
    // A stable sort: equals stay in the order of the file.
    losses.sort_by(|a, b| b.1.total_cmp(&a.1));
    losses.into_iter().take(most).map(|(row, _)| row).collect()
}

/// How wrong a prediction is; none if it is right.
fn loss(measured: &Measured, row: usize) -> Option<f64> {
    match (&measured.texts.labels, &measured.predictions[row]) {
        (Labels::Class(ids), Prediction::Class(p)) => {
            let id = *ids.get(row)? as usize;
            (argmax(p) != id).then(|| surprise(*p.get(id).unwrap_or(&0.0)))
        }
        (Labels::Multi(sets), Prediction::Multi(p)) => {
            let set = sets.get(row)?;
            (above(p, measured.threshold) != *set).then(|| of_labels(p, set))
        }
        (Labels::Score(values), Prediction::Score(value)) => {
            Some((f64::from(*value) - f64::from(*values.get(row)?)).abs())
        }
        (Labels::Tags(tags), Prediction::Tags(words)) => {
            let truth = tags.get(row)?.iter().flatten();
            let wrong = truth.zip(words).filter(|(truth, (class, _))| *truth != class);
            let losses: Vec<f64> = wrong.map(|(_, (_, p))| surprise(1.0 - p)).collect();
            (!losses.is_empty()).then(|| losses.iter().sum())
        }
        _ => None,
    }
}

fn of_labels(p: &[f32], set: &[u32]) -> f64 {
    let of = |(id, p): (u32, &f32)| surprise(if set.contains(&id) { *p } else { 1.0 - p });
    (0..).zip(p).map(of).sum()
}

/// -log p; of nothing, that of the smallest number.
fn surprise(p: f32) -> f64 {
    -f64::from(p.max(f32::MIN_POSITIVE)).ln()
}
