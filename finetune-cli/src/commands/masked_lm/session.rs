//! A masked-language-modelling run from its first step, or from a checkpoint, to its saved model.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bert::save_pretrained;
use indicatif::ProgressBar;
use nn::Module;
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::prepare::Corpora;
use super::{Job, Start};
use crate::commands::{Interrupted, STOPPED};
use crate::masked_lm::checkpoint;
use crate::masked_lm::corpus::Corpus;
use crate::masked_lm::held_out::HeldOut;
use crate::masked_lm::masking::Masking;
use crate::masked_lm::trainer::{MaskedLmTrainer, Plan};
use crate::optimization::StepLog;
use crate::progress::{bar, report};
use crate::run::Run;

/// The time between checkpoints where no number of steps is given: what a power failure costs at most.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_secs(300);

/// A run in progress.
pub(super) struct Session<'a> {
    job: &'a Job<'a>,
    run: Run,
    start: &'a Start,
    masking: Masking,
    train: Corpus,
    held_out: Option<HeldOut>,
    plan: Plan,
    saved: Instant,
}

/// What was seen since the last line of output.
struct Stretch {
    since: Instant,
    loss: f64,
    steps: u64,
    tokens: usize,
}

impl Stretch {
    fn new() -> Self {
        Self { since: Instant::now(), loss: 0.0, steps: 0, tokens: 0 }
    }

    fn add(&mut self, log: StepLog, tokens: usize) {
        self.loss += log.loss;
        self.steps += 1;
        self.tokens += tokens;
    }

    fn seconds(&self) -> f64 {
        self.since.elapsed().as_secs_f64()
    }

    fn speed(&self) -> f64 {
        self.tokens as f64 / self.seconds()
    }
}

impl<'a> Session<'a> {
    /// Before the first step.
    pub fn new(job: &'a Job<'a>, run: Run, start: &'a Start, corpora: Corpora) -> Result<Self> {
        let (probability, whole_word) = (job.masked_lm.mlm_probability, job.masked_lm.whole_word);
        let masking = Masking::new(&start.tokenizer, probability, whole_word)?;
        let Corpora { train, held_out } = corpora;
        let per_epoch = train.len().div_ceil(job.batch_size) as u64;
        let steps = job.masked_lm.max_steps.unwrap_or(per_epoch * u64::from(job.epochs));
        let plan = Plan { batch_size: job.batch_size, learning_rate: job.learning_rate, steps };
        let (seed, batch_size) = (job.optimization.seed, job.batch_size);
        let precision = job.optimization.precision.into();
        let held_out = held_out.map(|corpus| HeldOut { corpus, seed, batch_size, precision });
        let saved = Instant::now();
        Ok(Self { job, run, start, masking, train, held_out, plan, saved })
    }

    /// Measures, saves the first checkpoint, and trains.
    pub fn begin(mut self) -> Result<()> {
        self.measure("before", 0)?;
        let masking = self.masking.clone();
        let mut trainer = self.trainer(&masking);
        self.save_checkpoint(&mut trainer)?;
        self.train(trainer)
    }

    /// Trains from a checkpoint on.
    pub fn go_on(self, state: &optim::State) -> Result<()> {
        let masking = self.masking.clone();
        let mut trainer = self.trainer(&masking);
        trainer.optimization().resume(state)?;
        self.train(trainer)
    }

