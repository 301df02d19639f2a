//! The command line.

pub mod bench;
pub mod data;
pub mod hardware;
pub mod inference;
pub mod lora;
pub mod loss;
pub mod masked_lm;
mod recipe;
pub mod select;

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use serde::Serialize;
use tensor::Device;

use data::DataArgs;
use hardware::HardwareArgs;
use lora::LoraArgs;
pub use recipe::{OptimizationArgs, OptimizerName, PrecisionName, RecipeArgs, ScheduleName};

use crate::{bundled, flags};

/// Fine-tune pretrained encoders on your data.
#[derive(Debug, Parser)]
#[command(name = "finetune", version, args_override_self = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fine-tune a model on labelled text, evaluate it and save it.
    Train(Box<TrainArgs>),
    /// Go on pretraining a model on your plain text, before it is fine-tuned.
    Adapt(Box<masked_lm::AdaptArgs>),
    /// Pretrain a model from random weights on plain text, with a vocabulary made from it.
    Pretrain(Box<masked_lm::PretrainArgs>),
    /// Find the best starting point for your data among pretrained models, and check it in short runs.
    Select(Box<select::SelectArgs>),
    /// Measure a fine-tuned model on a labelled file.
    Evaluate(inference::EvaluateArgs),
    /// Label texts with a fine-tuned model.
    Predict(inference::PredictArgs),
    /// Show what a model folder holds: configuration, parameters, memory, task.
    Inspect(InspectArgs),
    /// Measure speed and memory on this machine; prints JSON.
    Bench(bench::BenchArgs),
    /// Print a script that has a shell complete commands and flags.
    Completions(CompletionsArgs),
}

impl Command {
    /// As it is typed.
    fn name(&self) -> &'static str {
        match self {
            Self::Train(_) => "train",
            Self::Adapt(_) => "adapt",
            Self::Pretrain(_) => "pretrain",
            Self::Select(_) => "select",
            Self::Evaluate(_) => "evaluate",
            Self::Predict(_) => "predict",
            Self::Inspect(_) => "inspect",
            Self::Bench(_) => "bench",
            Self::Completions(_) => "completions",
        }
    }

    /// An error of this subcommand: that of [`wrong_flags`] is shown as those of a single flag, with the usage and exit
    /// code 2.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(wrong) = error.downcast_ref::<WrongFlags>() else { return error };
        let mut cli = Cli::command();
        // Gives the subcommand its whole name, `finetune train`.
        cli.build();
        let command = cli.find_subcommand_mut(self.name()).expect("all have their names");
        command.error(ErrorKind::ArgumentConflict, wrong).into()
    }
}

/// Flags that do not go together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongFlags(String);

/// The error of flags that do not go together, which [`Command::explain`] shows.
pub fn wrong_flags(message: impl std::fmt::Display) -> anyhow::Error {
    WrongFlags(message.to_string()).into()
}

/// How the machine is used.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub hardware: HardwareArgs,
    /// No progress bars and no remarks
    #[arg(long, short)]
    pub quiet: bool,
}

impl MachineArgs {
    /// Opens the device; a remark says why `auto` left the GPU alone.
    ///
    /// # Errors
    /// As [`DeviceName::open`](hardware::DeviceName::open).
    pub fn open_device(&self) -> anyhow::Result<Device> {
        self.hardware.device.open(self.quiet)
    }
}

/// Where further flags come from.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Machine")]
pub struct FlagsFileArgs {
    /// Read further flags from a TOML file, under the same names; typed flags win [default: none]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `finetune train`
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrainArgs {
    /// The pretrained model; none for the bundled one
    #[arg(long, value_name = "DIR_OR_NAME", help = bundled::model_help())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// Training data: CSV, TSV, JSONL, JSON, Parquet or CoNLL [default: the bundled reviews, all three parts]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<PathBuf>,
    /// Validation data, measured after each epoch, or as --eval-steps says [default: a part of the training data]
    #[arg(long, value_name = "FILE", requires = "train")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// Test data, measured once at the end [default: none]
    #[arg(long, value_name = "FILE", requires = "train")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// The folder for the fine-tuned model and the figures of the run; one that was broken off there goes on
    /// [default: runs/train, or the first of runs/train-2, runs/train-3, ... that is free or holds an unfinished
    /// run with the same settings]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<PathBuf>,
    /// Replace an earlier run in the output folder, once this one is complete, and one with other flags that
    /// was broken off, at once
    #[arg(long, requires = "output")]
    #[serde(skip)]
    pub overwrite: bool,
    /// Start from random weights: only configuration and tokenizer of the model are used
    #[arg(long)]
    pub from_scratch: bool,
    /// Keep the first N layers of the encoder only [default: all]
    #[arg(long, value_name = "N", value_parser = flags::count::<usize>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate: Option<usize>,
    /// The share of the training data held out when there is no validation file; 0 for none
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = flags::share)]
    pub validation_fraction: f64,
    /// Train on the first N examples only [default: all]
    #[arg(long, value_name = "N", value_parser = flags::count::<usize>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_train_samples: Option<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub checkpoints: CheckpointArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub recipe: RecipeArgs,
    /// Train for N steps, whatever --epochs says: for a part of an epoch, or for several [default: by the epochs]
    #[arg(long, value_name = "N", value_parser = flags::count::<u64>, help_heading = "Recipe")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Measure the validation data every N steps, and at the end [default: after each epoch]
    #[arg(long, value_name = "N", value_parser = flags::count::<u64>, help_heading = "Recipe")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_steps: Option<u64>,
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

impl TrainArgs {
    /// The same with absolute paths, which hold from any working folder.
    ///
    /// # Errors
    /// When a path is empty, or the working folder is gone.
    pub fn absolute(&self) -> std::io::Result<Self> {
        let mut args = self.clone();
        let data = [&mut args.train, &mut args.validation, &mut args.test];
        for path in data.into_iter().chain([&mut args.model, &mut args.output]).flatten() {
            *path = std::path::absolute(&*path)?;
        }
        Ok(args)
    }

    /// The same without any path.
    pub fn without_paths(&self) -> Self {
        let (model, output) = (None, None);
        Self { model, train: None, validation: None, test: None, output, ..self.clone() }
    }
}

/// When a run that can be broken off is saved.
#[derive(Args, Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckpointArgs {
    /// Write a checkpoint every N steps [default: every 5 minutes]; one is written on Ctrl-C, too
    #[arg(long, value_name = "N", value_parser = flags::count::<u64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_steps: Option<u64>,
}

/// `finetune completions`
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = COMPLETIONS_HELP)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Where the scripts go: each place is one that the shell looks at by itself.
const COMPLETIONS_HELP: &str = "\
bash: finetune completions bash > ~/.local/share/bash-completion/completions/finetune
fish: finetune completions fish > ~/.config/fish/completions/finetune.fish
zsh:  finetune completions zsh > FOLDER/_finetune, for a folder in $fpath";

/// `finetune inspect`
#[derive(Args, Clone, Debug)]
pub struct InspectArgs {
    /// The folder of the model, or its name in the Hugging Face cache
    #[arg(value_name = "DIR_OR_NAME")]
    pub model: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The batch size for which memory is estimated
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = flags::count::<usize>)]
    pub batch_size: usize,
    /// The sequence length for which memory is estimated
    #[arg(long, value_name = "TOKENS", default_value_t = 128, value_parser = flags::length)]
    pub max_length: usize,
}
