//! What stands between an encoder and the last map of a head: a map, an activation, and in some heads a LayerNorm.
//!
//! ```text
//! t = act(h W^T + b)                                   [.., H] -> [.., H], the pooler of BERT
//! t = LayerNorm(act(h W^T + b))                        [.., H] -> [.., E], masked words; every head of ModernBERT
//! ```

use autograd::{Param, Var};
use nn::{Initializer, LayerNorm, Linear, Module, Pass};
use tensor::Activation;

use crate::{Config, Result};

/// The beginning of a head.
#[derive(Clone, Debug)]
pub(crate) struct Transform {
    dense: Linear,
    activation: Activation,
    layer_norm: Option<LayerNorm>,
}

impl Transform {
    /// The pooler of a sequence classifier; in a ModernBERT, of a token classifier as well.
    pub(crate) fn pooler(config: &Config, init: &Initializer) -> Self {
        let (h, name) = (config.hidden_size, "bert.pooler");
        let [bias, _] = config.head_biases();
        let norm = || config.layer_norm(&format!("{name}.norm"), h, init);
        Self {
            dense: Linear::new(&format!("{name}.dense"), h, h, init).with_bias(bias),
            activation: config.pooler_activation(),
            layer_norm: config.is_modern().then(norm),
        }
    }

    /// That of the head for masked words, whose names begin with `head`.
    pub(crate) fn masked_lm(config: &Config, head: &str, init: &Initializer) -> Self {
        let (h, e, name) = (config.hidden_size, config.embedding_size, format!("{head}.transform"));
        let [bias, _] = config.head_biases();
        Self {
            dense: Linear::new(&format!("{name}.dense"), h, e, init).with_bias(bias),
            activation: config.masked_lm_activation(),
            layer_norm: Some(config.layer_norm(&format!("{name}.LayerNorm"), e, init)),
        }
    }

    /// States in the precision of the weights: a head is small, and keeps that.
    pub(crate) fn widen(&self, states: &Var) -> Result<Var> {
        Ok(states.to_dtype(self.dense.weight.value().dtype())?)
    }

    /// Applies it to states of that precision.
    pub(crate) fn forward(&self, pass: &Pass, states: &Var) -> Result<Var> {
        let t = self.dense.forward(pass, states)?.activation(self.activation)?;
        match &self.layer_norm {
            Some(norm) => Ok(norm.forward(pass, &t)?),
            None => Ok(t),
        }
    }
}

impl Module for Transform {
    fn params(&self) -> Vec<Param> {
        let norm = self.layer_norm.iter().flat_map(Module::params);
        self.dense.params().into_iter().chain(norm).collect()
    }
}
