//! A layer of either kind: post-norm as in BERT, or pre-norm as in ModernBERT.

use autograd::{Param, Result, Var};
use nn::{
    Initializer, LayerConfig, Linear, Module, Pass, PreNormConfig, PreNormLayer, RelativePosition,
    TransformerLayer,
};
use tensor::{CuSeqLens, RotaryTable};

use crate::{Config, Family, Modern};

/// One layer, `[T, H] -> [T, H]`.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    PostNorm(TransformerLayer),
    PreNorm(PreNormLayer),
}

impl Layer {
    /// All layers of an encoder; post-norm ones may share what scores by distance take.
    pub(super) fn all(
        config: &Config,
        position: Option<&RelativePosition>,
        init: &Initializer,
    ) -> Vec<Self> {
        let name = |i| format!("bert.encoder.layer.{i}");
        let layers = 0..config.num_hidden_layers;
        let Family::ModernBert(modern) = &config.family else {
            let own = layer_config(config);
            let layer = |i| TransformerLayer::new(&name(i), &own, init);
            let layer = |i| Self::PostNorm(layer(i).with_relative_position(position));
            return layers.map(layer).collect();
        };
        let table = |theta| RotaryTable::new(config.head_dim(), theta).expect("even heads");
        let tables = modern.thetas.map(table);
        let own = |i| pre_norm_config(config, modern, &tables, i);
        layers.map(|i| Self::PreNorm(PreNormLayer::new(&name(i), &own(i), init))).collect()
    }

    pub(super) fn linears_mut(&mut self) -> Vec<&mut Linear> {
        match self {
            Self::PostNorm(layer) => layer.linears_mut().into(),
            Self::PreNorm(layer) => layer.linears_mut().into(),
        }
    }

    pub(super) fn forward(&self, pass: &Pass, x: &Var, batch: &CuSeqLens) -> Result<Var> {
        match self {
            Self::PostNorm(layer) => layer.forward(pass, x, batch),
            Self::PreNorm(layer) => layer.forward(pass, x, batch),
        }
    }

    /// The rows of [`forward`](Self::forward) that `pick` takes of a matrix `[T, H]`, `lens` of each sequence, without
    /// what can be left out of the work on others.
    pub(super) fn forward_rows(
        &self,
        pass: &Pass,
        x: &Var,
        batch: &CuSeqLens,
        (pick, lens): (impl Fn(&Var) -> Result<Var>, &CuSeqLens),
    ) -> Result<Var> {
        match self {
            Self::PostNorm(layer) => layer.forward_rows(pass, x, batch, (pick, lens)),
            Self::PreNorm(layer) => layer.forward_rows(pass, x, batch, pick),
        }
    }
}

impl Module for Layer {
    fn params(&self) -> Vec<Param> {
        match self {
            Self::PostNorm(layer) => layer.params(),
            Self::PreNorm(layer) => layer.params(),
        }
    }
}

fn layer_config(config: &Config) -> LayerConfig {
    LayerConfig {
        hidden: config.hidden_size,
        heads: config.num_attention_heads,
        intermediate: config.intermediate_size,
        activation: config.hidden_act,
        layer_norm_eps: config.layer_norm_eps,
        attention_output_dropout: config.attention_output_dropout(),
        output_dropout: config.hidden_dropout_prob,
        attention_dropout: config.attention_probs_dropout_prob,
    }
}

/// Of layer `i`; `tables` are those of layers that see the whole sequence, and of the others.
fn pre_norm_config(
    config: &Config,
    modern: &Modern,
    tables: &[RotaryTable; 2],
    i: usize,
) -> PreNormConfig {
    let window = modern.window_of(i);
    PreNormConfig {
        hidden: config.hidden_size,
        heads: config.num_attention_heads,
        intermediate: config.intermediate_size,
        activation: config.hidden_act,
        norm_eps: config.layer_norm_eps,
        norm_bias: modern.norm_bias,
        attention_bias: modern.attention_bias,
        mlp_bias: modern.mlp_bias,
        attention_dropout: config.attention_probs_dropout_prob,
        mlp_dropout: config.hidden_dropout_prob,
        window,
        rotary: tables[usize::from(window.is_some())].clone(),
        norms_attention: i > 0,
        depth: config.num_hidden_layers,
    }
}
