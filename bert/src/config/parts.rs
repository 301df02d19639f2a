//! What the parts of a model take from its configuration, where families differ.

use nn::{Initializer, LayerNorm};
use tensor::{Activation, Pooling};

use super::Config;
use crate::Family;

impl Config {
    /// Whether the first map of a head has a bias, and whether its LayerNorm has.
    pub(crate) fn head_biases(&self) -> [bool; 2] {
        self.modern.as_ref().map_or([true; 2], |modern| [modern.classifier_bias, modern.norm_bias])
    }

    /// A LayerNorm of this model.
    pub(crate) fn layer_norm(&self, name: &str, width: usize, init: &Initializer) -> LayerNorm {
        let [_, bias] = self.head_biases();
        LayerNorm::new(name, width, self.layer_norm_eps, init).with_bias(bias)
    }

    /// What a sequence classifier reads of the last states of a sequence.
    pub(crate) fn classifier_pooling(&self) -> Pooling {
        self.modern.as_ref().map_or(Pooling::First, |modern| modern.classifier_pooling)
    }

    /// The law of fresh weights, and by `seed` the first values.
    pub(crate) fn initializer(&self, seed: u64) -> Initializer {
        Initializer::bert(self.initializer_range, seed)
    }

    /// That of the weights a head begins with: in a ModernBERT smaller, as of all that feed a sum.
    pub(crate) fn transform_initializer(&self, seed: u64) -> Initializer {
        let scale = match self.modern {
            Some(_) => (2.0 * self.num_hidden_layers as f64).sqrt(),
            None => 1.0,
        };
        Initializer::bert(self.initializer_range / scale, seed)
    }

    /// That of the last map of a classifier.
    pub(crate) fn classifier_initializer(&self, seed: u64) -> Initializer {
        match self.modern {
            Some(_) => Initializer::bert((self.hidden_size as f64).sqrt().recip(), seed),
            None => self.initializer(seed),
        }
    }

    /// Between the maps of a sequence classifier's head.
    pub(crate) fn pooler_activation(&self) -> Activation {
        match &self.modern {
            Some(modern) => modern.classifier_activation,
            None => self.family.head_activation(),
        }
    }

    /// The activation of the head for masked words.
    pub(crate) fn masked_lm_activation(&self) -> Activation {
        match &self.modern {
            Some(modern) => modern.classifier_activation,
            None => self.family.masked_lm_activation().unwrap_or(self.hidden_act),
        }
    }

    /// The dropout rate in the head of a token classifier: DistilBERT's key for that of a head is for sequences alone.
    pub(crate) fn token_classifier_dropout(&self) -> f32 {
        match self.family {
            Family::DistilBert => self.hidden_dropout_prob,
            _ => self.classifier_dropout.unwrap_or(self.hidden_dropout_prob),
        }
    }
}
