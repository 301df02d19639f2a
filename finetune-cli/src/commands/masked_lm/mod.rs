//! `finetune adapt` and `finetune pretrain`: texts to sequences on disk, then a [`Session`](session::Session) over them.

mod adapt;
mod prepare;
mod pretrain;
mod session;

use std::path::Path;

use anyhow::{Result, bail};
use bert::{Checkpoint, Config, MaskedLm, Tokenizer};

use crate::args::masked_lm::{AdaptArgs, MaskedLmArgs, PretrainArgs, TextArgs};
use crate::args::{MachineArgs, OptimizationArgs};
use crate::folder::{DEFAULT_LENGTH, Folder};
use crate::masked_lm::checkpoint;
use crate::progress::remark;
use crate::run::{Run, Settings};
use prepare::Corpora;
use session::Session;

pub(super) use adapt::run as adapt;
pub(super) use pretrain::run as pretrain;

/// What a run is told, by either command.
struct Job<'a> {
    text: &'a TextArgs,
    masked_lm: &'a MaskedLmArgs,
    optimization: &'a OptimizationArgs,
    machine: &'a MachineArgs,
    epochs: u32,
    batch_size: usize,
    learning_rate: f64,
}

/// What training begins with.
struct Start {
    config: Config,
    tokenizer: Tokenizer,
    model: MaskedLm,
}

impl<'a> From<&'a AdaptArgs> for Job<'a> {
    fn from(args: &'a AdaptArgs) -> Self {
        Self {
            text: &args.text,
            masked_lm: &args.masked_lm,
            optimization: &args.optimization,
            machine: &args.machine,
            epochs: args.epochs,
            batch_size: args.batch_size,
            learning_rate: args.learning_rate,
        }
    }
}

impl<'a> From<&'a PretrainArgs> for Job<'a> {
    fn from(args: &'a PretrainArgs) -> Self {
        Self {
            text: &args.text,
            masked_lm: &args.masked_lm,
            optimization: &args.optimization,
            machine: &args.machine,
            epochs: args.epochs,
            batch_size: args.batch_size,
            learning_rate: args.learning_rate,
        }
    }
}

impl Job<'_> {
    /// Goes on with a run that was broken off, or makes a new one from what `start` gives.
    fn run(&self, settings: Settings, start: impl FnOnce() -> Result<Start>) -> Result<()> {
        let (output, overwrite) = (&self.masked_lm.output, self.masked_lm.overwrite);
        if let Some((run, folder)) = Run::take_up(output, overwrite, settings)? {
            let start = Start::from_checkpoint(&folder)?;
            let state = checkpoint::optimizer(&folder)?;
            let line = format!("going on from step {}, where the run was broken off", state.step);
            remark(self.machine.quiet, &line);
            let corpora = Corpora::open(run.folder())?;
            return Session::new(self, run, &start, corpora)?.go_on(&state);
        }
        let start = start()?;
        let length = self.length(&start.config)?;
        let run = Run::create(output, overwrite, settings)?;
        let corpora = Corpora::write(self, run.folder(), &start.tokenizer, length)?;
        Session::new(self, run, &start, corpora)?.begin()
    }

    /// L: as typed, or as many tokens as usual and possible.
    fn length(&self, config: &Config) -> Result<usize> {
        let limit = config.max_position_embeddings;
        let length = self.text.max_length.unwrap_or(DEFAULT_LENGTH.min(limit));
        match length <= limit {
            true => Ok(length),
            false => {
                bail!("--max-length {length}: the model has {limit} positions; use {limit} or less")
            }
        }
    }
}

impl Start {
    /// The state of a run that was broken off.
    fn from_checkpoint(path: &Path) -> Result<Self> {
        let Folder { config, tokenizer, .. } = Folder::open(path)?;
        // All weights are there: nothing is drawn.
        let (model, _) = MaskedLm::load(&mut Checkpoint::open(path)?, &config, 0)?;
        Ok(Self { config, tokenizer, model })
    }
}
