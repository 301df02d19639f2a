//! Flags of the loss that a classifier is trained by.

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::flags;

/// What a target of one class says, and how much it counts.
#[derive(Args, Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Recipe")]
pub struct LossArgs {
    /// How much a text, or a word, counts in the training loss: all alike, or n / (C n_c), so that each class counts as
    /// much as every other. Validation and test losses stay plain means
    #[arg(long, value_enum, default_value_t = ClassWeightName::None)]
    pub class_weight: ClassWeightName,
    /// The share of a training target that is shared out to all classes alike. Validation and test losses stay plain
    /// means
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = flags::share)]
    pub label_smoothing_factor: f64,
}

/// Weights of classes by the names that scikit-learn has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeightName {
    /// A target counts as much as every other.
    None,
    /// A class counts as much as every other.
    Balanced,
}
