//! The training loop of a masked-language model.
//!
//! ```text
//! step s of a run: the next A B sequences of the epoch's order, in A batches, tokens hidden by (seed, s)
//! loss = mean over hidden tokens of -log p(token)
//! ```
//!
//! Order, hidden tokens and dropout are functions of the seed and the number of the step: a run that was broken off
//! goes on to the same bits.

use anyhow::Result;
use bert::MaskedLm;
use nn::{Module, Pass};
use tensor::philox::Rng;

use super::corpus::Corpus;
use super::masking::Masking;
use crate::args::OptimizationArgs;
use crate::batches;
use crate::optimization::{Optimization, Part, StepLog};

/// The random stream of the tokens that are hidden: step s of a seed uses stream HIDDEN + s.
const HIDDEN: u64 = 0x4849_4444_0000_0000;

/// How many steps, and of what.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// B: sequences of a batch.
    pub batch_size: usize,
    /// A B: sequences of a step.
    pub rows_per_step: usize,
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
        let mut rng = Rng::new(self.seed, HIDDEN + step);
        let batches = rows.chunks(self.plan.batch_size);
        let parts = batches.map(|rows| self.part(corpus.read(rows)?, &mut rng));
        let parts = parts.collect::<Result<_>>()?;
        self.optimization.step(parts)
    }

    /// One batch of a step.
    fn part(&self, sequences: Vec<Vec<u32>>, rng: &mut Rng) -> Result<Part<'a>> {
        let (model, hidden) = (self.model, self.masking.hide(sequences, rng)?);
        let (size, weight) = ((&hidden.batch).into(), hidden.targets.len() as f64);
        let loss = move |pass: &Pass| {
            let logits = model.forward(pass, &hidden.batch, &hidden.positions)?;
            Ok(MaskedLm::loss(&logits, &hidden.targets)?)
        };
        Ok(Part { size, weight, loss: Box::new(loss) })
    }

    /// The sequences of a step.
    fn rows(&mut self, step: u64, sequences: usize) -> Vec<usize> {
        let size = self.plan.rows_per_step;
        let per_epoch = batches::count(sequences, size);
        let epoch = (step / per_epoch) as u32 + 1;
        if self.order.0 != epoch {
            self.order = (epoch, batches::shuffled(sequences, size, self.seed, epoch));
        }
        self.order.1[(step % per_epoch) as usize].clone()
    }
}
