//! The subcommands, one file each.

mod answer;
mod bench;
mod best;
mod card;
mod completions;
mod ending;
mod entries;
mod evaluate;
mod inputs;
mod inspect;
mod interruption;
mod masked_lm;
mod predict;
mod select;
mod session;
mod start;
mod stretch;
mod train;
mod train_report;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use bert::LoadReport;

use crate::args::inference::InferenceArgs;
use crate::args::{Cli, Command, wrong_flags};
use crate::batches::Examples;
use crate::classifier::Classifier;
use crate::data::{Example, Task};
use crate::folder::Folder;
use crate::hub;
use crate::predictions::{Prediction, THRESHOLD};
use crate::progress::{during, remark};
use crate::run;
pub use interruption::Interrupted;

/// Runs the subcommand.
///
/// # Errors
/// Whatever is wrong, in one line: what, where, what to do.
pub fn run(cli: Cli) -> Result<()> {
    // Here and not on the thread that computes first.
    tensor::isa::cap().map_err(|message| anyhow!("{message}; correct it, or unset it"))?;
    dispatch(&cli.command).map_err(|error| cli.command.explain(error))
}

fn dispatch(command: &Command) -> Result<()> {
    match command {
        Command::Train(args) => on_threads(args.machine.hardware.threads, || train::run(args)),
        Command::Adapt(args) => {
            on_threads(args.learning.machine.hardware.threads, || masked_lm::adapt(args))
        }
        Command::Pretrain(args) => {
            on_threads(args.learning.machine.hardware.threads, || masked_lm::pretrain(args))
        }
        Command::Select(args) => on_threads(args.machine.hardware.threads, || select::run(args)),
        Command::Evaluate(args) => {
            on_threads(args.inference.machine.hardware.threads, || evaluate::run(args))
        }
        Command::Predict(args) => {
            on_threads(args.inference.machine.hardware.threads, || predict::run(args))
        }
        Command::Bench(args) => bench::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Completions(args) => completions::run(args),
    }
}

/// Runs `command` on a pool of the wanted size, all kernels included.
fn on_threads(threads: Option<u16>, command: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    let threads = threads.map_or(0, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.context("the threads can't be started; try a smaller --threads")?.install(command)
}

/// The fine-tuned model that was named, or the newest; then it says which.
fn model(args: &InferenceArgs) -> Result<PathBuf> {
    if let Some(name) = &args.model {
        return Ok(hub::resolve(name));
    }
    let newest = run::newest()?;
    remark(args.machine.quiet, &format!("model: {}", newest.display()));
    Ok(newest)
}

/// The fine-tuned model in a folder, ready to answer.
fn open(args: &InferenceArgs, path: &Path) -> Result<(Folder, Classifier, Task)> {
    let device = args.machine.open_device()?;
    let (folder, model, task, report) = Folder::open_fine_tuned(path, &device)?;
    remark_unused(args.machine.quiet, path, &report);
    Ok((folder, model, task))
}

/// Says if the weights have more of an encoder than the configuration asks for.
fn remark_unused(quiet: bool, path: &Path, report: &LoadReport) {
    if let [first, ..] = &report.unused_encoder[..] {
        let line = unused(report.unused_encoder.len(), first);
        remark(quiet, &format!("{}: {line}", path.display()));
    }
}

/// What is said of so many weights that are not used, of which this is one.
fn unused(count: usize, first: &str) -> String {
    format!(
        "{count} weights of the encoder are not used, such as {first}: config.json asks for a smaller model \
         (num_hidden_layers?)"
    )
}

/// Says if the model was trained on pairs and is asked about single texts, or the other way round.
fn compare_texts(args: &InferenceArgs, folder: &Folder, texts: usize) {
    if let Some(doubt) = folder.trained.doubt(texts) {
        remark(args.machine.quiet, doubt);
    }
}

/// What `tokenize` makes of so many texts; says meanwhile that it does.
fn tokenized(
    quiet: bool,
    texts: usize,
    tokenize: impl FnOnce() -> Result<Examples>,
) -> Result<Examples> {
    during(&format!("tokenizing {texts} texts"), quiet, tokenize)
}

/// Refuses predictions that are no numbers; names the first text that has one.
fn check_finite(folder: &Folder, texts: &[Example], predictions: &[Prediction]) -> Result<()> {
    let mut pairs = texts.iter().zip(predictions);
    let Some((example, _)) = pairs.find(|(_, prediction)| !prediction.is_finite()) else {
        return Ok(());
    };
    let text: String = example.texts().join("\t").chars().take(60).collect();
    bail!(
        "{}: the logits of the text {text:?} are not finite: weights are damaged or too large; use another model, or \
         train it again",
        folder.path.display()
    )
}

/// Says how many texts were cut, and how to have more of them read.
fn remark_truncated(args: &InferenceArgs, folder: &Folder, truncated: usize) {
    if truncated == 0 {
        return;
    }
    let (length, limit) = (folder.trained_length(args.max_length), folder.config.max_length());
    let mut line = format!("{truncated} texts truncated to {length} tokens");
    if length < limit {
        line += &format!("; --max-length may be up to {limit}");
    }
    remark(args.machine.quiet, &line);
}

/// The threshold: as typed, for a model that has one, or the usual one.
fn threshold(args: &InferenceArgs, task: &Task) -> Result<f32> {
    match (args.threshold, task) {
        (None, _) => Ok(THRESHOLD),
        (Some(threshold), Task::MultiLabel(_)) => Ok(threshold),
        (Some(_), Task::SingleLabel(_) | Task::Regression | Task::Tags(_)) => {
            Err(wrong_flags(format!(
                "--threshold is for models that give any of several labels; the task of this one is {task}"
            )))
        }
    }
}
