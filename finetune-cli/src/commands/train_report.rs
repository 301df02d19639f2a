//! The pages of `finetune train` and `finetune evaluate`, put together from what a command knows at its end.

use std::path::Path;

use anyhow::{Context, Result, bail};
use autograd::Param;
use nn::{Module, count};
use serde_json::Value;

use super::best::best_metric;
use super::select::command::{defaults, quoted};
use super::train::Job;
use crate::args::{RecipeArgs, TrainArgs};
use crate::batches::Examples;
use crate::bundled;
use crate::classifier::Classifier;
use crate::data::{Example, Task};
use crate::folder::Folder;
use crate::page::numbers::shorten;
use crate::predictions::THRESHOLD;
use crate::progress::{report, warn};
use crate::report::{Content, Flag, Measured, Part, Training, html};
use crate::select::cache::write_whole;
use crate::trainer::Evaluation;

/// The file in the output folder.
const REPORT: &str = "report.html";
/// What stands for a text, and for a pair of them, in a command, and what the bundled model can be asked.
const TEXT: &str = "\"...\"";
const PAIR: &str = "\"...\" --pair \"...\"";
const REVIEW: &str = "\"The waiter was rude and the soup cold.\"";

/// Writes the page of a training into its output folder, from what `trainer_state.json` holds and what was measured
/// last. The model is there already: without the page, the run is complete, too.
pub(super) fn write(
    args: &TrainArgs,
    job: &Job,
    state: &Value,
    evaluation: Option<&Evaluation>,
    output: &Path,
) {
    match of_training(args, job, state, evaluation, output) {
        Ok(page) => describe(output, REPORT, &page),
        Err(error) => warn(format_args!("{REPORT}: {error:#}; the model is there without it")),
    }
}

/// Writes a file for people beside a model. One that can't be written loses no model: that is said.
pub(super) fn describe(output: &Path, name: &str, text: &str) {
    if let Err(error) = write_whole(&output.join(name), text.as_bytes()) {
        warn(format_args!("{error:#}; the model is there without it"));
    }
}

fn of_training(
    args: &TrainArgs,
    job: &Job,
    state: &Value,
    evaluation: Option<&Evaluation>,
    output: &Path,
) -> Result<String> {
    let splits = &job.splits;
    let role = if splits.test.is_some() { "test" } else { "validation" };
    let measured = job.texts.as_ref().zip(evaluation);
    let measured =
        measured.and_then(|(texts, result)| Measured::of(role, texts, result, THRESHOLD));
    let params = job.model.params();
    // What LoRA adds is merged into the others.
    let is_own = |param: &&Param| !param.name().contains(".lora_");
    let whole: Vec<Param> = params.iter().filter(is_own).cloned().collect();
    let trained: Vec<Param> = params.into_iter().filter(|param| !param.is_frozen()).collect();
    let keeps_best = args.recipe.load_best_model_at_end;
    let training = Training { state, keeps_best, trained: count(&trained), flags: flags(job)? };
    let model = args.model.as_ref().map(|path| path.display().to_string());
    Ok(html(&Content {
        task: &job.task,
        model: model.as_deref().unwrap_or(bundled::MODEL),
        data: &parts(args, job),
        parameters: count(&whole),
        training: Some(training),
        measured,
        metric: best_metric(&args.recipe, &job.task),
        next: &predict(output, texts(args, job)),
    }))
}

/// Says where the page is.
pub(super) fn introduce(output: &Path) {
    let page = output.join(REPORT);
    if page.exists() {
        report(format_args!("report: {}", page.display()));
    }
}

/// The parts of the data that there are; the last is the one that is measured at the end.
pub(super) fn parts(args: &TrainArgs, job: &Job) -> Vec<Part> {
    let name = |path: &Option<_>| path.as_deref().map(file_name);
    let train = name(&args.train).unwrap_or_else(|| bundled::REVIEWS.to_owned());
    let held_out = match args.train {
        Some(_) => format!("a part of {train}"),
        None => train.clone(),
    };
    let splits = &job.splits;
    let others = [
        ("validation", name(&args.validation).unwrap_or(held_out), splits.validation.as_ref()),
        ("test", name(&args.test).unwrap_or_else(|| train.clone()), splits.test.as_ref()),
    ];
    let first = [("training", train, Some(&splits.train))];
    let all = first.into_iter().chain(others);
    let part = |(role, name, examples): (_, _, Option<&Examples>)| {
        Some(Part { role, name, examples: examples?.texts() })
    };
    all.filter_map(part).collect()
}

/// The flags of a run, without its files.
fn flags(job: &Job) -> Result<Vec<Flag>> {
    let (recipe, defaults) = (job.recipe.parse::<toml::Table>()?, defaults()?);
    let flag = |(name, value): (String, toml::Value)| {
        let is_default = defaults.get(&name) == Some(&value);
        Flag { name, value: shorten(&plain(&value), 200), is_default }
    };
    Ok(recipe.into_iter().map(flag).collect())
}

/// A value without the quotes of TOML.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// The last part of a path, which may end in `.`.
pub(super) fn file_name(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = whole.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// How to use the model: where no output was named, `predict` finds it by itself.
pub(super) fn next(args: &TrainArgs) -> Option<String> {
    match (&args.output, &args.train, args.machine.quiet) {
        (None, None, false) => Some(format!("finetune predict {REVIEW}")),
        (None, Some(_), false) => Some(format!("finetune predict {TEXT}")),
        _ => None,
    }
}

/// How to use a model.
fn predict(model: &Path, texts: &str) -> String {
    format!("finetune predict --model {} {texts}", quoted(&model.display().to_string()))
}

/// What it is used on, in that command.
fn texts(args: &TrainArgs, job: &Job) -> &'static str {
    match (&args.train, job.columns.text.len()) {
        (None, _) => REVIEW,
        (Some(_), 2) => PAIR,
        (Some(_), _) => TEXT,
    }
}

/// Writes the page of an evaluation of the data in a file.
///
/// # Errors
/// When it can't be written.
pub(super) fn write_evaluation(
    path: &Path,
    (folder, model, task): (&Folder, &Classifier, &Task),
    measured: Measured,
    file: &Path,
) -> Result<()> {
    let is_pair = matches!(measured.texts.examples.first(), Some(Example::Pair(_)));
    let example = if is_pair { PAIR } else { TEXT };
    let data = [Part {
        role: measured.role,
        name: file_name(file),
        examples: measured.texts.examples.len(),
    }];
    let page = html(&Content {
        task,
        model: &folder.path.display().to_string(),
        data: &data,
        parameters: count(&model.params()),
        training: None,
        measured: Some(measured),
        metric: best_metric(&RecipeArgs::default(), task),
        next: &predict(&folder.path, example),
    });
    write_whole(path, page.as_bytes())
}

/// Refuses a name under which no page can be written, before anything is computed for it: a page has the name of one,
/// so that no data is written over, and its folder can be written.
pub(super) fn check_page(path: &Path) -> Result<()> {
    let shown = path.display();
    let is_page =
        |e: &std::ffi::OsStr| e.eq_ignore_ascii_case("html") || e.eq_ignore_ascii_case("htm");
    if !path.extension().is_some_and(is_page) {
        bail!("{shown}: --report writes a page; give it a name that ends in .html");
    }
    if path.is_dir() {
        bail!("{shown}: is a folder; give --report the name of a file");
    }
    let mut probe = path.as_os_str().to_owned();
    probe.push(".partial");
    std::fs::write(&probe, "")
        .and_then(|()| std::fs::remove_file(&probe))
        .with_context(|| format!("{shown}: can't be written; choose another --report"))
}
