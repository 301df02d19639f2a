//! The flags of `finetune evaluate` and `finetune predict`.

use std::path::PathBuf;

use clap::Args;

use super::data::{FileArgs, LabelArgs};
use super::{FlagsFileArgs, MachineArgs, PrecisionName};
use crate::data::Options;
use crate::flags;

/// `finetune evaluate`
#[derive(Args, Clone, Debug)]
pub struct EvaluateArgs {
    /// Labelled data: CSV, TSV, JSONL, JSON, Parquet or CoNLL
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Write a page, too, with the figures, what is taken for what, and the examples with the greatest losses
    /// [default: none]
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Data")]
    #[allow(missing_docs)]
    pub labels: LabelArgs,
    #[command(flatten, next_help_heading = None)]
    #[allow(missing_docs)]
    pub inference: InferenceArgs,
}

impl EvaluateArgs {
    /// As the data modules take them.
    pub fn options(&self) -> Options {
        self.labels.options(self.inference.file.options())
    }
}

/// `finetune predict`
#[derive(Args, Clone, Debug)]
pub struct PredictArgs {
    /// The texts [default: the lines of standard input, or its rows if --format is given]
    #[arg(value_name = "TEXT", conflicts_with = "file")]
    pub texts: Vec<String>,
    /// The second text of a pair, once for each TEXT [default: no pairs]
    #[arg(long, value_name = "TEXT", requires = "texts")]
    pub pair: Vec<String>,
    /// Texts from a file: CSV, TSV, JSONL, JSON, Parquet, CoNLL (words), or one a line in a .txt
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print one JSON object a line, with the scores of all labels (of words: of the likeliest) and the other columns
    /// of a file
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub inference: InferenceArgs,
}

/// What both take: the model, and how it is run.
#[derive(Args, Clone, Debug)]
pub struct InferenceArgs {
    /// The folder of the fine-tuned model, or its name in the Hugging Face cache [default: the newest in runs/]
    #[arg(long, value_name = "DIR_OR_NAME")]
    pub model: Option<PathBuf>,
    /// Sequences in a forward pass
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = flags::count::<usize>)]
    pub batch_size: usize,
    /// What the forward pass computes in, however the model was trained
    #[arg(long, value_enum, default_value_t = PrecisionName::F32)]
    pub precision: PrecisionName,
    /// From this probability on a label of a multi-label model holds [default: 0.5]
    #[arg(long, value_name = "P", value_parser = flags::probability)]
    pub threshold: Option<f32>,
    #[command(flatten, next_help_heading = "Data")]
    #[allow(missing_docs)]
    pub file: FileArgs,
    /// Tokens of a sequence, special ones included; longer ones are truncated, or if words have
    /// labels, cut into pieces [default: as in training; of a model from elsewhere,
    /// model_max_length of its tokenizer, or all positions]
    #[arg(long, value_name = "TOKENS", value_parser = flags::length, help_heading = "Data")]
    pub max_length: Option<usize>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub flags_file: FlagsFileArgs,
}
