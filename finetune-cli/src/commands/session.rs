//! A training run from its first step to its saved model.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use autograd::{Param, Tensor};
use bert::{Config, SavedDType, SequenceClassifier, save_pretrained};
use indicatif::ProgressBar;
use nn::Module;
use serde_json::{Map, Value, json};

use super::train::Splits;
use crate::args::{RecipeArgs, TrainArgs};
use crate::batches::Examples;
use crate::data::Task;
use crate::folder::Folder;
use crate::metrics;
use crate::optimization::StepLog;
use crate::progress::{bar, report};
use crate::run::Run;
use crate::trainer::{self, Evaluation, Trainer};

/// The best epoch so far.
struct Best {
    epoch: u32,
    figure: f64,
    weights: Option<Vec<Tensor>>,
}

/// A run from its first step to its saved model.
pub(super) struct Session<'a> {
    args: &'a TrainArgs,
    task: &'a Task,
    run: Run,
    best: Option<Best>,
    /// Steps that were made.
    steps: u64,
}

impl<'a> Session<'a> {
    /// Before the first step.
    pub(super) fn new(args: &'a TrainArgs, task: &'a Task, run: Run) -> Self {
        Self { args, task, run, best: None, steps: 0 }
    }

    /// All epochs, or as many as patience allows.
    pub(super) fn train(&mut self, model: &SequenceClassifier, splits: &Splits) -> Result<()> {
        let mut trainer = Trainer::new(model, &self.args.recipe, splits.train.len());
        let bar = bar(trainer.total_steps(), self.args.machine.quiet);
        for epoch in 1..=self.args.recipe.epochs {
            let line = self.epoch(&mut trainer, epoch, &bar, splits)?;
            bar.suspend(|| report(line));
            if self.is_exhausted(epoch) {
                let waited = epoch - self.best_epoch();
                bar.suspend(|| {
                    report(format_args!("no better epoch for {waited} epochs: stopped early"));
                });
                break;
            }
        }
        bar.finish_and_clear();
        self.steps = trainer.steps_done();
        Ok(())
    }

    /// Trains and validates; gives the line that says how it went.
    fn epoch(
        &mut self,
        trainer: &mut Trainer,
        epoch: u32,
        bar: &ProgressBar,
        splits: &Splits,
    ) -> Result<String> {
        let epochs = self.args.recipe.epochs;
        bar.set_prefix(format!("epoch {epoch}/{epochs}"));
        let start = Instant::now();
        let (loss, learning_rate) = self.pass(trainer, epoch, bar, &splits.train)?;
        let seconds = start.elapsed().as_secs_f64();
        let speed = splits.train.len() as f64 / seconds;
        let mut entry = json!({"epoch": epoch, "step": trainer.steps_done(), "train_loss": loss,
            "learning_rate": learning_rate, "train_runtime": seconds,
            "train_samples_per_second": speed});
        let mut line = format!("epoch {epoch}/{epochs}  loss {loss:.4}");
        if let Some(validation) = &splits.validation {
            let result = self.evaluate(trainer.model(), validation, trainer.steps_done())?;
            add(&mut entry, "eval", &result);
            line += &format!("  validation {}", summary(&result));
            self.keep_best(epoch, &result, trainer.model());
        }
        self.run.log(entry)?;
        Ok(line + &format!("  {seconds:.1} s, {speed:.0} examples/s"))
    }

    /// One pass over the training data; gives its mean loss and its last learning rate.
    fn pass(
        &mut self,
        trainer: &mut Trainer,
        epoch: u32,
        bar: &ProgressBar,
        train: &Examples,
    ) -> Result<(f64, f64)> {
        let recipe = &self.args.recipe;
        let steps = trainer::steps_per_epoch(train.len(), recipe) as f64;
        let (start, mut done, mut learning_rate) = (Instant::now(), 0, 0.0);
        let loss = trainer.epoch(epoch, train, &mut |log| {
            done += log.size.examples;
            learning_rate = log.learning_rate;
            show(bar, log, done as f64 / start.elapsed().as_secs_f64());
            match log.step.is_multiple_of(recipe.optimization.logging_steps) {
                true => self.run.log(step_entry(log, log.step as f64 / steps)),
                false => Ok(()),
            }
        })?;
        Ok((loss, learning_rate))
    }

    /// Measures the model as it is after `steps` steps.
    fn evaluate(
        &self,
        model: &SequenceClassifier,
        data: &Examples,
        steps: u64,
    ) -> Result<Evaluation> {
        let (size, precision) =
            (self.args.recipe.eval_batch_size, self.args.recipe.optimization.precision);
        let result = trainer::evaluate(model, self.task, data, size, precision.into())?;
        match result.loss.filter(|loss| !loss.is_finite()) {
            Some(loss) => bail!(
                "training diverged by step {steps}: the loss on held-out data is {loss}; nothing was \
                 saved. Try a lower --learning-rate or a longer warm-up"
            ),
            None => Ok(result),
        }
    }

    /// Remembers this epoch if its validation figure is the best so far; a NaN is the worst.
    fn keep_best(&mut self, epoch: u32, result: &Evaluation, model: &SequenceClassifier) {
        let name = best_metric(&self.args.recipe, self.task);
        let figure = result.figure(name);
        let figure = figure.expect("validation data has labels, the name was checked");
        let rank = |figure| metrics::rank(name, figure);
        if self.best.as_ref().is_none_or(|best| rank(figure) > rank(best.figure)) {
            // The snapshot shares memory with the parameters until the next update copies them.
            let keep = self.args.recipe.load_best_model_at_end;
            let weights = keep.then(|| model.params().iter().map(Param::value).collect());
            self.best = Some(Best { epoch, figure, weights });
        }
    }