    fn trainer<'b>(&self, masking: &'b Masking) -> MaskedLmTrainer<'b>
    where
        'a: 'b,
    {
        MaskedLmTrainer::new(&self.start.model, masking, self.job.optimization, self.plan)
    }

    fn train(mut self, mut trainer: MaskedLmTrainer) -> Result<()> {
        let interrupted = listen()?;
        let bar = bar(self.plan.steps, self.job.machine.quiet);
        bar.set_position(trainer.steps_done());
        let mut stretch = Stretch::new();
        while trainer.steps_done() < self.plan.steps {
            let (log, tokens) = trainer.step(&mut self.train)?;
            stretch.add(log, tokens);
            self.show(&bar, log, &stretch)?;
            if self.is_measured(log.step) {
                trainer.optimization().check_weights()?;
                let line = self.look(log.step, &stretch)?;
                bar.suspend(|| report(line))?;
                stretch = Stretch::new();
            }
            let stop = interrupted.load(Ordering::Relaxed) && log.step < self.plan.steps;
            if stop || self.is_saved(log.step) {
                self.save_checkpoint(&mut trainer)?;
            }
            if stop {
                bar.abandon();
                return Err(Interrupted { step: log.step, steps: self.plan.steps }.into());
            }
        }
        bar.finish_and_clear();
        self.finish()
    }

    /// Steps of one pass over the text.
    fn per_epoch(&self) -> u64 {
        self.train.len().div_ceil(self.plan.batch_size) as u64
    }

    fn epoch(&self, step: u64) -> f64 {
        step as f64 / self.per_epoch() as f64
    }

    /// Whether the held-out text is looked at after this step.
    fn is_measured(&self, step: u64) -> bool {
        let every = self.job.masked_lm.eval_steps.unwrap_or(self.per_epoch());
        step.is_multiple_of(every) || step == self.plan.steps
    }

    /// Whether a checkpoint is due.
    fn is_saved(&self, step: u64) -> bool {
        match self.job.masked_lm.save_steps {
            Some(every) => step.is_multiple_of(every),
            None => self.saved.elapsed() > BETWEEN_CHECKPOINTS,
        }
    }

    fn save_checkpoint(&mut self, trainer: &mut MaskedLmTrainer) -> Result<()> {
        let state = trainer.optimization().state()?;
        let Start { config, tokenizer, model } = self.start;
        checkpoint::save(self.run.folder(), (config, tokenizer), model, &state)?;
        self.saved = Instant::now();
        Ok(())
    }

    /// A step on the bar and, now and then, in the log.
    fn show(&mut self, bar: &ProgressBar, log: StepLog, stretch: &Stretch) -> Result<()> {
        bar.inc(1);
        let (loss, rate, speed) = (log.loss, log.learning_rate, stretch.speed());
        bar.set_message(format!("loss {loss:.4}  lr {rate:.2e}  {speed:.0} tokens/s"));
        if !log.step.is_multiple_of(self.job.optimization.logging_steps) {
            return Ok(());
        }
        let epoch = self.epoch(log.step);
        self.run.log(json!({"epoch": epoch, "step": log.step, "loss": loss, "learning_rate": rate,
            "grad_norm": log.grad_norm}))
    }

    /// The line that says how a stretch of steps went.
    fn look(&mut self, step: u64, stretch: &Stretch) -> Result<String> {
        let (loss, seconds) = (stretch.loss / stretch.steps as f64, stretch.seconds());
        let (epoch, speed) = (self.epoch(step), stretch.speed());
        let mut entry = json!({"epoch": epoch, "step": step, "train_loss": loss,
            "train_runtime": seconds, "train_tokens_per_second": speed});
        let mut line = format!("step {step}/{}  epoch {epoch:.1}  loss {loss:.4}", self.plan.steps);
        if let Some(held_out) = self.held_out_loss()? {
            entry["eval_loss"] = json!(held_out);
            line += &format!("  held-out loss {held_out:.4}");
        }
        self.run.log(entry)?;
        Ok(line + &format!("  {seconds:.1} s, {speed:.0} tokens/s"))
    }

    fn held_out_loss(&mut self) -> Result<Option<f64>> {
        let model = &self.start.model;
        self.held_out.as_mut().map(|text| text.loss(model, &self.masking)).transpose()
    }

    /// Loss and pseudo-perplexity of the held-out text, before or after the training.
    fn measure(&mut self, when: &str, step: u64) -> Result<()> {
        let Some(loss) = self.held_out_loss()? else { return Ok(()) };
        let Some(held_out) = &mut self.held_out else { return Ok(()) };
        let Start { tokenizer, model, .. } = self.start;
        let perplexity = held_out.pseudo_perplexity(model, tokenizer)?;
        let shown = perplexity.map_or("infinite".to_owned(), |p| format!("{p:.2}"));
        report(format_args!("{when:6}  held-out loss {loss:.4}  pseudo-perplexity {shown}"))?;
        self.run.log(json!({"epoch": self.epoch(step), "step": step, "eval_loss": loss,
            "eval_pseudo_perplexity": perplexity}))
    }

    /// Measures, saves the model, and gives the output folder its name.
    fn finish(mut self) -> Result<()> {
        self.measure("after", self.plan.steps)?;
        let (folder, Start { config, tokenizer, model }) = (self.run.folder(), self.start);
        let dtype = self.job.masked_lm.save_dtype.into();
        save_pretrained(folder, config, &model.params(), tokenizer, dtype)?;
        checkpoint::clear(folder)?;
        Corpora::remove(folder)?;
        let state = self.state();
        self.run.finish(state)?;
        let output = self.job.masked_lm.output.display();
        Ok(report(format_args!("saved to {output}"))?)
    }

    /// The keys of transformers' `trainer_state.json`.
    fn state(&self) -> Value {
        json!({
            "epoch": self.epoch(self.plan.steps),
            "global_step": self.plan.steps,
            "max_steps": self.plan.steps,
            "num_train_epochs": self.job.epochs,
            "train_batch_size": self.plan.batch_size,
            "logging_steps": self.job.optimization.logging_steps,
            "seed": self.job.optimization.seed,
        })
    }
}

/// A flag that Ctrl-C or a request to end sets; a second one ends the program at once.
fn listen() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, STOPPED.into(), interrupted.clone())
            .and_then(|_| flag::register(signal, interrupted.clone()))
            .context("Ctrl-C can't be listened to")?;
    }
    Ok(interrupted)
}
