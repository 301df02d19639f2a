//! The flags of `finetune bench`: the names of `train`, the defaults of the PyTorch programs it is compared with. Where
//! those have other names, these are taken too, so that one list of flags serves both.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::PrecisionName;
use super::hardware::HardwareArgs;
use super::lora::LoraArgs;
use crate::flags;

/// `finetune bench`
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub what: Bench,
}

/// The measurements.
#[derive(Clone, Debug, Subcommand)]
pub enum Bench {
    /// One training step and one inference pass of a model of a given shape: random weights and tokens,
    /// full length, AdamW, dropout 0.1 (modernbert: none, as in its configuration). The step is that of `train`,
    /// its gradient norm included
    Step(BenchStepArgs),
    /// Fine-tuning on labelled text: speed, accuracy and memory of each epoch. Nothing is saved. Texts are
    /// tokenized once; that time counts in the first epoch
    Train(BenchTrainArgs),
    /// Matrix products of the sizes of a transformer layer: y = x w^T + b
    Matmul(BenchMatmulArgs),
}

/// `finetune bench step`
#[derive(Args, Clone, Debug)]
pub struct BenchStepArgs {
    /// The size of the model
    #[arg(long, value_enum, default_value_t = ShapeName::Minilm)]
    pub shape: ShapeName,
    /// Sequences in a step
    #[arg(long, alias = "batch", value_name = "N", default_value_t = 16, value_parser = flags::count::<usize>)]
    pub batch_size: usize,
    /// Tokens of each sequence
    #[arg(long, alias = "length", value_name = "TOKENS", default_value_t = 128,
        value_parser = flags::count::<usize>)]
    pub max_length: usize,
    /// What the forward and backward passes compute in
    #[arg(long, value_enum, default_value_t = PrecisionName::F32)]
    pub precision: PrecisionName,
    /// As in `train`: keep the input of each layer alone
    #[arg(long)]
    pub checkpoint_activations: bool,
    /// Steps that are measured, after three that are not
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = flags::count::<u32>)]
    pub steps: u32,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub hardware: HardwareArgs,
}

/// Sizes of models: of BERTs, and of newer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShapeName {
    /// 2 layers of width 128.
    Tiny,
    /// 6 layers of width 384.
    Minilm,
    /// 12 layers of width 768.
    Base,
    /// 24 layers of width 1024.
    Large,
    /// ModernBERT base, 22 layers of width 768.
    Modernbert,
    /// DeBERTa-v3 base, 12 layers of width 768.
    Deberta,
}

/// `finetune bench train`
#[derive(Args, Clone, Debug)]
pub struct BenchTrainArgs {
    /// The folder of the pretrained model
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Training data: CSV, TSV, JSONL, JSON, Parquet or CoNLL
    #[arg(long, value_name = "FILE")]
    pub train: PathBuf,
    /// Data that is measured after each epoch
    #[arg(long, alias = "eval", value_name = "FILE")]
    pub validation: PathBuf,
    /// What the forward and backward passes compute in
    #[arg(long, value_enum, default_value_t = PrecisionName::F32)]
    pub precision: PrecisionName,
    /// Passes over the training data
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = flags::count::<u32>)]
    pub epochs: u32,
    /// Sequences in a training step
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = flags::count::<usize>)]
    pub batch_size: usize,
    /// The peak learning rate
    #[arg(long, value_name = "RATE", default_value = "5e-5", value_parser = flags::positive)]
    pub learning_rate: f64,
    /// Tokens of a sequence, special ones included; longer ones are truncated [default: 128, or the
    /// positions of the model if it has fewer]
    #[arg(long, value_name = "TOKENS", value_parser = flags::length)]
    pub max_length: Option<usize>,
    /// Train on the first N examples only [default: all]
    #[arg(long, alias = "limit", value_name = "N", value_parser = flags::count::<usize>)]
    pub max_train_samples: Option<usize>,
    /// Chooses the shuffling, the dropout masks and the first weights of the head
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub lora: LoraArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub hardware: HardwareArgs,
}

/// `finetune bench matmul`
#[derive(Args, Clone, Debug)]
pub struct BenchMatmulArgs {
    /// Rows of x, columns of x, columns of y
    #[arg(long, value_name = "MxKxN", value_delimiter = ',', value_parser = flags::product,
        default_value = "2048x384x384,2048x384x1536,2048x1536x384,2048x768x768,2048x768x3072,2048x3072x768")]
    pub sizes: Vec<[usize; 3]>,
    /// The dtype of x; w and b are f32
    #[arg(long, value_enum, default_value_t = PrecisionName::F32)]
    pub precision: PrecisionName,
    /// Products that are measured of each size, after three that are not
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = flags::count::<u32>)]
    pub repeats: u32,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub hardware: HardwareArgs,
}
