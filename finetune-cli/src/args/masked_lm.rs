//! Flags of `finetune adapt` and `finetune pretrain`: masked-language modelling on plain text.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::data::FileArgs;
use super::{CheckpointArgs, FlagsFileArgs, MachineArgs, OptimizationArgs};
use crate::flags;

/// `finetune adapt`
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AdaptArgs {
    /// The folder of the pretrained model, or its name in the Hugging Face cache
    #[arg(long, value_name = "DIR_OR_NAME")]
    pub model: PathBuf,
    /// Passes over the text
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = flags::count::<u32>, help_heading = "Recipe")]
    pub epochs: u32,
    /// Sequences in a training step, or in each of the batches that it adds up
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = flags::count::<usize>, help_heading = "Recipe")]
    pub batch_size: usize,
    /// The peak learning rate
    #[arg(long, value_name = "RATE", default_value = "5e-5", value_parser = flags::positive, help_heading = "Recipe")]
    pub learning_rate: f64,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub learning: LearningArgs,
    #[command(flatten)]
    #[serde(skip)]
    #[allow(missing_docs)]
    pub flags_file: FlagsFileArgs,
}

/// `finetune pretrain`
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PretrainArgs {
    /// The architecture: a config.json, or a folder with one
    #[arg(long, value_name = "CONFIG")]
    pub architecture: PathBuf,
    /// Word pieces of the vocabulary that is trained first, special tokens included [default: as the
    /// configuration says]
    #[arg(long, value_name = "N", value_parser = flags::vocabulary)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab_size: Option<usize>,
    /// How often two pieces must stand side by side to become one
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = flags::count::<u64>)]
    pub min_frequency: u64,
    /// Letters that the vocabulary knows, the most frequent; words with others are unknown
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = flags::count::<usize>)]
    pub limit_alphabet: usize,
    /// Keep upper case and accents
    #[arg(long)]
    pub cased: bool,
    /// Passes over the text
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = flags::count::<u32>, help_heading = "Recipe")]
    pub epochs: u32,
    /// Sequences in a training step, or in each of the batches that it adds up
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = flags::count::<usize>, help_heading = "Recipe")]
    pub batch_size: usize,
    /// The peak learning rate
    #[arg(long, value_name = "RATE", default_value = "1e-3", value_parser = flags::positive, help_heading = "Recipe")]
    pub learning_rate: f64,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub learning: LearningArgs,
    #[command(flatten)]
    #[serde(skip)]
    #[allow(missing_docs)]
    pub flags_file: FlagsFileArgs,
}

/// What both commands take.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LearningArgs {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub text: TextArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub masked_lm: MaskedLmArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub optimization: OptimizationArgs,
    #[command(flatten)]
    #[serde(skip)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
}

/// Where the text comes from and how it is cut into sequences.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Text")]
pub struct TextArgs {
    /// Files of text: .txt with one text a line, or CSV, TSV, JSONL, JSON, Parquet, CoNLL; labels are not looked at
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub text: Vec<PathBuf>,
    /// Files of held-out text [default: a part of the text]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validation: Vec<PathBuf>,
    /// The share of the text held out when there are no files of it; 0 for none
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = flags::share)]
    pub validation_fraction: f64,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub file: FileArgs,
    /// Tokens of a sequence, special ones included [default: 128, or the positions of the model if it has
    /// fewer]
    #[arg(long, value_name = "TOKENS", value_parser = flags::length)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Make each text a sequence of its own, in place of packing texts to the full length
    #[arg(long)]
    pub line_by_line: bool,
}

/// What is masked, measured and saved.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Masked-language modelling")]
pub struct MaskedLmArgs {
    /// The folder for the model and the figures of the run
    #[arg(long, value_name = "DIR", help_heading = None)]
    pub output: PathBuf,
    /// Replace an earlier run in the output folder, once this one is complete, and one with other flags that
    /// was broken off, at once
    #[arg(long, help_heading = None)]
    #[serde(skip)]
    pub overwrite: bool,
    /// The share of the tokens that are to be guessed
    #[arg(long, value_name = "SHARE", default_value_t = 0.15, value_parser = flags::open_share)]
    pub mlm_probability: f64,
    /// Mask all pieces of a word, or none
    #[arg(long)]
    pub whole_word: bool,
    /// Train for N steps, whatever --epochs says [default: by the epochs]
    #[arg(long, value_name = "N", value_parser = flags::count::<u64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Measure the held-out text every N steps [default: after each epoch]
    #[arg(long, value_name = "N", value_parser = flags::count::<u64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_steps: Option<u64>,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub checkpoints: CheckpointArgs,
    /// What the weights of the finished model are stored in
    #[arg(long, value_enum, default_value_t = SavedDTypeName::F32)]
    pub save_dtype: SavedDTypeName,
}

/// Storage of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SavedDTypeName {
    /// Every bit.
    #[value(alias = "fp32")]
    F32,
    /// Half the size, 11 significant bits.
    #[value(alias = "fp16")]
    F16,
    /// Half the size, 8 significant bits.
    Bf16,
}

impl From<SavedDTypeName> for bert::SavedDType {
    fn from(name: SavedDTypeName) -> Self {
        match name {
            SavedDTypeName::F32 => Self::F32,
            SavedDTypeName::F16 => Self::F16,
            SavedDTypeName::Bf16 => Self::BF16,
        }
    }
}
