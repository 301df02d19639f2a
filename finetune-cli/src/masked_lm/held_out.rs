//! How well a model knows text that it does not learn from.

use anyhow::Result;
use bert::{MaskedLm, Tokenizer};
use nn::{Pass, Precision};
use tensor::philox::Rng;

use super::corpus::Corpus;
use super::masking::Masking;
use super::perplexity::pseudo_perplexity;
use crate::batches;

/// The random stream of the tokens that are hidden: batch i of a seed uses stream HIDDEN + i.
const HIDDEN: u64 = 0x4845_4c44_0000_0000;

/// Sequences whose pseudo-perplexity is taken, for it costs seven passes: 33 thousand tokens at 128 a sequence.
const PERPLEXITY_SEQUENCES: usize = 256;

/// Text that is held out, and how it is looked at.
pub struct HeldOut {
    /// Its sequences: one at least.
    pub corpus: Corpus,
    /// Chooses the tokens that are hidden; they are the same each time.
    pub seed: u64,
    /// Sequences in a forward pass.
    pub batch_size: usize,
    /// What the forward pass computes in.
    pub precision: Precision,
}

impl HeldOut {
    /// The mean cross-entropy in nats of tokens that are hidden by a rule.
    ///
    /// # Errors
    /// When the corpus can't be read.
    pub fn loss(&mut self, model: &MaskedLm, masking: &Masking) -> Result<f64> {
        let (mut total, mut count) = (0.0, 0);
        let batches = batches::in_order(self.corpus.len(), self.batch_size);
        for (i, rows) in batches.into_iter().enumerate() {
            let mut rng = Rng::new(self.seed, HIDDEN + i as u64);
            let hidden = masking.hide(self.corpus.read(&rows)?, &mut rng)?;
            let pass = Pass::inference().with_precision(self.precision);
            let logits = model.forward(&pass, &hidden.batch, &hidden.positions)?;
            let loss = MaskedLm::loss(&logits, &hidden.targets)?.value().item()?;
            total += loss * hidden.targets.len() as f64;
            count += hidden.targets.len();
        }
        Ok(total / count as f64)
    }

    /// The pseudo-perplexity of the first sequences; none if it is not finite.
    ///
    /// # Errors
    /// When the corpus can't be read.
    pub fn pseudo_perplexity(
        &mut self,
        model: &MaskedLm,
        tokenizer: &Tokenizer,
    ) -> Result<Option<f64>> {
        let first: Vec<usize> = (0..self.corpus.len().min(PERPLEXITY_SEQUENCES)).collect();
        let texts = self.corpus.read(&first)?.into_iter().map(|ids| {
            let types = vec![0; ids.len()];
            Ok((ids, types))
        });
        pseudo_perplexity(model, tokenizer, texts, self.precision)
    }
}
