//! A training run from its first step, or from a checkpoint, to its saved model.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use autograd::Param;
use bert::{Config, SavedDType, save_pretrained};
use indicatif::ProgressBar;
use nn::Module;
use serde_json::{Value, json};

use super::best::{Best, best_metric};
use super::card;
use super::ending::{clean_up, rescued};
use super::entries::{add, shown, step_entry, summary};
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
    /// The steps since the last line: where nothing else is said, the epoch that is under way.
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
        let (steps, params) = ((self.stride(), optimizer.step), self.trained());
        self.best = Best::load(folder, &state, steps, self.keeps_best().then_some(&params))?;
        self.stretch = Stretch::of(&state)?;
        Ok(optimizer)
    }

    /// Trains, tests, saves, and gives the output folder its name.
    pub(super) fn train(mut self) -> Result<()> {
        match self.steps().and_then(|()| self.test()) {
            Ok(tested) => self.finish(tested),
            Err(error) if error.is::<Diverged>() => Err(self.run.diverged(error)),
            Err(error) => Err(error),
        }
    }

    /// All steps that are left, or as many as patience allows.
    fn steps(&mut self) -> Result<()> {
        while self.trainer.steps_done() < self.trainer.total_steps() {
            let learning_rate = self.pass()?;
            if self.is_time_to_look() {
                let line = self.look(learning_rate)?;
                self.bar.suspend(|| report(line));
                if let Some(waited) = self.lost_patience() {
                    let line = format!("no better figure in {waited} validations: stopped early");
                    self.bar.suspend(|| report(line));
                    break;
                }
                self.stretch = Stretch::new();
            }
            self.save_if_due()?;
        }
        self.bar.finish_and_clear();
        Ok(())
    }

    /// After how many validations without a better one the run ends before its time; none as long as it goes on.
    fn lost_patience(&self) -> Option<u64> {
        let (step, patience) =
            (self.trainer.steps_done(), self.args.recipe.early_stopping_patience?);
        let waited = (step - self.best.as_ref()?.step) / self.stride();
        (step < self.trainer.total_steps() && waited >= u64::from(patience)).then_some(waited)
    }

    /// Steps from one look at the validation data to the next.
    fn stride(&self) -> u64 {
        self.args.eval_steps.unwrap_or(self.steps_per_epoch())
    }

    /// Whether the run is at such a look, or at its end.
    fn is_time_to_look(&self) -> bool {
        let step = self.trainer.steps_done();
        step.is_multiple_of(self.stride()) || step == self.trainer.total_steps()
    }

    /// The steps up to the next look, but none beyond the epoch; gives the last learning rate.
    fn pass(&mut self) -> Result<f64> {
        let train = &self.job.splits.train;
        let (epoch, mut steps) = self.trainer.rest_of_epoch(train);
        let (done, total) = (self.trainer.steps_done(), self.trainer.total_steps());
        let left = (total - done).min(self.stride() - done % self.stride());
        steps.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        self.bar.set_prefix(format!("epoch {epoch}/{}", self.epochs_begun()));
        let mut last = None;
        for (i, rows) in steps.iter().enumerate() {
            last = self.trainer.step(train, rows)?;
            self.show(last);
            // At the end, a line comes first.
            if i + 1 < steps.len() {
                self.save_if_due()?;
            }
        }
        let settled = self.trainer.settle()?;
        self.show(settled);
        let last = settled.or(last).expect("there are steps, and the last one has its log now");
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

    /// Examples per second since the last line. A sentence that is too long is several rows of the batches, which the
    /// shuffle takes apart: rows are counted, and make up as much of the examples as of all rows.
    fn speed(&self) -> f64 {
        let train = &self.job.splits.train;
        self.stretch.speed() * train.texts() as f64 / train.len() as f64
    }

    /// Validates; gives the line that says how the steps since the last one went: an epoch, or the part of it that
    /// `--max-steps` leaves of the last, or as many as `--eval-steps` says.
    fn look(&mut self, learning_rate: f64) -> Result<String> {
        let (step, loss) = (self.trainer.steps_done(), self.stretch.loss());
        let (seconds, speed) = (self.stretch.seconds(), self.speed());
        let mut entry = json!({"epoch": self.epoch_at(step), "step": step, "train_loss": loss,
            "learning_rate": learning_rate, "train_runtime": seconds,
            "train_samples_per_second": speed});
        let mut line = format!("{}  loss {loss:.4}", self.place());
        if let Some(validation) = &self.job.splits.validation {
            let result = self.evaluate(validation, "validation")?;
            add(&mut entry, "eval", &result);
            line += &format!("  validation {}", self.summary(&result));
            self.keep_best(step, result);
        }
        self.run.log(entry);
        Ok(line + &format!("  {seconds:.1} s, {speed:.0} examples/s"))
    }

    /// How far the run is: `epoch 2/3`, or with `--eval-steps` `step 300/651  epoch 1.38`.
    fn place(&self) -> String {
        let (step, steps) = (self.trainer.steps_done(), self.trainer.total_steps());
        let epoch = self.epoch_at(step);
        match self.args.eval_steps {
            Some(_) => format!("step {step}/{steps}  epoch {epoch:.2}"),
            None => format!("epoch {}/{}", shown(epoch), self.epochs_begun()),
        }
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

    /// Remembers the weights after this step if their validation figure is the best so far.
    fn keep_best(&mut self, step: u64, result: Evaluation) {
        let name = best_metric(&self.args.recipe, &self.job.task);
        let figure = result.figure(name);
        let figure = figure.expect("validation data has labels, the name was checked");
        let is_best = self.best.as_ref().is_none_or(|best| best.is_below(name, figure));
        if is_best {
            let params = self.keeps_best().then(|| self.trained());
            self.best = Some(Best::new((step, figure), params.as_deref()));
        }
        if is_best || !self.keeps_best() {
            self.measured = Some(result);
        }
    }

    /// The loss, and the figure that decides on the best weights.
    fn summary(&self, result: &Evaluation) -> String {
        summary(result, best_metric(&self.args.recipe, &self.job.task))
    }

    /// The parameters that change.
    fn trained(&self) -> Vec<Param> {
        self.job.model.params().into_iter().filter(|param| !param.is_frozen()).collect()
    }

    /// Whether the best weights are kept.
    fn keeps_best(&self) -> bool {
        self.args.recipe.load_best_model_at_end
    }

    /// Takes the weights that are to be saved, and tests them; gives what is to be logged.
    fn test(&mut self) -> Result<Option<Value>> {
        let trained = self.trained();
        if let Some(best) = &mut self.best
            && best.restore(&trained)?
        {
            let step = best.step;
            report(match self.args.eval_steps {
                Some(_) => format!("the weights of step {step} are kept"),
                None => format!("the weights of epoch {} are kept", shown(self.epoch_at(step))),
            });
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
        card::write(self.args, self.job, &state, &output);
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
            "best_global_step": self.best.as_ref().map(|best| best.step),
            "best_epoch": self.best.as_ref().map(|best| self.epoch_at(best.step)),
            "metric_for_best_model": best_metric(recipe, &self.job.task),
            "epoch": self.epoch_at(step),
            "global_step": step,
            "max_steps": self.trainer.total_steps(),
            "eval_steps": self.stride(),
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
