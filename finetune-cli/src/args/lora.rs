//! Flags of low-rank adaptation.

use bert::{Adaptation, Config, Result};
use clap::{ArgAction, Args};
use nn::LoraConfig;
use serde::Serialize;

use crate::flags;

/// Whether thin matrices are trained in place of the encoder, and which.
#[derive(Args, Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "LoRA")]
pub struct LoraArgs {
    /// Train products of rank R beside frozen weights of the encoder, and the head; try a learning rate ten times
    /// higher [default: none, all weights are trained]
    #[arg(long, value_name = "R", value_parser = flags::count::<usize>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_r: Option<usize>,
    /// The products are multiplied by ALPHA / R [default: 2 R]
    #[arg(long, value_name = "ALPHA", value_parser = flags::positive, requires = "lora_r")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_alpha: Option<f64>,
    /// The share of their inputs that is dropped in training [default: 0]
    #[arg(long, value_name = "SHARE", value_parser = flags::share, requires = "lora_r")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_dropout: Option<f64>,
    /// The linear maps that have them, by the ends of their names, or all-linear for all of the layers [default:
    /// query,value; of a DistilBERT q_lin,v_lin, an MPNet q,v, a DeBERTa query_proj,value_proj, a ModernBERT Wqkv]
    #[arg(long, value_name = "NAME,..", value_delimiter = ',', action = ArgAction::Set, requires = "lora_r")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_target_modules: Option<Vec<String>>,
}

impl LoraArgs {
    /// How a model with this configuration is adapted; not at all without a rank.
    ///
    /// # Errors
    /// When the rank is too high, or a target is no map of the layers.
    pub fn adaptation(&self, config: &Config) -> Result<Option<Adaptation>> {
        let Some(rank) = self.lora_r else { return Ok(None) };
        let alpha = self.lora_alpha.unwrap_or(2.0 * rank as f64);
        // As of a config.json: rounding must not make one just below 1 into 1.
        let dropout = (self.lora_dropout.unwrap_or(0.0) as f32).min(1.0 - f32::EPSILON);
        let targets = self.lora_target_modules.as_deref().unwrap_or_default();
        Adaptation::new(config, LoraConfig { rank, alpha, dropout }, targets).map(Some)
    }
}
