//! The flags of `finetune evaluate` and `finetune predict`.

use std::path::PathBuf;

use clap::Args;

use super::{DataArgs, FlagsFileArgs, MachineArgs, PrecisionName};
use crate::flags;

/// `finetune evaluate`
#[derive(Args, Clone, Debug)]
pub struct EvaluateArgs {
    /// Labelled data: CSV, TSV, JSONL or JSON
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub inference: InferenceArgs,
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
    /// Texts from a file: CSV, TSV, JSONL or JSON, or one a line in a .txt
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print one JSON object a line, with the scores of all labels
    #[arg(long)]
    pub json: bool,
    /// From this probability on a label of a multi-label model holds
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = flags::probability)]
    pub threshold: f32,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub inference: InferenceArgs,
}

/// What both take: the model, and how it is run.
#[derive(Args, Clone, Debug)]
pub struct InferenceArgs {
    /// The folder of the fine-tuned model [default: the newest in runs/]
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Sequences in a forward pass
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = flags::count::<usize>)]
    pub batch_size: usize,
    /// What the forward pass computes in, however the model was trained
    #[arg(long, value_enum, default_value_t = PrecisionName::F32)]
    pub precision: PrecisionName,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub flags_file: FlagsFileArgs,
}
