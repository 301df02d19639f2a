//! The training loop of a masked-language model.
//!
//! ```text
//! step s of a run: the next B sequences of the epoch's order, tokens hidden by (seed, s)
//! loss = mean over hidden tokens of -log p(token)
//! ```
//!
//! Order, hidden tokens and dropout are functions of the seed and the number of the step: a run that was broken off
//! goes on to the same bits.

use anyhow::Result;
use bert::MaskedLm;
use nn::Module;
use tensor::philox::Rng;

use super::corpus::Corpus;
use super::masking::Masking;
use crate::args::OptimizationArgs;
use crate::batches;
use crate::optimization::{Optimization, StepLog};

/// The random stream of the tokens that are hidden: step s of a seed uses stream HIDDEN + s.
const HIDDEN: u64 = 0x4849_4444_0000_0000;

/// How many steps, and of what.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// B: sequences of a step.
    pub batch_size: usize,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// Steps of the whole run.
    pub steps: u64,
}

/// A masked-language model in training.
pub struct MaskedLmTrainer<'a> {
    model: &'a MaskedLm,
    masking: &'a Masking,
    plan: Plan,
    seed: u64,
    optimization: Optimization<'a>,
    /// The batches of one epoch: its number, from 1, and the sequences of each.
    order: (u32, Vec<Vec<usize>>),
}

impl<'a> MaskedLmTrainer<'a> {
    /// Before the first step.
    pub fn new(
        model: &'a MaskedLm,
        masking: &'a Masking,
        args: &'a OptimizationArgs,
        plan: Plan,
    ) -> Self {
        let optimization = Optimization::new(model.params(), args, plan.learning_rate, plan.steps);
        Self { model, masking, plan, seed: args.seed, optimization, order: (0, Vec::new()) }
    }

    /// What the steps have in common with those of any training.
    pub fn optimization(&mut self) -> &mut Optimization<'a> {
        &mut self.optimization
    }

    /// Steps that were made.
    pub fn steps_done(&self) -> u64 {
        self.optimization.steps_done()
    }

    /// The next step over a corpus, always the same one. Gives its log, on a GPU that of the one before; see
    /// [`Optimization::step`].
    ///
    /// # Errors
    /// When the corpus can't be read, or the training diverges.
    pub fn step(&mut self, corpus: &mut Corpus) -> Result<Option<StepLog>> {
        let step = self.steps_done();
        let rows = self.rows(step, corpus.len());
        let hidden =
            self.masking.hide(corpus.read(&rows)?, &mut Rng::new(self.seed, HIDDEN + step))?;
        let model = self.model;
        self.optimization.step((&hidden.batch).into(), |pass| {
            let logits = model.forward(pass, &hidden.batch, &hidden.positions)?;
            Ok(MaskedLm::loss(&logits, &hidden.targets)?)
        })
    }

    /// The sequences of a step.
    fn rows(&mut self, step: u64, sequences: usize) -> Vec<usize> {
        let size = self.plan.batch_size;
        let per_epoch = batches::count(sequences, size);
        let epoch = (step / per_epoch) as u32 + 1;
        if self.order.0 != epoch {
            self.order = (epoch, batches::shuffled(sequences, size, self.seed, epoch));
        }
        self.order.1[(step % per_epoch) as usize].clone()
    }
}
