//! The masked language model: encoder and the head that guesses words which were hidden from it.
//!
//! ```text
//! t      = LayerNorm(act(h_m Wt^T + bt))          the last states of the masked tokens, [M, H]
//! logits = t Ew^T + b                             [M, V]; Ew: the table of the words, [V, E]
//! loss   = mean over m of -log softmax(logits_m)[target_m]
//! ```
//!
//! act is the configuration's `hidden_act`, GELU for RoBERTa and ELECTRA, `classifier_activation` for ModernBERT. Ew is
//! one parameter with two uses (tied): its gradient is a whole table, the decoder's, with the rows of the lookup added.
//! Logits of tokens that are not asked about never exist. This is `BertForMaskedLM` of transformers, to the names of
//! the weights, and the class of that name for the rest of the [`Family`](crate::Family); ELECTRA's, the generator's,
//! has t of width E.
//!
//! Source: Devlin et al., 2018, <https://arxiv.org/abs/1810.04805>, section 3.1; tied tables: Press and Wolf, 2016,
//! <https://arxiv.org/abs/1608.05859>.

use autograd::{Param, Var, ops};
use nn::{Initializer, Module, Pass, loss};
use tensor::Tensor;

use crate::transform::Transform;
use crate::{Batch, Checkpoint, Config, Encoder, Error, LoadReport, Result, shapes};

/// What begins the names of the head's weights.
const HEAD: &str = "cls.predictions";

/// Under these names some checkpoints store the table of the words and the bias once more.
const COPIES: [&str; 2] = ["cls.predictions.decoder.weight", "cls.predictions.decoder.bias"];

/// An encoder with a head for masked words.
#[derive(Clone, Debug)]
pub struct MaskedLm {
    encoder: Encoder,
    transform: Transform,
    bias: Param,
}

impl MaskedLm {
    /// A model with fresh parameters.
    pub fn new(config: &Config, seed: u64) -> Self {
        let [init, head] = [config.initializer(seed), config.transform_initializer(seed)];
        Self::build(config, [&init, &head])
    }

    /// A model whose encoder comes from a checkpoint. The head comes from it too if it has one; otherwise it starts
    /// fresh, by `seed`, and the report names its weights as missing. Stored copies of the tied weights
    /// (`cls.predictions.decoder.*`) are passed over.
    ///
    /// # Errors
    /// When weights of the encoder are missing, or weights are mis-shaped: lists all of both. When one is not finite or
    /// can't be read, or the decoder is stored and the configuration says that it is no copy (`tie_word_embeddings`).
    pub fn load(
        checkpoint: &mut Checkpoint,
        config: &Config,
        seed: u64,
    ) -> Result<(Self, LoadReport)> {
        if !config.ties_word_embeddings() && checkpoint.contains(COPIES[0]) {
            return Err(Error::Untied);
        }
        checkpoint.check([shapes::encoder(config), shapes::masked_lm(config, HEAD)].concat())?;
        let head = config.transform_initializer(seed);
        let model = Self::build(config, [&Initializer::zeros(), &head]);
        let mut report = checkpoint.load(&model.params())?;
        let copies = COPIES.map(|name| config.family.stored_name(name));
        report.unexpected.retain(|name| !copies.contains(&config.family.whole_name(name)));
        Ok((model, report))
    }

    /// Whether a checkpoint holds the whole head of a model with this configuration.
    pub fn has_head(checkpoint: &Checkpoint, config: &Config) -> bool {
        shapes::masked_lm(config, HEAD).iter().all(|(name, _)| checkpoint.contains(name))
    }

    fn build(config: &Config, [encoder, head]: [&Initializer; 2]) -> Self {
        Self {
            encoder: Encoder::new(config, encoder),
            transform: Transform::masked_lm(config, HEAD, head),
            bias: head.zeroed(format!("{HEAD}.bias"), &[config.vocab_size]),
        }
    }

    /// The encoder.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The logits of the masked tokens, `[M, V]`; `positions` (`[M]`) are their rows among the T tokens of the batch,
    /// ascending.
    ///
    /// # Errors
    /// As [`Encoder::states_at`]: no positions are an error, too.
    ///
    /// # Panics
    /// When updates of rows of the word embedding are deferred (`Optimizer::catch_up`): the decoder reads all rows.
    pub fn forward(&self, pass: &Pass, batch: &Batch, positions: &[u32]) -> Result<Var> {
        let states = self.encoder.states_at(pass, batch, positions)?;
        // The head keeps the precision of its weights, and with it the loss.
        let t = self.transform.forward(pass, &self.transform.widen(&states)?)?;
        let [table, bias] =
            [self.encoder.word_embeddings(), &self.bias].map(|param| pass.param(param));
        Ok(ops::linear(&t, &table, Some(&bias))?)
    }

    /// The mean cross-entropy in nats: logits `[M, V]`, targets `[M]`, the ids that were hidden `-> []`.
    ///
    /// # Errors
    /// When there are no targets, there is not one a row, or one is not below V.
    pub fn loss(logits: &Var, targets: &[u32]) -> Result<Var> {
        let targets = Tensor::from_vec(targets.to_vec(), &[targets.len()])?;
        Ok(loss::cross_entropy(logits, &targets)?)
    }

    /// The natural logarithm of the probability of each target at its position, `[M]`. With one masked token in each
    /// copy of a text, the exponential of minus their mean is its pseudo-perplexity: Salazar et al., 2019,
    /// <https://arxiv.org/abs/1910.14659>, section 2.3.
    ///
    /// # Errors
    /// As [`MaskedLm::forward`] and [`MaskedLm::loss`].
    ///
    /// # Panics
    /// As [`MaskedLm::forward`].
    pub fn log_likelihoods(
        &self,
        pass: &Pass,
        batch: &Batch,
        positions: &[u32],
        targets: &[u32],
    ) -> Result<Vec<f64>> {
        let (m, n) = (positions.len(), targets.len());
        if m != n {
            return Err(Error::Positions(format!("expected one a target, got {m} for {n}")));
        }
        let logits = self.forward(pass, batch, positions)?;
        let one = |(m, target): (usize, &u32)| {
            let row = Var::constant(logits.value().narrow(0, m, 1)?);
            Ok(-Self::loss(&row, &[*target])?.value().item()?)
        };
        targets.iter().enumerate().map(one).collect()
    }
}

impl Module for MaskedLm {
    fn params(&self) -> Vec<Param> {
        let mut params = self.encoder.params();
        params.extend(self.transform.params());
        params.push(self.bias.clone());
        params
    }
}
