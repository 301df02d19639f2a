//! The flags of `finetune select`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use serde::Serialize;

use super::data::DataArgs;
use super::lora::LoraArgs;
use super::{FlagsFileArgs, MachineArgs, RecipeArgs};
use crate::flags;

/// `finetune select`
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SelectArgs {
    /// Candidates: folders of pretrained models, or names of models in the Hugging Face cache; FOLDER:N
    /// for the first N layers
    #[arg(long, value_name = "DIR_OR_NAME", num_args = 1.., required_unless_present = "models_file")]
    pub models: Vec<String>,
    /// A file with further candidates, one a line; `#` begins a remark [default: none]
    #[arg(long, value_name = "FILE")]
    pub models_file: Option<PathBuf>,
    /// Training data: CSV, TSV, JSONL, JSON, Parquet or CoNLL
    #[arg(long, value_name = "FILE")]
    pub train: PathBuf,
    /// Validation data, for the verification [default: a part of the training data]
    #[arg(long, value_name = "FILE")]
    pub validation: Option<PathBuf>,
    /// The share of the training data held out when there is no validation file
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = flags::share)]
    pub validation_fraction: f64,
    /// Use the first N training examples only [default: all]
    #[arg(long, value_name = "N", value_parser = flags::count::<usize>)]
    pub max_train_samples: Option<usize>,
    /// Training examples that are scored, each class with its share; and where words have labels, words of these
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = flags::count::<usize>)]
    pub sample: usize,
    /// Time for scoring and verification together: 90s, 10m, 2h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = flags::duration)]
    pub budget: Duration,
    /// Candidates whose training takes more are not run: 800MB, 8GB [default: what is free]
    #[arg(long, value_name = "SIZE", value_parser = flags::bytes)]
    pub max_memory: Option<u64>,
    /// Fine-tune the best N for a while and rank them by what they reach; 0 to rank by estimates alone
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = flags::count_or_none::<usize>)]
    pub verify: usize,
    /// Peak learning rates at which each of these is fine-tuned, RATE,RATE,...; the best of them is the one that is
    /// advised, or the first where nothing was fine-tuned [default: --learning-rate alone]
    #[arg(long, value_name = "RATE,..", value_delimiter = ',', action = ArgAction::Set,
        value_parser = flags::positive, conflicts_with = "learning_rate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rates: Option<Vec<f64>>,
    /// Do not verify a middle layer that scores best as a candidate of its own
    #[arg(long)]
    pub no_truncate: bool,
    /// The folder for report, figures and intermediate results; a selection that was broken off there goes on
    #[arg(long, value_name = "DIR", default_value = "select")]
    pub output: PathBuf,
    /// Train the chosen one right away, into OUTPUT/best
    #[arg(long)]
    pub train_best: bool,
    /// Print one JSON object: what select.json holds
    #[arg(long, conflicts_with = "train_best")]
    pub json: bool,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub recipe: RecipeArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub lora: LoraArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,
    #[command(flatten)]
    #[serde(skip)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
    #[command(flatten)]
    #[serde(skip)]
    #[allow(missing_docs)]
    pub flags_file: FlagsFileArgs,
}

impl SelectArgs {
    /// The learning rates of the verification, in the order typed, each once.
    pub fn rates(&self) -> Vec<f64> {
        let typed = self.learning_rates.as_deref().unwrap_or_default();
        let mut rates: Vec<f64> = Vec::new();
        for &rate in typed {
            if !rates.contains(&rate) {
                rates.push(rate);
            }
        }
        if rates.is_empty() { vec![self.recipe.learning_rate] } else { rates }
    }
}
