//! The sequence classifier: encoder, pooler, linear head; and its losses.
//!
//! ```text
//! pooled = tanh(h_first Wp^T + bp)         the first token, [CLS], of each sequence
//! logits = dropout(pooled) Wc^T + bc       [B, C]
//! ```
//!
//! What the logits mean is the configuration's `problem_type`: one of C classes, any of C labels, or a
//! number (C = 1). This is `BertForSequenceClassification` of transformers, to the names of the weights, and the class
//! of that name for the rest of the [`Family`](crate::Family): DistilBERT has a ReLU in place of tanh, ELECTRA and
//! DeBERTa a GELU; RoBERTa, MPNet and ELECTRA drop units of h_first, too, and DeBERTa may; ModernBERT has a GELU and a LayerNorm
//! behind it, and in some models the mean of all states in place of the first.

use autograd::{Param, Var};
use nn::{Dropout, Initializer, Linear, Module, Pass, loss};
use tensor::{Pooling, Tensor};

use crate::transform::Transform;
use crate::{Batch, Checkpoint, Config, Encoder, LoadReport, Result, shapes};

/// The truth about a batch.
#[derive(Clone, Debug)]
pub enum Targets {
    /// The class of each sequence, `[B]`, u32.
    Classes(Tensor),
    /// 1 for each label that holds, else 0, `[B, C]`.
    Labels(Tensor),
    /// The value of each sequence, `[B, 1]`.
    Scores(Tensor),
}

/// An encoder with a classification head.
#[derive(Clone, Debug)]
pub struct SequenceClassifier {
    encoder: Encoder,
    pooling: Pooling,
    dropout_before: Option<Dropout>,
    pooler: Transform,
    dropout: Dropout,
    classifier: Linear,
}

impl SequenceClassifier {
    /// A model with fresh parameters; `outputs` is C.
    pub fn new(config: &Config, outputs: usize, seed: u64) -> Self {
        let [init, pooler] = [config.initializer(seed), config.pooler_initializer(seed)];
        Self::build(config, outputs, [&init, &pooler, &config.classifier_initializer(seed)])
    }

    /// A model whose encoder comes from a checkpoint. Pooler and head come from it too if it has them;
    /// otherwise they start fresh, by `seed`, and the report names them as missing. A head of another size
    /// belongs to another task: it is left behind. The pooler stays, which is the first map of the head in all but
    /// BERT, as with `ignore_mismatched_sizes` of transformers.
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
        checkpoint.check([shapes::encoder(config), shapes::pooler(config)].concat())?;
        let (h, zeros) = (config.hidden_size, Initializer::zeros());
        // Random numbers take a while: none where they would be overwritten.
        let unless_stored = |name, rows, law| match checkpoint.shape(name) == Some(&[rows, h][..]) {
            true => zeros,
            false => law,
        };
        let pooler = unless_stored("bert.pooler.dense.weight", h, config.pooler_initializer(seed));
        let classifier =
            unless_stored("classifier.weight", outputs, config.classifier_initializer(seed));
        let model = Self::build(config, outputs, [&zeros, &pooler, &classifier]);
        let fits = |p: &Param| {
            !p.name().starts_with("classifier.")
                || checkpoint.shape(p.name()).is_none_or(|shape| shape == p.shape())
        };
        let (wanted, left): (Vec<Param>, Vec<Param>) = model.params().into_iter().partition(fits);
        let mut report = checkpoint.load(&wanted)?;
        report.missing.extend(left.iter().map(|p| config.family.stored_name(p.name())));
        Ok((model, report))
    }

    fn build(config: &Config, outputs: usize, init: [&Initializer; 3]) -> Self {
        let (h, [encoder, pooler, classifier]) = (config.hidden_size, init);
        Self {
            encoder: Encoder::new(config, encoder),
            pooling: config.classifier_pooling(),
            dropout_before: config.dropout_before_head().map(Dropout::new),
            pooler: Transform::pooler(config, pooler),
            dropout: Dropout::new(config.head_dropout()),
            classifier: Linear::new("classifier", h, outputs, classifier),
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

    /// The pooled state of each sequence, `[B, H]`.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn pooled(&self, pass: &Pass, batch: &Batch) -> Result<Var> {
        let states = match self.pooling {
            Pooling::First => self.encoder.first_states(pass, batch)?,
            Pooling::Mean => {
                self.encoder.forward(pass, batch)?.pool(Pooling::Mean, &batch.seqlens)?
            }
        };
        let mut states = self.pooler.widen(&states)?;
        if let Some(dropout) = &self.dropout_before {
            states = dropout.forward(pass, &states)?;
        }
        self.pooler.forward(pass, &states)
    }

    /// The logits, `[B, C]`.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn forward(&self, pass: &Pass, batch: &Batch) -> Result<Var> {
        let pooled = self.dropout.forward(pass, &self.pooled(pass, batch)?)?;
        Ok(self.classifier.forward(pass, &pooled)?)
    }
}

impl Module for SequenceClassifier {
    fn params(&self) -> Vec<Param> {
        let mut params = self.encoder.params();
        params.extend(self.pooler.params());
        params.extend(self.classifier.params());
        params
    }
}

/// The mean loss of a batch, by the kind of targets, which are on the host, wherever the logits are.
///
/// # Errors
/// When the targets do not fit the logits, or a GPU is full.
pub fn loss(logits: &Var, targets: &Targets) -> Result<Var> {
    let beside = |values: &Tensor| values.to_device(&logits.value().device());
    Ok(match targets {
        Targets::Classes(classes) => loss::cross_entropy(logits, classes)?,
        Targets::Labels(labels) => loss::bce_with_logits(logits, &beside(labels)?)?,
        Targets::Scores(scores) => loss::mse(logits, &beside(scores)?)?,
    })
}
