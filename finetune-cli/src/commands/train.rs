//! `finetune train`: read, tokenize, train, evaluate, save.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use autograd::{Param, Tensor};
use bert::{Config, SequenceClassifier, save_pretrained};
use indicatif::ProgressBar;
use nn::{Module, count, freeze};
use serde_json::{Map, Value, json};

use crate::args::TrainArgs;
use crate::batches::Examples;
use crate::data::{self, Dataset, Labels, Schema, Task, split};
use crate::folder::{Folder, outputs};
use crate::progress::{bar, remark};
use crate::run::Run;
use crate::trainer::{self, Evaluation, StepLog, Trainer};

/// The data of a run, tokenized.
struct Splits {
    train: Examples,
    validation: Option<Examples>,
    test: Option<Examples>,
}

/// The best epoch so far.
struct Best {
    epoch: u32,
    figure: f64,
    weights: Option<Vec<Tensor>>,
}

/// Runs the whole job. The output folder is touched only when all inputs are known to be good.
pub(super) fn run(args: &TrainArgs) -> Result<()> {
    check(args)?;
    let (schema, datasets) = read(args)?;
    let folder = Folder::open(&args.model)?;
    let splits = tokenize(args, &folder, &schema, datasets)?;
    let model = build_model(args, &folder, &schema.task)?;
    let mut session = Session {
        args,
        task: &schema.task,
        run: Run::create(&args.output, args.overwrite)?,
        best: None,
    };
    session.train(&model, &splits)?;
    session.finish(&folder, &model, &splits)
}

fn check(args: &TrainArgs) -> Result<()> {
    let recipe = &args.recipe;
    let needs_validation =
        recipe.load_best_model_at_end || recipe.early_stopping_patience.is_some();
    if needs_validation && args.validation.is_none() && args.validation_fraction == 0.0 {
        bail!(
            "--load-best-model-at-end and --early-stopping-patience need validation data; give \
             --validation, or a --validation-fraction above 0"
        );
    }
    Ok(())
}

/// Training, validation and test data, and how to read them.
fn read(args: &TrainArgs) -> Result<(Schema, [Option<Dataset>; 3])> {
    let (options, quiet) = (args.data.options(), args.machine.quiet);
    let table = data::read_table(&args.train, &options)?;
    let schema = Schema::infer(&table, &options)?;
    let other = |path: &Option<std::path::PathBuf>| {
        path.as_ref().map(|path| labelled(path, &options, &schema)).transpose()
    };
    let (mut validation, test) = (other(&args.validation)?, other(&args.test)?);
    let mut train = Dataset::new(table, &schema)?;
    if let Some(limit) = args.max_train_samples {
        train.truncate(limit);
    }
    if validation.is_none() && args.validation_fraction > 0.0 {
        let (_, held_out) =
            split::stratified(&train.labels, args.validation_fraction, args.recipe.seed)?;
        let (rest, part) = train.divide(&held_out);
        remark(
            quiet,
            &format!(
                "no --validation: {} of {} training examples are held out for it, with equal shares of each \
                 class",
                part.len(),
                part.len() + rest.len()
            ),
        );
        (train, validation) = (rest, Some(part));
    }
    Ok((schema, [Some(train), validation, test]))
}

fn labelled(path: &std::path::Path, options: &data::Options, schema: &Schema) -> Result<Dataset> {
    let data = Dataset::new(data::read_table(path, options)?, schema)?;
    match data.labels {
        Labels::Absent => bail!(
            "{}: no label column `{}`, by which the training data is labelled",
            path.display(),
            schema.columns.label.as_deref().unwrap_or_default()
        ),
        _ => Ok(data),
    }
}

