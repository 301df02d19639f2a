//! The loss that a training goes down.
//!
//! ```text
//! plain              bert::loss, by the kind of targets
//! weights, smoothed  PyTorch's CrossEntropyLoss(weight, label_smoothing), of targets that are one class each
//! ```
//!
//! What is measured on validation and test data is the plain one, so that trainings with other settings compare.

use anyhow::Result;
use autograd::Var;
use bert::Targets;
use nn::loss::{self, Weighting};

use crate::args::loss::{ClassWeightName, LossArgs};
use crate::args::wrong_flags;
use crate::batches::Examples;
use crate::data::{Labels, Task};

/// Refuses weights and smoothing where a target is not one class.
///
/// # Errors
/// When it is not, and one of them is asked for.
pub fn check_flags(args: &LossArgs, task: &Task) -> Result<()> {
    let flag = match (args.class_weight, args.label_smoothing_factor > 0.0) {
        (ClassWeightName::Balanced, _) => "--class-weight",
        (ClassWeightName::None, true) => "--label-smoothing-factor",
        (ClassWeightName::None, false) => return Ok(()),
    };
    match task {
        Task::SingleLabel(_) | Task::Tags(_) => Ok(()),
        Task::MultiLabel(_) | Task::Regression => Err(wrong_flags(format_args!(
            "{flag} is for texts or words that are one of several classes each, and the task is {}",
            task.name()
        ))),
    }
}

/// The loss of a batch; by default the plain one.
#[derive(Clone, Debug, Default)]
pub struct Loss(Option<Weighting>);

impl Loss {
    /// As the flags say; the classes are counted on the examples, which are those of the training.
    pub fn new(args: &LossArgs, train: &Examples) -> Self {
        let label_smoothing = args.label_smoothing_factor;
        let weights = match args.class_weight {
            ClassWeightName::Balanced => balanced(&counts(&train.labels, train.outputs)),
            ClassWeightName::None if label_smoothing > 0.0 => vec![1.0; train.outputs],
            ClassWeightName::None => return Self::default(),
        };
        Self(Some(Weighting { weights, label_smoothing }))
    }

    /// The mean loss over targets, weighted where classes are; the targets are on the host, wherever the logits are.
    ///
    /// # Errors
    /// When the targets do not fit the logits, or a GPU is full.
    pub fn loss(&self, logits: &Var, targets: &Targets) -> Result<Var> {
        Ok(match (&self.0, targets) {
            (Some(weighting), Targets::Classes(classes)) => {
                loss::weighted_cross_entropy(logits, classes, weighting)?
            }
            _ => bert::loss(logits, targets)?,
        })
    }

    /// What the loss of these targets is the mean over: the sum of their weights, which are 1 in the plain one.
    ///
    /// # Errors
    /// When classes are not on the host.
    pub fn weight(&self, targets: &Targets) -> Result<f64> {
        Ok(match (&self.0, targets) {
            (Some(weighting), Targets::Classes(classes)) => weighting.total(classes.as_slice()?),
            (_, Targets::Classes(of) | Targets::Labels(of) | Targets::Scores(of)) => {
                of.shape()[0] as f64
            }
        })
    }
}

/// How many targets are of each of C classes.
fn counts(labels: &Labels, classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    match labels {
        Labels::Class(ids) => ids.iter().for_each(|&id| counts[id as usize] += 1),
        Labels::Tags(rows) => {
            rows.iter().flatten().flatten().for_each(|&id| counts[id as usize] += 1);
        }
        Labels::Absent | Labels::Multi(_) | Labels::Score(_) => {}
    }
    counts
}

/// n / (C n_c), the weights of scikit-learn's `class_weight="balanced"`, C as there the number of classes that occur:
/// each of them counts as much as every other, and a target 1 in the mean. A class without targets has that mean, 1: it
/// is no label, and its weight says how much of the smoothing it takes, of which nothing is known.
fn balanced(counts: &[usize]) -> Vec<f64> {
    let (n, classes) = (counts.iter().sum::<usize>(), counts.iter().filter(|&&n| n > 0).count());
    let weight = |count| n as f64 / (classes as f64 * count as f64);
    counts.iter().map(|&count| if count == 0 { 1.0 } else { weight(count) }).collect()
}

#[cfg(test)]
mod tests {
    use tensor::Tensor;

    use super::*;

    /// `compute_class_weight("balanced", classes=np.arange(4), y)` of scikit-learn, for y with these counts.
    #[test]
    fn balanced_weights_are_those_of_scikit_learn() {
        let want = [0.8214285714285714, 5.75, 0.4791666666666667, 1.9166666666666667];
        let weights = balanced(&[7, 1, 12, 3]);
        assert!(
            weights.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-12),
            "{weights:?}"
        );
    }

    /// In its estimators, too, a class that does not occur is none.
    #[test]
    fn a_class_without_targets_has_the_mean_weight() {
        let weights = balanced(&[6, 0, 2]);
        assert_eq!(weights, [8.0 / 12.0, 1.0, 2.0]);
        let mean = (6.0 * weights[0] + 2.0 * weights[2]) / 8.0;
        assert!((mean - weights[1]).abs() < 1e-12);
    }

    #[test]
    fn words_without_a_label_do_not_count() {
        let tags = Labels::Tags(vec![vec![Some(1), None, Some(0)], vec![None], vec![Some(1)]]);
        assert_eq!(counts(&tags, 3), [1, 2, 0]);
        assert_eq!(counts(&Labels::Class(vec![2, 0, 2, 2]), 3), [1, 0, 3]);
    }

    fn loss_of(class_weight: ClassWeightName, label_smoothing_factor: f64) -> Loss {
        let args = LossArgs { class_weight, label_smoothing_factor };
        Loss::new(&args, &Examples::new(Vec::new(), Labels::Class(vec![0, 0, 1, 0, 2, 0]), 3))
    }

    /// Against PyTorch: `F.cross_entropy(x, y, weight=w, label_smoothing=e)`, w as scikit-learn has it.
    #[test]
    fn the_flags_choose_the_loss() {
        let x = vec![0.5f32, -1.0, 2.0, 1.5, 0.25, -0.5];
        let logits = Var::constant(Tensor::from_vec(x, &[2, 3]).unwrap());
        let targets = Targets::Classes(Tensor::from_vec(vec![1u32, 0], &[2]).unwrap());
        let wanted = [
            (ClassWeightName::None, 0.0, 1.7966315802299795, 2.0),
            (ClassWeightName::None, 0.1, 1.7757982468966462, 2.0),
            (ClassWeightName::Balanced, 0.0, 2.663439410086286, 2.5),
            (ClassWeightName::Balanced, 0.1, 2.609357925371922, 2.5),
        ];
        for (class_weight, smoothing, want, weight) in wanted {
            let loss = loss_of(class_weight, smoothing);
            let value = loss.loss(&logits, &targets).unwrap().value().item().unwrap();
            assert!((value - want).abs() < 1e-6, "{class_weight:?} {smoothing}: {value}");
            assert_eq!(loss.weight(&targets).unwrap(), weight);
        }
    }

    #[test]
    fn without_flags_it_is_the_plain_loss() {
        assert!(loss_of(ClassWeightName::None, 0.0).0.is_none());
        let scores = Targets::Scores(Tensor::zeros(&[5, 1]));
        assert_eq!(Loss::default().weight(&scores).unwrap(), 5.0);
    }
}
