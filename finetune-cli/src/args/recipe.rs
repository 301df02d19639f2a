//! The hyperparameters of a training.

use clap::{Args, Parser, ValueEnum};
use serde::Serialize;

use super::loss::LossArgs;
use crate::flags;

/// The hyperparameters of a training run.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Recipe")]
pub struct RecipeArgs {
    /// Passes over the training data
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = flags::count::<u32>)]
    pub epochs: u32,
    /// Sequences in a training step, or in each of the batches that it adds up
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = flags::count::<usize>)]
    pub batch_size: usize,
    /// Sequences in a forward pass of evaluation
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = flags::count::<usize>)]
    pub eval_batch_size: usize,
    /// The peak learning rate
    #[arg(long, value_name = "RATE", default_value = "2e-5", value_parser = flags::positive)]
    pub learning_rate: f64,
    /// Train the head only, with the pooler before it
    #[arg(long)]
    pub freeze_encoder: bool,
    /// Keep the weights with the best validation figure, not the last ones
    #[arg(long)]
    pub load_best_model_at_end: bool,
    /// The figure that decides which weights are the best [default: accuracy, f1_micro, pearson or f1, by the task]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_for_best_model: Option<String>,
    /// Stop after N validations (epochs, where there is no --eval-steps) without a better figure [default: never]
    #[arg(long, value_name = "N", value_parser = flags::count::<u32>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping_patience: Option<u32>,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub loss: LossArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub optimization: OptimizationArgs,
}

/// How gradients become updates: what every training has.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Optimization")]
pub struct OptimizationArgs {
    /// Batches whose gradients are added for one step: the step of a batch N times as large, in the memory of one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = flags::count::<u32>)]
    pub gradient_accumulation_steps: u32,
    /// Weight decay of everything but biases and LayerNorm: decoupled with adamw, part of the gradient (L2) with
    /// sgd
    #[arg(long, value_name = "RATE", default_value_t = 0.01, value_parser = flags::not_negative)]
    pub weight_decay: f64,
    /// The course of the learning rate after the warm-up
    #[arg(long, value_enum, default_value_t = ScheduleName::Linear)]
    pub lr_scheduler_type: ScheduleName,
    /// The share of all steps in which the learning rate rises from 0
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = flags::share)]
    pub warmup_ratio: f64,
    /// The same in steps; wins over the ratio [default: by the ratio]
    #[arg(long, value_name = "STEPS", value_parser = flags::count_or_none::<u64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_steps: Option<u64>,
    /// Gradients are scaled down to this global norm; 0 for no clipping
    #[arg(long, value_name = "NORM", default_value_t = 1.0, value_parser = flags::not_negative)]
    pub max_grad_norm: f64,
    /// The update rule
    #[arg(long, value_enum, default_value_t = OptimizerName::Adamw)]
    pub optimizer: OptimizerName,
    /// SGD's momentum; not for adamw
    #[arg(long, value_name = "RATE", default_value_t = 0.0, value_parser = flags::share)]
    pub momentum: f64,
    /// Decay rate of Adam's mean; not for sgd
    #[arg(long, value_name = "RATE", default_value_t = 0.9, value_parser = flags::share)]
    pub adam_beta1: f64,
    /// Decay rate of Adam's mean square; not for sgd
    #[arg(long, value_name = "RATE", default_value_t = 0.999, value_parser = flags::share)]
    pub adam_beta2: f64,
    /// Adam's epsilon; not for sgd
    #[arg(long, value_name = "EPS", default_value = "1e-8", value_parser = flags::positive)]
    pub adam_epsilon: f64,
    /// Write loss and learning rate to metrics.jsonl every N steps
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = flags::count::<u64>)]
    pub logging_steps: u64,
    /// What the forward and backward passes compute in; weights, losses and updates stay f32
    #[arg(long, value_enum, default_value_t = PrecisionName::F32)]
    pub precision: PrecisionName,
    /// Keep the input of each layer alone and compute the rest again in the backward pass: less memory, a
    /// third more work in the layers, the same bits
    #[arg(long)]
    pub checkpoint_activations: bool,
    /// Chooses what is random: first weights, order, dropout, what is held out, what is masked
    #[arg(long, value_name = "N", default_value_t = 42)]
    #[serde(serialize_with = "flags::write_seed")]
    pub seed: u64,
}

impl RecipeArgs {
    /// Rows of a training step: those of a batch, times the batches whose gradients are added.
    pub fn rows_per_step(&self) -> usize {
        self.optimization.rows_per_step(self.batch_size)
    }
}

impl OptimizationArgs {
    /// Rows of a training step of such batches.
    pub fn rows_per_step(&self, batch_size: usize) -> usize {
        batch_size.saturating_mul(self.gradient_accumulation_steps as usize)
    }
}

impl Default for RecipeArgs {
    /// What holds where no flag is typed.
    fn default() -> Self {
        #[derive(Parser)]
        struct Flags {
            #[command(flatten)]
            recipe: RecipeArgs,
        }
        Flags::parse_from(["defaults"]).recipe
    }
}

/// Learning-rate schedules by the names that transformers has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleName {
    /// Stays at the peak.
    Constant,
    /// A straight line to 0.
    Linear,
    /// Half a cosine wave to 0.
    Cosine,
    /// A straight line to 1e-7.
    Polynomial,
}

/// Update rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerName {
    /// Adam with decoupled weight decay.
    Adamw,
    /// Stochastic gradient descent; see --momentum.
    Sgd,
}

/// What hidden states are kept and multiplied in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PrecisionName {
    /// 24 significant bits.
    #[value(alias = "fp32")]
    F32,
    /// 8 significant bits: half the memory of activations, faster where the CPU has bf16 units.
    Bf16,
}

impl From<PrecisionName> for nn::Precision {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::F32 => Self::F32,
            PrecisionName::Bf16 => Self::Bf16,
        }
    }
}