fn tokenize(
    args: &TrainArgs,
    folder: &Folder,
    schema: &Schema,
    datasets: [Option<Dataset>; 3],
) -> Result<Splits> {
    let outputs = outputs(&schema.task);
    let mut truncated = 0;
    let mut encode = |data: Dataset| -> Result<Examples> {
        let encodings = folder.encode(&data.examples, args.data.max_length)?;
        truncated += encodings.iter().filter(|e| e.truncated).count();
        Ok(Examples { encodings, labels: data.labels, outputs })
    };
    let [train, validation, test] = datasets.map(|data| data.map(&mut encode).transpose());
    let train = train?.context("there is always training data")?;
    let splits = Splits { train, validation: validation?, test: test? };
    let sizes = [Some(&splits.train), splits.validation.as_ref(), splits.test.as_ref()];
    let [n, v, t] = sizes.map(|s| s.map_or(0, Examples::len));
    let mut line = format!("data: {n} training, {v} validation, {t} test examples");
    if truncated > 0 {
        line += &format!("; {truncated} truncated to {} tokens", args.data.max_length);
    }
    remark(args.machine.quiet, &line);
    Ok(splits)
}

fn build_model(args: &TrainArgs, folder: &Folder, task: &Task) -> Result<SequenceClassifier> {
    let seed = args.recipe.seed;
    let (model, fresh) = match args.from_scratch {
        true => {
            let model = SequenceClassifier::new(&folder.config, outputs(task), seed);
            (model, "all weights".to_owned())
        }
        false => {
            let (model, report) = folder.classifier(task, seed)?;
            (model, report.missing.join(", "))
        }
    };
    if args.recipe.freeze_encoder {
        freeze(&model.encoder().params(), true);
    }
    let params = count(&model.params());
    let fresh = if fresh.is_empty() { String::new() } else { format!("; start fresh: {fresh}") };
    let line = format!("model: {}, {params} parameters{fresh}", args.model.display());
    remark(args.machine.quiet, &line);
    Ok(model)
}

/// A run from its first step to its saved model.
struct Session<'a> {
    args: &'a TrainArgs,
    task: &'a Task,
    run: Run,
    best: Option<Best>,
}

