//! A training run from its first step, or from a checkpoint, to its saved model.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use autograd::Param;
use bert::{Config, SavedDType, save_pretrained};
use indicatif::ProgressBar;
use nn::Module;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::best::{Best, best_metric};
use super::interruption::{Watch, going_on};
use super::stretch::Stretch;
use super::train::Job;
use super::train_report;
use crate::args::TrainArgs;
use crate::batches::Examples;
use crate::data::Task;
use crate::loss::Loss;
use crate::optimization::{Diverged, StepLog};
use crate::progress::{bar, report};
use crate::run::checkpoint::{self, ADAPTER, Snapshot};
use crate::run::{Run, damaged};
use crate::trainer::{self, Evaluation, Trainer};

/// The key of a checkpoint's state for the hash of the data.
const DATA: &str = "data";

/// A run in progress.
pub(super) struct Session<'a> {
    args: &'a TrainArgs,
    job: &'a Job,
    run: Run,
    trainer: Trainer<'a>,
    best: Option<Best>,
    /// What the weights that are to be saved do, for the report: on validation data, in the end on test data.
    measured: Option<Evaluation>,
    /// The epoch that is under way.
    stretch: Stretch,
    watch: Watch,
    bar: ProgressBar,
}

impl<'a> Session<'a> {
    /// Before the first step. From now on the run can be broken off.
    pub(super) fn new(args: &'a TrainArgs, job: &'a Job, run: Run) -> Result<Self> {
        let (recipe, train) = (&args.recipe, &job.splits.train);
        let trainer = match args.max_steps {
            Some(steps) => Trainer::with_steps(&job.model, recipe, steps),
            None => Trainer::new(&job.model, recipe, train.len()),
        };
        let trainer = trainer.with_loss(Loss::new(&recipe.loss, train));
        let bar = bar(trainer.total_steps(), args.machine.quiet);
        let (watch, stretch) = (Watch::begin(args.checkpoints)?, Stretch::new());
        Ok(Self { args, job, run, trainer, best: None, measured: None, stretch, watch, bar })
    }

    /// Goes on behind a checkpoint, whose weights the model has.
    pub(super) fn resume(&mut self, folder: &Path) -> Result<()> {
        let optimizer = self.recall(folder).with_context(|| damaged(folder))?;
        self.trainer.resume(&optimizer)?;
        self.bar.set_position(optimizer.step);
        going_on(self.args.machine.quiet, optimizer.step);
        Ok(())
    }

    /// What was seen before the break; gives what the optimizer remembered.
    fn recall(&mut self, folder: &Path) -> Result<optim::State> {
        let state = checkpoint::state(folder)?;
        ensure!(state[DATA] == self.job.splits.digits(), "the data is not what it was trained on");
        let optimizer = checkpoint::optimizer(folder, &state, self.trainer.total_steps())?;
        let (epochs, params) = (optimizer.step / self.steps_per_epoch(), self.trained());
        self.best = Best::load(folder, &state, epochs, self.keeps_best().then_some(&params))?;
        self.stretch = Stretch::of(&state)?;
        Ok(optimizer)
    }

    /// Trains, tests, saves, and gives the output folder its name.
    pub(super) fn train(mut self) -> Result<()> {
        match self.epochs().and_then(|()| self.test()) {
            Ok(tested) => self.finish(tested),
            Err(error) if error.is::<Diverged>() => Err(self.run.diverged(error)),
            Err(error) => Err(error),
        }
    }

    /// All epochs that are left, or as many as patience allows.
    fn epochs(&mut self) -> Result<()> {
        while self.trainer.steps_done() < self.trainer.total_steps() {
            let learning_rate = self.pass()?;
            let line = self.end_epoch(learning_rate)?;
            self.bar.suspend(|| report(line));
            if let Some(waited) = self.lost_patience() {
                self.bar.suspend(|| {
                    report(format_args!("no better epoch for {waited} epochs: stopped early"));
                });
                break;
            }
            self.stretch = Stretch::new();
            self.save_if_due()?;
        }
        self.bar.finish_and_clear();
        Ok(())
    }

