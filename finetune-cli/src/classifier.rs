//! The model of a task.

use autograd::{Param, Var};
use bert::{
    Adaptation, Adapter, Batch, Checkpoint, Config, Encoder, LoadReport, Result,
    SequenceClassifier, TokenClassifier,
};
use nn::{Module, Pass};

use crate::data::Task;

/// An encoder with the head that a task needs: one that answers for whole texts, or for each word.
#[derive(Clone, Debug)]
pub enum Classifier {
    /// Logits `[B, C]`.
    Sequence(SequenceClassifier),
    /// Logits `[M, C]`, of M words.
    Token(TokenClassifier),
}

impl Classifier {
    /// A model with fresh parameters.
    pub fn new(config: &Config, task: &Task, seed: u64) -> Self {
        let outputs = task.outputs();
        match task {
            Task::Tags(_) => Self::Token(TokenClassifier::new(config, outputs, seed)),
            _ => Self::Sequence(SequenceClassifier::new(config, outputs, seed)),
        }
    }

    /// A model whose encoder comes from a checkpoint, and the head if it has one of the task's size; what starts fresh,
    /// by `seed`, the report names as missing.
    ///
    /// # Errors
    /// When an encoder weight is missing, or a weight is mis-shaped or not finite.
    pub fn load(
        checkpoint: &mut Checkpoint,
        config: &Config,
        task: &Task,
        seed: u64,
    ) -> Result<(Self, LoadReport)> {
        let outputs = task.outputs();
        Ok(match task {
            Task::Tags(_) => {
                let (model, report) = TokenClassifier::load(checkpoint, config, outputs, seed)?;
                (Self::Token(model), report)
            }
            _ => {
                let (model, report) = SequenceClassifier::load(checkpoint, config, outputs, seed)?;
                (Self::Sequence(model), report)
            }
        })
    }

    /// The encoder.
    pub fn encoder(&self) -> &Encoder {
        match self {
            Self::Sequence(model) => model.encoder(),
            Self::Token(model) => model.encoder(),
        }
    }

    /// The encoder, to adapt it.
    pub fn encoder_mut(&mut self) -> &mut Encoder {
        match self {
            Self::Sequence(model) => model.encoder_mut(),
            Self::Token(model) => model.encoder_mut(),
        }
    }

    /// Freezes the encoder and gives it fresh adapters, by `seed`; gives what is trained. `base` is the folder or the
    /// name of the model that it is now, if it has one that others know.
    ///
    /// # Errors
    /// When a GPU is full.
    pub fn adapt(
        &mut self,
        adaptation: Adaptation,
        base: Option<String>,
        seed: u64,
    ) -> Result<Adapter> {
        adaptation.begin(self.encoder_mut(), seed)?;
        Ok(Adapter::new(adaptation, base, &self.params()))
    }

    /// The model that is saved: with weights of its own where there are adapters, which are part of them, and without
    /// adapters. It shares all other weights with this one.
    ///
    /// # Errors
    /// When a GPU is full.
    pub fn merged(&self) -> Result<Self> {
        let mut model = self.clone();
        model.encoder_mut().merge()?;
        Ok(model)
    }

    /// The logits of a batch: a row for each sequence, or for each word.
    ///
    /// # Errors
    /// When a sequence is too long for the model, or a batch for a token classifier has no words.
    pub fn forward(&self, pass: &Pass, batch: &Batch) -> Result<Var> {
        match self {
            Self::Sequence(model) => model.forward(pass, batch),
            Self::Token(model) => model.forward(pass, batch),
        }
    }
}

impl Module for Classifier {
    fn params(&self) -> Vec<Param> {
        match self {
            Self::Sequence(model) => model.params(),
            Self::Token(model) => model.params(),
        }
    }
}