    fn best_epoch(&self) -> u32 {
        self.best.as_ref().map_or(0, |best| best.epoch)
    }

    fn is_exhausted(&self, epoch: u32) -> bool {
        let patience = self.args.recipe.early_stopping_patience;
        patience
            .is_some_and(|patience| self.best.is_some() && epoch - self.best_epoch() >= patience)
    }

    /// Tests, saves, and gives the output folder its name.
    pub(super) fn finish(
        mut self,
        folder: &Folder,
        model: &SequenceClassifier,
        splits: &Splits,
    ) -> Result<()> {
        if let Some(weights) = self.best.as_mut().and_then(|best| best.weights.take()) {
            model.params().iter().zip(weights).for_each(|(param, value)| param.set(value));
            report(format_args!("the weights of epoch {} are kept", self.best_epoch()));
        }
        if let Some(test) = &splits.test {
            let result = self.evaluate(model, test, self.steps)?;
            report(format_args!("test  {}  {:.0} examples/s", summary(&result), result.speed));
            report(result.report.as_ref().expect("test data has labels"));
            let mut entry = json!({"test_samples_per_second": result.speed});
            add(&mut entry, "test", &result);
            self.run.log(entry)?;
        }
        let config = tuned_config(&folder.config, self.task);
        let save = |place: &Path| {
            save_pretrained(place, &config, &model.params(), &folder.tokenizer, SavedDType::F32)
        };
        save(self.run.folder()).map_err(|error| rescued(error, save))?;
        let (state, output) = (self.state(splits), self.run.destination().to_owned());
        self.run.finish(state)?;
        report(format_args!("saved to {}", output.display()));
        if let Some(command) = next(self.args) {
            report(format_args!("next: {command}"));
        }
        Ok(())
    }

    /// The keys of transformers' `trainer_state.json`.
    fn state(&self, splits: &Splits) -> Value {
        let recipe = &self.args.recipe;
        let steps = trainer::steps_per_epoch(splits.train.len(), recipe);
        json!({
            "best_metric": self.best.as_ref().map(|best| best.figure),
            "best_epoch": self.best.as_ref().map(|best| best.epoch),
            "metric_for_best_model": best_metric(&self.args.recipe, self.task),
            "epoch": self.steps as f64 / steps as f64,
            "global_step": self.steps,
            "max_steps": steps * u64::from(recipe.epochs),
            "num_train_epochs": recipe.epochs,
            "train_batch_size": recipe.batch_size,
            "logging_steps": recipe.optimization.logging_steps,
            "seed": recipe.optimization.seed,
        })
    }
}

/// What is said when a trained model can't be saved where it should be, a full disk say: it is saved in the folder for
/// temporary files, if that can be written.
fn rescued(error: bert::Error, save: impl Fn(&Path) -> bert::Result<()>) -> anyhow::Error {
    let place = std::env::temp_dir().join(format!("finetune-{}", std::process::id()));
    match save(&place) {
        Ok(()) => anyhow::Error::from(error)
            .context(format!("the trained model is in {} instead", place.display())),
        Err(_) => {
            let _ = std::fs::remove_dir_all(&place);
            error.into()
        }
    }
}

/// The figure that decides on the best epoch; transformers' names, `eval_loss`, are taken too.
pub(super) fn best_metric<'a>(recipe: &'a RecipeArgs, task: &Task) -> &'a str {
    let by_task = match task {
        Task::SingleLabel(_) => "accuracy",
        Task::MultiLabel(_) => "f1_micro",
        Task::Regression => "pearson",
    };
    let name = recipe.metric_for_best_model.as_deref().unwrap_or(by_task);
    name.strip_prefix("eval_").unwrap_or(name)
}

/// How to use the model: where no output was named, `predict` finds it by itself.
fn next(args: &TrainArgs) -> Option<&'static str> {
    match (&args.output, &args.train, args.machine.quiet) {
        (None, None, false) => Some("finetune predict \"The waiter was rude and the soup cold.\""),
        (None, Some(_), false) => Some("finetune predict \"...\""),
        _ => None,
    }
}

fn show(bar: &ProgressBar, log: StepLog, speed: f64) {
    bar.inc(1);
    bar.set_message(format!("loss {:.4}  lr {:.2e}  {speed:.0} ex/s", log.loss, log.learning_rate));
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

/// `loss 0.2931 accuracy 0.8830`
fn summary(result: &Evaluation) -> String {
    let first = result.report.as_ref().and_then(|report| report.metrics.first());
    let figure = first.map(|(name, value)| format!(" {name} {value:.4}")).unwrap_or_default();
    format!("loss {:.4}{figure}", result.loss.unwrap_or(f64::NAN))
}

/// The configuration of the fine-tuned model.
fn tuned_config(config: &Config, task: &Task) -> Config {
    let mut config = config.clone();
    config.problem_type = Some(task.problem_type());
    config.labels = match task.label_set() {
        Some(set) => set.names().to_vec(),
        // transformers' name of the only output of a regression.
        None => vec!["LABEL_0".to_owned()],
    };
    config
}