    /// After how many epochs without a better one the run ends before its time; none as long as it goes on.
    fn lost_patience(&self) -> Option<f64> {
        let (step, patience) =
            (self.trainer.steps_done(), self.args.recipe.early_stopping_patience?);
        let waited = self.epoch_at(step) - self.best.as_ref()?.epoch;
        (step < self.trainer.total_steps() && waited >= f64::from(patience)).then_some(waited)
    }

    /// What is left of an epoch, or of the run; gives the last learning rate.
    fn pass(&mut self) -> Result<f64> {
        let train = &self.job.splits.train;
        let (epoch, mut steps) = self.trainer.rest_of_epoch(train);
        steps.truncate((self.trainer.total_steps() - self.trainer.steps_done()) as usize);
        self.bar.set_prefix(format!("epoch {epoch}/{}", self.epochs_begun()));
        let mut last = None;
        for (i, rows) in steps.iter().enumerate() {
            last = self.trainer.step(train, rows)?;
            self.show(last);
            // At the end of an epoch, its line comes first.
            if i + 1 < steps.len() {
                self.save_if_due()?;
            }
        }
        let settled = self.trainer.settle()?;
        self.show(settled);
        let last = settled.or(last).expect("an epoch has steps, and the last one has its log now");
        Ok(last.learning_rate)
    }

    /// A step on the bar and, now and then, in the log.
    fn show(&mut self, log: Option<StepLog>) {
        let Some(log) = log else { return };
        self.stretch.add(&log, log.size.examples as u64);
        self.bar.inc(1);
        let (loss, rate, speed) = (log.loss, log.learning_rate, self.speed());
        self.bar.set_message(format!("loss {loss:.4}  lr {rate:.2e}  {speed:.0} ex/s"));
        if log.step.is_multiple_of(self.args.recipe.optimization.logging_steps) {
            self.run.log(step_entry(log, self.epoch_at(log.step)));
        }
    }

    /// Examples per second since the epoch began. A sentence that is too long is several rows of the batches, which the
    /// shuffle takes apart: rows are counted, and make up as much of the examples as of all rows.
    fn speed(&self) -> f64 {
        let train = &self.job.splits.train;
        self.stretch.speed() * train.texts() as f64 / train.len() as f64
    }

    /// Validates; gives the line that says how the epoch went, or the part of it that `--max-steps` leaves of the last.
    fn end_epoch(&mut self, learning_rate: f64) -> Result<String> {
        let (step, loss) = (self.trainer.steps_done(), self.stretch.loss());
        let (seconds, speed) = (self.stretch.seconds(), self.speed());
        let epoch = self.epoch_at(step);
        let mut entry = json!({"epoch": epoch, "step": step, "train_loss": loss,
            "learning_rate": learning_rate, "train_runtime": seconds,
            "train_samples_per_second": speed});
        let mut line = format!("epoch {}/{}  loss {loss:.4}", shown(epoch), self.epochs_begun());
        if let Some(validation) = &self.job.splits.validation {
            let result = self.evaluate(validation, "validation")?;
            add(&mut entry, "eval", &result);
            line += &format!("  validation {}", self.summary(&result));
            self.keep_best(epoch, result);
        }
        self.run.log(entry);
        Ok(line + &format!("  {seconds:.1} s, {speed:.0} examples/s"))
    }

    /// Saves a checkpoint if it is time to, or the run was asked to stop; then it ends here.
    fn save_if_due(&mut self) -> Result<()> {
        let (step, steps) = (self.trainer.steps_done(), self.trainer.total_steps());
        let stop = self.watch.is_interrupted();
        if step == steps || !(stop || self.watch.is_due(step)) {
            return Ok(());
        }
        self.save_checkpoint(stop)?;
        if stop {
            self.bar.abandon();
            return Err(self.watch.interruption(step, steps).into());
        }
        Ok(())
    }

    fn save_checkpoint(&mut self, stops: bool) -> Result<()> {
        let settled = self.trainer.settle()?;
        self.show(settled);
        let (params, optimizer) = (self.job.model.merged()?.params(), self.trainer.state()?);
        let best = self.best.as_ref().map_or(Vec::new(), |best| best.named(&self.trained()));
        let mut state = self.state();
        state[Stretch::KEY] = self.stretch.to_json();
        state[DATA] = json!(self.job.splits.digits());
        let (config, tokenizer) = (&self.tuned_config(), &self.job.folder.tokenizer);
        let adapter = self.job.adapter.as_ref();
        let snapshot = Snapshot { config, tokenizer, params, adapter, optimizer, best, state };
        self.watch.note(self.run.save(snapshot), stops, &self.bar)
    }