impl Session<'_> {
    fn train(&mut self, model: &SequenceClassifier, splits: &Splits) -> Result<()> {
        let mut trainer = Trainer::new(model, &self.args.recipe, splits.train.len());
        for epoch in 1..=self.args.recipe.epochs {
            self.epoch(&mut trainer, epoch, model, splits)?;
            if self.is_exhausted(epoch) {
                println!("no better epoch for {} epochs: stopped early", epoch - self.best_epoch());
                break;
            }
        }
        Ok(())
    }

    fn epoch(
        &mut self,
        trainer: &mut Trainer,
        epoch: u32,
        model: &SequenceClassifier,
        splits: &Splits,
    ) -> Result<()> {
        let epochs = self.args.recipe.epochs;
        let steps = trainer::steps_per_epoch(splits.train.len(), &self.args.recipe);
        let bar = bar(steps, self.args.machine.quiet);
        bar.set_prefix(format!("epoch {epoch}/{epochs}"));
        let (start, every) = (Instant::now(), self.args.recipe.logging_steps);
        let mut done = 0;
        let (run, total) = (&mut self.run, steps * u64::from(epoch - 1));
        let loss = trainer.epoch(epoch, &splits.train, &mut |log| {
            done += log.examples;
            show(&bar, log, done as f64 / start.elapsed().as_secs_f64());
            match log.step.is_multiple_of(every.max(1)) {
                true => {
                    run.log(step_entry(log, epoch - 1, (log.step - total) as f64 / steps as f64))
                }
                false => Ok(()),
            }
        })?;
        let seconds = start.elapsed().as_secs_f64();
        bar.finish_and_clear();
        let speed = splits.train.len() as f64 / seconds;
        let mut entry = json!({"epoch": epoch, "step": total + steps, "train_loss": loss,
            "train_runtime": seconds, "train_samples_per_second": speed});
        let mut line = format!("epoch {epoch}/{epochs}  loss {loss:.4}");
        if let Some(validation) = &splits.validation {
            let result = self.evaluate(model, validation)?;
            add(&mut entry, "eval", &result);
            line += &format!("  validation {}", summary(&result));
            self.keep_best(epoch, &result, model)?;
        }
        println!("{line}  {seconds:.1} s, {speed:.0} examples/s");
        self.run.log(entry)
    }

    fn evaluate(&self, model: &SequenceClassifier, data: &Examples) -> Result<Evaluation> {
        trainer::evaluate(model, self.task, data, self.args.recipe.eval_batch_size)
    }

    /// Remembers this epoch if its validation figure is the best so far.
    fn keep_best(
        &mut self,
        epoch: u32,
        result: &Evaluation,
        model: &SequenceClassifier,
    ) -> Result<()> {
        let name = self.metric();
        let report = result.report.as_ref().expect("validation data has labels");
        let figure = match name {
            "loss" => result.loss,
            name => report.get(name),
        };
        let figure = figure.with_context(|| {
            let names: Vec<_> = report.metrics.iter().map(|(name, _)| *name).collect();
            format!("--metric-for-best-model {name}: unknown here; use loss, {}", names.join(", "))
        })?;
        let smaller_is_better = matches!(name, "loss" | "mse" | "rmse" | "mae");
        let rank = |figure: f64| if smaller_is_better { -figure } else { figure };
        if self.best.as_ref().is_none_or(|best| rank(figure) > rank(best.figure)) {
            // The snapshot shares memory with the parameters until the next update copies them.
            let keep = self.args.recipe.load_best_model_at_end;
            let weights = keep.then(|| model.params().iter().map(Param::value).collect());
            self.best = Some(Best { epoch, figure, weights });
        }
        Ok(())
    }

    fn metric(&self) -> &str {
        let by_task = match self.task {
            Task::SingleLabel(_) => "accuracy",
            Task::MultiLabel(_) => "f1_micro",
            Task::Regression => "pearson",
        };
        self.args.recipe.metric_for_best_model.as_deref().unwrap_or(by_task)
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
    fn finish(
        mut self,
        folder: &Folder,
        model: &SequenceClassifier,
        splits: &Splits,
    ) -> Result<()> {
        if let Some(weights) = self.best.as_mut().and_then(|best| best.weights.take()) {
            model.params().iter().zip(weights).for_each(|(param, value)| param.set(value));
            println!("the weights of epoch {} are kept", self.best_epoch());
        }
        if let Some(test) = &splits.test {
            let result = self.evaluate(model, test)?;
            println!("test  {}  {:.0} examples/s", summary(&result), result.speed);
            println!("{}", result.report.as_ref().expect("test data has labels"));
            let mut entry = json!({"test_samples_per_second": result.speed});
            add(&mut entry, "test", &result);
            self.run.log(entry)?;
        }
        let config = tuned_config(&folder.config, self.task);
        save_pretrained(self.run.folder(), &config, &model.params(), &folder.tokenizer)?;
        let settings = toml::to_string(self.args).context("the settings of the run")?;
        std::fs::write(self.run.folder().join("train.toml"), settings)?;
        let (state, output) = (self.state(), self.args.output.display());
        self.run.finish(state)?;
        println!("saved to {output}");
        Ok(())
    }

    /// The keys of transformers' `trainer_state.json`.
    fn state(&self) -> Value {
        let recipe = &self.args.recipe;
        json!({
            "best_metric": self.best.as_ref().map(|best| best.figure),
            "best_epoch": self.best.as_ref().map(|best| best.epoch),
            "metric_for_best_model": self.metric(),
            "num_train_epochs": recipe.epochs,
            "train_batch_size": recipe.batch_size,
            "seed": recipe.seed,
        })
    }
}

fn show(bar: &ProgressBar, log: StepLog, speed: f64) {
    bar.inc(1);
    bar.set_message(format!("loss {:.4}  lr {:.2e}  {speed:.0} ex/s", log.loss, log.learning_rate));
}

fn step_entry(log: StepLog, epochs_before: u32, part: f64) -> Value {
    json!({"epoch": f64::from(epochs_before) + part, "step": log.step, "loss": log.loss,
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
