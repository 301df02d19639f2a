//! A masked-language-modelling run from its first step, or from a checkpoint, to its saved model.

use std::path::Path;

use anyhow::{Context, Result};
use bert::save_pretrained;
use indicatif::ProgressBar;
use nn::Module;
use serde_json::{Value, json};

use super::prepare::Corpora;
use super::{Job, Start};
use crate::batches;
use crate::commands::card;
use crate::commands::interruption::{Watch, going_on};
use crate::commands::stretch::Stretch;
use crate::masked_lm::corpus::Corpus;
use crate::masked_lm::held_out::HeldOut;
use crate::masked_lm::masking::Masking;
use crate::masked_lm::trainer::{MaskedLmTrainer, Plan};
use crate::optimization::{Diverged, StepLog};
use crate::progress::{bar, during, report};
use crate::run::checkpoint::{self, Snapshot};
use crate::run::{Run, damaged};

/// A run in progress.
pub(super) struct Session<'a> {
    job: &'a Job<'a>,
    run: Run,
    start: &'a Start,
    masking: &'a Masking,
    train: Corpus,
    held_out: Option<HeldOut>,
    plan: Plan,
}

impl<'a> Session<'a> {
    /// Before the first step.
    pub fn new(
        job: &'a Job<'a>,
        run: Run,
        start: &'a Start,
        masking: &'a Masking,
        corpora: Corpora,
    ) -> Self {
        let Corpora { train, held_out } = corpora;
        let batch_size = job.batch_size;
        let rows_per_step = job.args.optimization.rows_per_step(batch_size);
        let per_epoch = batches::count(train.len(), rows_per_step);
        let steps = job.args.masked_lm.max_steps.unwrap_or(per_epoch * u64::from(job.epochs));
        let plan = Plan { batch_size, rows_per_step, learning_rate: job.learning_rate, steps };
        let seed = job.args.optimization.seed;
        let precision = job.args.optimization.precision.into();
        let held_out = held_out.map(|corpus| HeldOut { corpus, seed, batch_size, precision });
        Self { job, run, start, masking, train, held_out, plan }
    }

    /// Measures, saves the first checkpoint, and trains.
    pub fn begin(mut self) -> Result<()> {
        self.measure("before", 0)?;
        let (mut trainer, stretch) = (self.trainer(), Stretch::new());
        // Before the first step nothing is lost: what can't be written now is an error.
        let snapshot = self.snapshot(&mut trainer, stretch)?;
        self.run.save(snapshot)?;
        self.train(trainer, stretch)
    }

    /// Trains from a checkpoint on, whose weights the model has.
    pub fn go_on(self, folder: &Path) -> Result<()> {
        let recall = || {
            let state = checkpoint::state(folder)?;
            Ok((checkpoint::optimizer(folder, &state, self.plan.steps)?, Stretch::of(&state)?))
        };
        let recalled: Result<_> = recall();
        let (optimizer, stretch) = recalled.with_context(|| damaged(folder))?;
        let mut trainer = self.trainer();
        trainer.optimization().resume(&optimizer)?;
        going_on(self.job.args.machine.quiet, optimizer.step);
        self.train(trainer, stretch)
    }