    /// Measures the model as it would be saved now, on a part of the data with such a name.
    fn evaluate(&self, data: &Examples, part: &'static str) -> Result<Evaluation> {
        let model = self.job.model.merged()?;
        let recipe = &self.args.recipe;
        let (size, precision) = (recipe.eval_batch_size, recipe.optimization.precision.into());
        let bar = bar(data.len() as u64, self.args.machine.quiet).with_prefix(part);
        let result = self.bar.suspend(|| {
            let done = &mut |rows| bar.inc(rows as u64);
            let result = trainer::evaluate(&model, &self.job.task, data, size, precision, done);
            bar.finish_and_clear();
            result
        })?;
        match result.loss.filter(|loss| !loss.is_finite()) {
            Some(loss) => {
                let what = format!("the loss on held-out data is {loss}");
                let (step, steps) = (self.trainer.steps_done(), self.trainer.total_steps());
                Err(Diverged { step, steps, what }.into())
            }
            None => Ok(result),
        }
    }

    /// Remembers this epoch if its validation figure is the best so far.
    fn keep_best(&mut self, epoch: f64, result: Evaluation) {
        let name = best_metric(&self.args.recipe, &self.job.task);
        let figure = result.figure(name);
        let figure = figure.expect("validation data has labels, the name was checked");
        let is_best = self.best.as_ref().is_none_or(|best| best.is_below(name, figure));
        if is_best {
            let params = self.keeps_best().then(|| self.trained());
            self.best = Some(Best::new((epoch, figure), params.as_deref()));
        }
        if is_best || !self.keeps_best() {
            self.measured = Some(result);
        }
    }

    /// The loss, and the figure that decides on the best epoch.
    fn summary(&self, result: &Evaluation) -> String {
        summary(result, best_metric(&self.args.recipe, &self.job.task))
    }

    /// The parameters that change.
    fn trained(&self) -> Vec<Param> {
        self.job.model.params().into_iter().filter(|param| !param.is_frozen()).collect()
    }

    /// Whether the weights of the best epoch are kept.
    fn keeps_best(&self) -> bool {
        self.args.recipe.load_best_model_at_end
    }

    /// Takes the weights that are to be saved, and tests them; gives what is to be logged.
    fn test(&mut self) -> Result<Option<Value>> {
        let trained = self.trained();
        if let Some(best) = &mut self.best
            && best.restore(&trained)?
        {
            report(format_args!("the weights of epoch {} are kept", shown(best.epoch)));
        }
        let Some(test) = &self.job.splits.test else {
            // What the best epoch predicted is in no checkpoint.
            if self.measured.is_none() {
                let validation = self.job.splits.validation.as_ref();
                self.measured = validation.and_then(|data| self.evaluate(data, "validation").ok());
            }
            return Ok(None);
        };
        let result = self.evaluate(test, "test")?;
        report(format_args!("test  {}  {:.0} examples/s", self.summary(&result), result.speed));
        report(result.report.as_ref().expect("test data has labels"));
        let mut entry = json!({"test_samples_per_second": result.speed});
        add(&mut entry, "test", &result);
        self.measured = Some(result);
        Ok(Some(entry))
    }

    /// Saves, and gives the output folder its name.
    fn finish(mut self, tested: Option<Value>) -> Result<()> {
        let (config, params) = (self.tuned_config(), self.job.model.merged()?.params());
        let (tokenizer, adapter) = (&self.job.folder.tokenizer, &self.job.adapter);
        let save = |place: &Path| {
            save_pretrained(place, &config, &params, tokenizer, SavedDType::F32)?;
            adapter.iter().try_for_each(|adapter| adapter.save(&place.join(ADAPTER)))
        };
        save(self.run.folder()).map_err(|error| rescued(error, save))?;
        if let Some(entry) = tested {
            self.run.log(entry);
        }
        let (state, output) = (self.state(), self.run.destination().to_owned());
        let state = self.run.finish(state)?;
        train_report::write(self.args, self.job, &state, self.measured.as_ref(), &output);
        clean_up(self.args, &output)
    }

