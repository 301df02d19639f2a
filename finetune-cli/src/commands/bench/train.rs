//! `finetune bench train`: fine-tuning on labelled text, measured epoch by epoch.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tensor::Device;

use super::{peak_mib, rounded, timed};
use crate::args::bench::BenchTrainArgs;
use crate::args::{OptimizationArgs, RecipeArgs};
use crate::batches::Examples;
use crate::classifier::Classifier;
use crate::data::{self, Dataset, Options, Schema, Task};
use crate::folder::Folder;
use crate::progress::say;
use crate::trainer::{self, Trainer};

/// Tokenized data, and the seconds that took; they are taken by the first epoch.
struct Data {
    examples: Examples,
    seconds: f64,
}

/// Trains, and prints a line for each epoch.
pub(super) fn run(args: &BenchTrainArgs) -> Result<()> {
    let (schema, [train, eval]) = read(args)?;
    let folder = Folder::open(&args.model)?.on(&args.hardware.device.open(false)?);
    let tokenize = |data: Dataset| -> Result<Data> {
        let max_length = folder.max_length(args.max_length);
        let (examples, seconds) =
            timed(|| folder.examples(&schema.task, &data.examples, data.labels, max_length))?;
        Ok(Data { examples, seconds })
    };
    let (mut train, mut eval) = (tokenize(train)?, tokenize(eval)?);
    let (mut model, _) = folder.classifier(&schema.task, args.seed)?;
    if let Some(adaptation) = args.lora.adaptation(&folder.config).context("LoRA")? {
        model.adapt(adaptation, None, args.seed)?;
    }
    let recipe = recipe(args);
    let mut trainer = Trainer::new(&model, &recipe, train.examples.len());
    for epoch in 1..=args.epochs {
        let (loss, seconds) = timed(|| one_epoch(&mut trainer, &train.examples))?;
        let trained = (loss, seconds + std::mem::take(&mut train.seconds));
        let measured = evaluate(args, &model.merged()?, &schema.task, &mut eval)?;
        let sizes = (train.examples.len(), eval.examples.len());
        say(line(args, epoch, sizes, trained, measured))?;
    }
    Ok(())
}

/// One pass over the examples. Gives the mean loss.
fn one_epoch(trainer: &mut Trainer, examples: &Examples) -> Result<f64> {
    let (mut total, left) = (0.0, trainer.rest_of_epoch(examples).1.len());
    trainer.train_to(trainer.steps_done() + left as u64, examples, &mut |log| {
        total += log.loss * log.size.examples as f64;
        Ok(())
    })?;
    Ok(total / examples.len() as f64)
}

fn read(args: &BenchTrainArgs) -> Result<(Schema, [Dataset; 2])> {
    let options = Options::default();
    let table = data::read_table(&args.train, &options)?;
    let schema = Schema::infer(&table, &options)?;
    if !matches!(schema.task, Task::SingleLabel(_)) {
        bail!("{}: expected one class an example, for accuracy is measured", args.train.display());
    }
    let mut train = Dataset::new(table, &schema)?;
    if let Some(limit) = args.max_train_samples {
        train.truncate(limit);
    }
    let eval = Dataset::labelled(data::read_table(&args.validation, &options)?, &schema)?;
    Ok((schema, [train, eval]))
}

fn recipe(args: &BenchTrainArgs) -> RecipeArgs {
    let recipe = RecipeArgs::default();
    RecipeArgs {
        epochs: args.epochs,
        batch_size: args.batch_size,
        learning_rate: args.learning_rate,
        optimization: OptimizationArgs {
            precision: args.precision,
            seed: args.seed,
            ..recipe.optimization
        },
        ..recipe
    }
}

/// Accuracy and seconds.
fn evaluate(
    args: &BenchTrainArgs,
    model: &Classifier,
    task: &Task,
    data: &mut Data,
) -> Result<(f64, f64)> {
    let (size, precision) = (RecipeArgs::default().eval_batch_size, args.precision.into());
    let (result, seconds) =
        timed(|| trainer::evaluate(model, task, &data.examples, size, precision, &mut |_| ()))?;
    let accuracy = result.report.and_then(|report| report.get("accuracy"));
    let accuracy = accuracy.expect("labelled data of one class an example");
    Ok((accuracy, seconds + std::mem::take(&mut data.seconds)))
}

fn line(
    args: &BenchTrainArgs,
    epoch: u32,
    (train, eval): (usize, usize),
    (loss, seconds): (f64, f64),
    (accuracy, eval_seconds): (f64, f64),
) -> Value {
    json!({
        "epoch": epoch, "precision": args.precision, "loss": rounded(loss, 4),
        "seconds": rounded(seconds, 2),
        "examples_per_s": rounded(train as f64 / seconds, 1),
        "eval_accuracy": rounded(accuracy, 4),
        "eval_examples_per_s": rounded(eval as f64 / eval_seconds, 1),
        "peak_rss_mb": peak_mib(&Device::Cpu),
    })
}