    fn trainer(&self) -> MaskedLmTrainer<'a> {
        MaskedLmTrainer::new(
            &self.start.model,
            self.masking,
            &self.job.args.optimization,
            self.plan,
        )
    }

    fn train(mut self, mut trainer: MaskedLmTrainer, stretch: Stretch) -> Result<()> {
        match self.steps(&mut trainer, stretch) {
            Ok(()) => self.finish(),
            Err(error) if error.is::<Diverged>() => Err(self.run.diverged(error)),
            Err(error) => Err(error),
        }
    }

    fn steps(&mut self, trainer: &mut MaskedLmTrainer, mut stretch: Stretch) -> Result<()> {
        let mut watch = Watch::begin(self.job.args.masked_lm.checkpoints)?;
        let bar = bar(self.plan.steps, self.job.args.machine.quiet);
        bar.set_position(trainer.steps_done());
        while trainer.steps_done() < self.plan.steps {
            let log = trainer.step(&mut self.train)?;
            self.show(&bar, log, &mut stretch);
            let (step, steps) = (trainer.steps_done(), self.plan.steps);
            let stop = watch.is_interrupted() && step < steps;
            let (measured, saved) = (self.is_measured(step), stop || watch.is_due(step));
            if measured || saved {
                self.show(&bar, trainer.optimization().finish()?, &mut stretch);
            }
            if measured {
                trainer.optimization().check_weights()?;
                let line = self.look(step, &stretch)?;
                bar.suspend(|| report(line));
                stretch = Stretch::new();
            }
            if saved {
                let snapshot = self.snapshot(trainer, stretch)?;
                watch.note(self.run.save(snapshot), stop, &bar)?;
            }
            if stop {
                bar.abandon();
                return Err(watch.interruption(step, steps).into());
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Steps of one pass over the text.
    fn per_epoch(&self) -> u64 {
        batches::count(self.train.len(), self.plan.rows_per_step)
    }

    fn epoch(&self, step: u64) -> f64 {
        step as f64 / self.per_epoch() as f64
    }

    /// Whether the held-out text is looked at after this step.
    fn is_measured(&self, step: u64) -> bool {
        let every = self.job.args.masked_lm.eval_steps.unwrap_or(self.per_epoch());
        step.is_multiple_of(every) || step == self.plan.steps
    }

    /// What a checkpoint would hold now.
    fn snapshot(&self, trainer: &mut MaskedLmTrainer, stretch: Stretch) -> Result<Snapshot<'a>> {
        trainer.optimization().check_weights()?;
        let Start { config, tokenizer, model } = self.start;
        let (params, optimizer) = (model.params(), trainer.optimization().state()?);
        let mut state = self.state(optimizer.step);
        state[Stretch::KEY] = stretch.to_json();
        let best = Vec::new();
        let adapter = None;
        Ok(Snapshot { config, tokenizer, params, adapter, optimizer, best, state })
    }

    /// A step on the bar and, now and then, in the log.
    fn show(&mut self, bar: &ProgressBar, log: Option<StepLog>, stretch: &mut Stretch) {
        let Some(log) = log else { return };
        stretch.add(&log, log.size.tokens as u64);
        bar.inc(1);
        let (loss, rate, speed) = (log.loss, log.learning_rate, stretch.speed());
        bar.set_message(format!("loss {loss:.4}  lr {rate:.2e}  {speed:.0} tokens/s"));
        if !log.step.is_multiple_of(self.job.args.optimization.logging_steps) {
            return;
        }
        let epoch = self.epoch(log.step);
        self.run.log(json!({"epoch": epoch, "step": log.step, "loss": loss, "learning_rate": rate,
            "grad_norm": log.grad_norm}));
    }

    /// The line that says how a stretch of steps went.
    fn look(&mut self, step: u64, stretch: &Stretch) -> Result<String> {
        let (loss, seconds) = (stretch.loss(), stretch.seconds());
        let (epoch, speed) = (self.epoch(step), stretch.speed());
        let mut entry = json!({"epoch": epoch, "step": step, "train_loss": loss,
            "train_runtime": seconds, "train_tokens_per_second": speed});
        let mut line = format!("step {step}/{}  epoch {epoch:.1}  loss {loss:.4}", self.plan.steps);
        if let Some(held_out) = self.held_out_loss()? {
            entry["eval_loss"] = json!(held_out);
            line += &format!("  held-out loss {held_out:.4}");
        }
        self.run.log(entry);
        Ok(line + &format!("  {seconds:.1} s, {speed:.0} tokens/s"))
    }

    fn held_out_loss(&mut self) -> Result<Option<f64>> {
        let model = &self.start.model;
        self.held_out.as_mut().map(|text| text.loss(model, self.masking)).transpose()
    }

    /// Loss and pseudo-perplexity of the held-out text, before or after the training.
    fn measure(&mut self, when: &str, step: u64) -> Result<()> {
        let Some(held_out) = &mut self.held_out else { return Ok(()) };
        let Start { tokenizer, model, .. } = self.start;
        let quiet = self.job.args.machine.quiet;
        let measured = during("measuring the held-out text", quiet, || {
            let loss = held_out.loss(model, self.masking)?;
            anyhow::Ok((loss, held_out.pseudo_perplexity(model, tokenizer)?))
        });
        let (loss, perplexity) = measured?;
        let shown = perplexity.map_or("infinite".to_owned(), |p| format!("{p:.2}"));
        report(format_args!("{when:6}  held-out loss {loss:.4}  pseudo-perplexity {shown}"));
        self.run.log(json!({"epoch": self.epoch(step), "step": step, "eval_loss": loss,
            "eval_pseudo_perplexity": perplexity}));
        Ok(())
    }

    /// Measures, saves the model, and gives the output folder its name.
    fn finish(mut self) -> Result<()> {
        self.measure("after", self.plan.steps)?;
        let Start { config, tokenizer, model } = self.start;
        let dtype = self.job.args.masked_lm.save_dtype.into();
        save_pretrained(self.run.folder(), config, &model.params(), tokenizer, dtype)?;
        let (state, output) = (self.state(self.plan.steps), self.run.destination().to_owned());
        let state = self.run.finish(state)?;
        let files = &self.job.args.text;
        let (files, others) = (&files.text[..], &files.validation[..]);
        let mut texts = vec![card::Text { role: "text", files, corpus: &self.train }];
        texts.extend(self.held_out.as_ref().map(|HeldOut { corpus, .. }| card::Text {
            role: "held-out text",
            files: others,
            corpus,
        }));
        card::write_masked_lm((self.job.settings, self.job.base), &texts, &state, &output);
        clean_up(&self.job.args.masked_lm.output)
    }

    /// The keys of transformers' `trainer_state.json`, after `step` steps.
    fn state(&self, step: u64) -> Value {
        json!({
            "epoch": self.epoch(step),
            "global_step": step,
            "max_steps": self.plan.steps,
            "num_train_epochs": self.plan.steps.div_ceil(self.per_epoch()),
            "train_batch_size": self.plan.batch_size,
            "logging_steps": self.job.args.optimization.logging_steps,
            "seed": self.job.args.optimization.seed,
        })
    }
}

/// Removes what only a run that goes on needs, and says where the model is.
pub(super) fn clean_up(output: &Path) -> Result<()> {
    checkpoint::clear(output)?;
    Corpora::remove(output)?;
    report(format_args!("saved to {}", output.display()));
    Ok(())
}
