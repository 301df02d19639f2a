//! The folder where runs go, and are looked for, when no flag names one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::Value;

use super::resume::is_waiting;
use super::{STATE, Settings, checkpoint, hindrance, is_free, sibling};

/// In the working folder.
const RUNS: &str = "runs";
/// How the names of the classes of transformers end by which a fine-tuned model is known.
const CLASSIFIERS: [&str; 2] = ["ForSequenceClassification", "ForTokenClassification"];

/// The name of a run by its number, from 1.
fn name(number: u64) -> PathBuf {
    match number {
        1 => Path::new(RUNS).join("train"),
        n => Path::new(RUNS).join(format!("train-{n}")),
    }
}

/// The first of these names for which a run with these settings was broken off, so that it can go on; none if there is
/// no such run, or another process goes on with it.
pub fn unfinished(settings: Settings) -> Option<PathBuf> {
    let number = |entry: fs::DirEntry| {
        let file = entry.file_name();
        let stem = file.to_str()?.strip_suffix(".partial")?.strip_prefix("train")?;
        if stem.is_empty() { Some(1) } else { stem.strip_prefix('-')?.parse().ok() }
    };
    let entries = fs::read_dir(RUNS).into_iter().flatten().flatten();
    let mut numbers: Vec<u64> = entries.filter_map(number).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(name).find(|path| is_waiting(path, settings))
}

/// The first of `runs/train`, `runs/train-2`, `runs/train-3`, ... that a run may take. What a killed run left
/// behind is no hindrance, unless it could go on, as it is none to [`Run::create`](super::Run::create).
pub fn free_name() -> PathBuf {
    let free = |path: &PathBuf| {
        let partial = sibling(path, "partial").expect("it has a name");
        is_free(path) && hindrance(&partial).is_none() && checkpoint::newest(&partial).is_none()
    };
    (1..).map(name).find(free).expect("there is always a further number")
}

/// The complete run in `runs` that was finished last and holds a fine-tuned model.
///
/// # Errors
/// When there is none.
pub fn newest() -> Result<PathBuf> {
    let entries = fs::read_dir(RUNS).into_iter().flatten();
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let runs = folders.filter_map(|folder| Some((finished(&folder)?, folder)));
    let newest = runs.filter(|(_, folder)| is_classifier(folder)).max();
    newest.map(|(_, folder)| folder).with_context(|| {
        let place = std::path::absolute(RUNS).unwrap_or_else(|_| RUNS.into());
        let place = place.display();
        format!("{place}: no fine-tuned model there; run `finetune train` first, or give --model")
    })
}

/// When this run was finished; none if it is no complete run.
fn finished(folder: &Path) -> Option<SystemTime> {
    // It is about to take its name.
    if folder.extension().is_some_and(|extension| extension == "partial") {
        return None;
    }
    fs::metadata(folder.join(STATE)).ok()?.modified().ok()
}

fn is_classifier(folder: &Path) -> bool {
    let text = bert::read_text(&folder.join("config.json")).ok().flatten();
    let config: Value = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
    let classes = config["architectures"].as_array();
    let mut names = classes.into_iter().flatten().filter_map(Value::as_str);
    names.any(|name| CLASSIFIERS.iter().any(|end| name.ends_with(end)))
}