    fn steps_per_epoch(&self) -> u64 {
        trainer::steps_per_epoch(self.job.splits.train.len(), &self.args.recipe)
    }

    /// How many epochs so many steps are.
    fn epoch_at(&self, step: u64) -> f64 {
        step as f64 / self.steps_per_epoch() as f64
    }

    /// How many epochs all steps are, one that is broken off included.
    fn epochs_begun(&self) -> u64 {
        self.trainer.total_steps().div_ceil(self.steps_per_epoch())
    }

    /// The keys of transformers' `trainer_state.json`.
    fn state(&self) -> Value {
        let (recipe, step) = (&self.args.recipe, self.trainer.steps_done());
        json!({
            "best_metric": self.best.as_ref().map(|best| best.figure),
            "best_epoch": self.best.as_ref().map(|best| best.epoch),
            "metric_for_best_model": best_metric(recipe, &self.job.task),
            "epoch": self.epoch_at(step),
            "global_step": step,
            "max_steps": self.trainer.total_steps(),
            "num_train_epochs": self.epochs_begun(),
            "train_batch_size": recipe.batch_size,
            "logging_steps": recipe.optimization.logging_steps,
            "seed": recipe.optimization.seed,
        })
    }

    fn tuned_config(&self) -> Config {
        tuned_config(&self.job.folder.config, &self.job.task)
    }
}

/// Removes what only a run that goes on needs, and says where the model is.
pub(super) fn clean_up(args: &TrainArgs, output: &Path) -> Result<()> {
    checkpoint::clear(output)?;
    train_report::introduce(output);
    report(format_args!("saved to {}", output.display()));
    if let Some(command) = train_report::next(args) {
        report(format_args!("next: {command}"));
    }
    Ok(())
}

/// What is said when a trained model can't be saved where it should be, a full disk say: it is saved in the folder for
/// temporary files, if that can be written, under a name that nobody has: a number of a process is soon used again.
fn rescued(error: bert::Error, save: impl Fn(&Path) -> bert::Result<()>) -> anyhow::Error {
    let place = tempfile::Builder::new().prefix("finetune-").tempdir();
    // A folder that is not kept is removed.
    let saved = place.ok().filter(|place| save(place.path()).is_ok()).map(TempDir::keep);
    let error = anyhow::Error::from(error);
    match saved {
        Some(place) => {
            error.context(format!("the trained model is in {} instead", place.display()))
        }
        None => error,
    }
}

/// The number of an epoch, of one that was broken off with four decimals at most: `3`, `0.3`.
fn shown(epoch: f64) -> f64 {
    (epoch * 1e4).round() / 1e4
}

fn step_entry(log: StepLog, epoch: f64) -> Value {
    json!({"epoch": epoch, "step": log.step, "loss": log.loss,
        "learning_rate": log.learning_rate, "grad_norm": log.grad_norm})
}

/// Adds `PREFIX_loss`, `PREFIX_accuracy`, ... to a log entry.
fn add(entry: &mut Value, prefix: &str, result: &Evaluation) {
    let entry: &mut Map<String, Value> = entry.as_object_mut().expect("an object");
    entry.insert(format!("{prefix}_loss"), json!(result.loss));
    for (name, value) in result.report.iter().flat_map(|report| &report.metrics) {
        entry.insert(format!("{prefix}_{name}"), json!(value));
    }
}

/// `loss 0.2931 accuracy 0.8830`: the loss, and the figure of this name.
fn summary(result: &Evaluation, name: &str) -> String {
    let figure = result.figure(name).filter(|_| name != "loss");
    let figure = figure.map(|value| format!(" {name} {value:.4}")).unwrap_or_default();
    format!("loss {:.4}{figure}", result.loss.unwrap_or(f64::NAN))
}

/// The configuration of the fine-tuned model.
fn tuned_config(config: &Config, task: &Task) -> Config {
    let mut config = config.clone();
    config.problem_type = task.problem_type();
    config.labels = match task.label_set() {
        Some(set) => set.names().to_vec(),
        // transformers' name of the only output of a regression.
        None => vec!["LABEL_0".to_owned()],
    };
    config
}
