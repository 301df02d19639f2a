//! The token classifier: encoder and a linear head that gives each word a label, of an entity say.
//!
//! ```text
//! h      = the last hidden state of the first token of each word      [M, H]
//! logits = dropout(h) Wc^T + bc                                       [M, C]
//! ```
//!
//! A word may be several tokens. Its first one stands for all, in training and later, as in transformers' examples; the
//! others are read by attention and have no label. M counts the words of all sequences of a batch. In a ModernBERT h
//! goes through the [`Transform`] of all its heads first.
//!
//! This is `BertForTokenClassification` of transformers, to the names of the weights, and the class of that name for
//! the rest of the [`Family`](crate::Family).
//!
//! Source: Devlin et al., 2018, <https://arxiv.org/abs/1810.04805>, section 5.3.

use autograd::{Param, Var};
use nn::{Dropout, Initializer, Linear, Module, Pass};

use crate::transform::Transform;
use crate::{Batch, Checkpoint, Config, Encoder, LoadReport, Result, shapes};

/// What begins the names of the last map's weights.
const HEAD: &str = "token_classifier";

/// An encoder with a head that labels words.
#[derive(Clone, Debug)]
pub struct TokenClassifier {
    encoder: Encoder,
    transform: Option<Transform>,
    dropout: Dropout,
    classifier: Linear,
}

impl TokenClassifier {
    /// A model with fresh parameters; `outputs` is C.
    pub fn new(config: &Config, outputs: usize, seed: u64) -> Self {
        let [init, transform] = [config.initializer(seed), config.pooler_initializer(seed)];
        Self::build(config, outputs, [&init, &transform, &config.classifier_initializer(seed)])
    }

    /// A model whose encoder comes from a checkpoint. The head comes from it too if it has one of C labels; otherwise
    /// it starts fresh, by `seed`, and the report names it as missing.
    ///
    /// # Errors
    /// When weights of the encoder are missing, or weights are mis-shaped: lists all of both. When one is not finite, or
    /// can't be read.
    pub fn load(
        checkpoint: &mut Checkpoint,
        config: &Config,
        outputs: usize,
        seed: u64,
    ) -> Result<(Self, LoadReport)> {
        checkpoint.check([shapes::encoder(config), shapes::token_classifier(config)].concat())?;
        let [zeros, transform] = [Initializer::zeros(), config.pooler_initializer(seed)];
        let head = config.classifier_initializer(seed);
        let weight = [outputs, config.hidden_size];
        if checkpoint.shape(&format!("{HEAD}.weight")).is_some_and(|shape| shape != &weight[..]) {
            checkpoint.leave_out(HEAD);
        }
        let model = Self::build(config, outputs, [&zeros, &transform, &head]);
        let report = checkpoint.load(&model.params())?;
        Ok((model, report))
    }

    fn build(config: &Config, outputs: usize, init: [&Initializer; 3]) -> Self {
        let [encoder, transform, head] = init;
        Self {
            encoder: Encoder::new(config, encoder),
            transform: config.is_modern().then(|| Transform::pooler(config, transform)),
            dropout: Dropout::new(config.token_classifier_dropout()),
            classifier: Linear::new(HEAD, config.hidden_size, outputs, head),
        }
    }

    /// The encoder.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The encoder, to adapt it.
    pub fn encoder_mut(&mut self) -> &mut Encoder {
        &mut self.encoder
    }

    /// The logits of the words of a batch, `[M, C]`, in their order.
    ///
    /// # Errors
    /// As [`Encoder::states_at`]: a batch without words is an error, too.
    pub fn forward(&self, pass: &Pass, batch: &Batch) -> Result<Var> {
        let states = self.encoder.states_at(pass, batch, &batch.words)?;
        // The head is small: it keeps the precision of its weights.
        let mut states = states.to_dtype(self.classifier.weight.value().dtype())?;
        if let Some(transform) = &self.transform {
            states = transform.forward(pass, &states)?;
        }
        Ok(self.classifier.forward(pass, &self.dropout.forward(pass, &states)?)?)
    }
}

impl Module for TokenClassifier {
    fn params(&self) -> Vec<Param> {
        let mut params = self.encoder.params();
        params.extend(self.transform.iter().flat_map(Module::params));
        params.extend(self.classifier.params());
        params
    }
}
