//! What the parts of a model take from its configuration, where families differ.

use nn::{
    Initializer, LayerNorm, RelativeBias, RelativePosition, RelativeVectors, RelativeVectorsConfig,
};
use tensor::{Activation, Pooling};

use super::Config;
use crate::Family;

impl Config {
    /// Whether it is a ModernBERT, in which a LayerNorm stands at the end and in every head.
    pub(crate) fn is_modern(&self) -> bool {
        matches!(self.family, Family::ModernBert(_))
    }

    /// Whether the first map of a head has a bias, and whether its LayerNorm has.
    pub(crate) fn head_biases(&self) -> [bool; 2] {
        match &self.family {
            Family::ModernBert(modern) => [modern.classifier_bias, modern.norm_bias],
            _ => [true; 2],
        }
    }

    /// A LayerNorm of this model.
    pub(crate) fn layer_norm(&self, name: &str, width: usize, init: &Initializer) -> LayerNorm {
        let [_, bias] = self.head_biases();
        LayerNorm::new(name, width, self.layer_norm_eps, init).with_bias(bias)
    }

    /// The dropout rate of the embeddings.
    pub(crate) fn embedding_dropout(&self) -> f32 {
        match &self.family {
            Family::ModernBert(modern) => modern.embedding_dropout,
            _ => self.hidden_dropout_prob,
        }
    }

    /// That of attention's output.
    pub(crate) fn attention_output_dropout(&self) -> f32 {
        match self.family {
            Family::DistilBert => 0.0,
            _ => self.hidden_dropout_prob,
        }
    }

    /// What a sequence classifier reads of the last states of a sequence.
    pub(crate) fn classifier_pooling(&self) -> Pooling {
        match &self.family {
            Family::ModernBert(modern) => modern.classifier_pooling,
            _ => Pooling::First,
        }
    }

    /// The law of fresh weights, and by `seed` the first values: BERT's own, by which it was pretrained.
    pub(crate) fn initializer(&self, seed: u64) -> Initializer {
        Initializer::bert(self.initializer_range, seed)
    }

    /// That of the weights a masked-LM head begins with: in a ModernBERT smaller, as of all that feed a sum.
    pub(crate) fn transform_initializer(&self, seed: u64) -> Initializer {
        let scale = match self.family {
            Family::ModernBert(_) => (2.0 * self.num_hidden_layers as f64).sqrt(),
            _ => 1.0,
        };
        Initializer::bert(self.initializer_range / scale, seed)
    }

    /// That of a pooler, or of the first map of a classifier's head. Such a head is put on a pretrained encoder, and
    /// transformers draws it from a normal law that is not cut off, but in a ModernBERT.
    pub(crate) fn pooler_initializer(&self, seed: u64) -> Initializer {
        match self.family {
            Family::ModernBert(_) => self.transform_initializer(seed),
            _ => Initializer::normal(self.initializer_range, seed),
        }
    }

    /// That of the last map of a classifier.
    pub(crate) fn classifier_initializer(&self, seed: u64) -> Initializer {
        match self.family {
            Family::ModernBert(_) => {
                Initializer::bert((self.hidden_size as f64).sqrt().recip(), seed)
            }
            _ => self.pooler_initializer(seed),
        }
    }

    /// Between the maps of a sequence classifier's head.
    pub(crate) fn pooler_activation(&self) -> Activation {
        match &self.family {
            Family::ModernBert(modern) => modern.classifier_activation,
            Family::DebertaV2(deberta) => deberta.pooler_activation,
            Family::Electra => Activation::Gelu,
            Family::DistilBert => Activation::Relu,
            _ => Activation::Tanh,
        }
    }

    /// The dropout rate of what a sequence classifier's head reads; none if nothing is dropped before its first map.
    pub(crate) fn dropout_before_head(&self) -> Option<f32> {
        match &self.family {
            Family::DebertaV2(deberta) => Some(deberta.pooler_dropout),
            Family::Electra => Some(self.head_dropout()),
            family => family.is_like_roberta().then(|| self.head_dropout()),
        }
    }

    /// That of what its last map reads.
    pub(crate) fn head_dropout(&self) -> f32 {
        self.classifier_dropout.unwrap_or(self.hidden_dropout_prob)
    }

    /// The activation of the head for masked words.
    pub(crate) fn masked_lm_activation(&self) -> Activation {
        match &self.family {
            Family::ModernBert(modern) => modern.classifier_activation,
            Family::Electra => Activation::Gelu,
            family if family.is_like_roberta() => Activation::Gelu,
            _ => self.hidden_act,
        }
    }

    /// The dropout rate in the head of a token classifier: those keys of DistilBERT and DeBERTa are for sequences alone.
    pub(crate) fn token_classifier_dropout(&self) -> f32 {
        match self.family {
            Family::DistilBert | Family::DebertaV2(_) => self.hidden_dropout_prob,
            _ => self.head_dropout(),
        }
    }

    /// How scores of attention depend on the distance of tokens, if they do; all layers share its weights.
    pub(crate) fn relative_position(&self, init: &Initializer) -> Option<RelativePosition> {
        match &self.family {
            Family::Mpnet => {
                let name = "bert.encoder.relative_attention_bias";
                let bias = RelativeBias::new(name, self.num_attention_heads, init);
                Some(RelativePosition::Bias(bias))
            }
            Family::DebertaV2(deberta) => {
                let sizes = RelativeVectorsConfig {
                    hidden: self.hidden_size,
                    buckets: deberta.position_buckets,
                    farthest: deberta.max_relative_positions,
                    layer_norm_eps: self.layer_norm_eps,
                    dropout: self.hidden_dropout_prob,
                };
                let vectors = RelativeVectors::new("bert.encoder", &sizes, init);
                Some(RelativePosition::Vectors(vectors))
            }
            _ => None,
        }
    }

    /// Whether each place has a vector that is added to the word's.
    pub(crate) fn has_position_table(&self) -> bool {
        !matches!(self.family, Family::DebertaV2(_) | Family::ModernBert(_))
    }
}
