//! Going on with a run that was broken off after a checkpoint.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, bail};
use serde_json::{Value, json};
use toml::Table;

use super::checkpoint::{self, Snapshot};
use super::{
    METRICS, Run, STATE, Settings, alone, cannot_write, check_destination, hindrance, is_free,
    resolved, sibling,
};

/// Flags that say when something is written: a run may go on with others.
const FREE: [&str; 2] = ["save-steps", "logging-steps"];

/// What is in the way of a run that is about to begin.
pub enum Earlier {
    /// Nothing that it could go on with.
    Nothing,
    /// A run with the same flags, but for those that change no weights, and its newest checkpoint.
    Unfinished(Run, PathBuf),
    /// A run with the same flags that was complete but for its name, and has it now: this one.
    Complete(PathBuf),
}

impl Run {
    /// Looks for a run into the same folder, with the same flags, that was broken off. Its log is what it was at the
    /// checkpoint: what was logged after that happens again.
    ///
    /// # Errors
    /// When it still lives or has other flags, the destination may not be taken, or its files can't be read or written.
    pub fn take_up(destination: &Path, overwrite: bool, settings: Settings) -> Result<Earlier> {
        let destination = &resolved(destination);
        check_destination(destination, overwrite)?;
        let partial = sibling(destination, "partial")?;
        let complete = partial.join(STATE).exists();
        let checkpoint = checkpoint::newest(&partial);
        if !complete && checkpoint.is_none() {
            return Ok(Earlier::Nothing);
        }
        if !differing(&partial, settings).is_empty() {
            // With `overwrite` it is `create` that clears it away.
            return match complete || overwrite {
                true => Ok(Earlier::Nothing),
                false => bail!("{}", other_flags(&partial, settings)),
            };
        }
        let metrics = File::options().append(true).open(partial.join(METRICS));
        let metrics = metrics.with_context(|| no_log(&partial))?;
        alone(&partial, &metrics)?;
        let destination = destination.to_owned();
        let (history, lacks_lines, finished) = (Vec::new(), false, complete);
        let mut run =
            Self { destination, overwrite, partial, metrics, history, lacks_lines, finished };
        let Some((checkpoint, _)) = checkpoint.filter(|_| !complete) else {
            run.take_name()?;
            return Ok(Earlier::Complete(run.destination.clone()));
        };
        let history = logged(&checkpoint).with_context(|| damaged(&checkpoint))?;
        run.rewrite(history)?;
        Ok(Earlier::Unfinished(run, checkpoint))
    }

    /// Saves a checkpoint, with the log.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn save(&self, mut snapshot: Snapshot) -> Result<()> {
        snapshot.state["log_history"] = json!(self.history);
        checkpoint::save(&self.partial, &snapshot)
    }

    /// What to say of a run that diverged. It would diverge again if it went on: it is removed, unless it holds weights
    /// that had learned something.
    pub fn diverged(self, error: Error) -> Error {
        match checkpoint::newest(&self.partial) {
            Some((folder, step)) if step > 0 => error.context(format!(
                "{} is a model from before; --overwrite with other flags starts again",
                folder.display()
            )),
            _ => match self.discard() {
                Ok(()) => error.context("nothing was saved"),
                Err(other) => other,
            },
        }
    }

    /// Puts another log in the place of the one that is there, which stays until the other is whole.
    fn rewrite(&mut self, history: Vec<Value>) -> Result<()> {
        let (path, unfinished) =
            (self.partial.join(METRICS), self.partial.join("metrics.jsonl.partial"));
        let replace = || {
            let mut file = File::create(&unfinished)?;
            // Both are locked when the name changes hands.
            let _ = file.try_lock();
            let lines: String = history.iter().map(|entry| format!("{entry}\n")).collect();
            file.write_all(lines.as_bytes())?;
            fs::rename(&unfinished, &path)?;
            std::io::Result::Ok(file)
        };
        self.metrics = replace().with_context(|| cannot_write(&self.partial))?;
        self.history = history;
        Ok(())
    }
}

/// What was logged before a checkpoint.
fn logged(checkpoint: &Path) -> Result<Vec<Value>> {
    let state = checkpoint::state(checkpoint)?;
    let history = state["log_history"].as_array().cloned();
    history.with_context(|| format!("{STATE}: log_history: expected a list"))
}

/// Whether a run with these flags was broken off on its way to this name, and nobody goes on with it now.
pub(super) fn is_waiting(destination: &Path, settings: Settings) -> bool {
    let partial = sibling(destination, "partial").expect("it has a name");
    let can_go_on = || checkpoint::newest(&partial).is_some() && hindrance(&partial).is_none();
    is_free(destination)
        && differing(&partial, settings).is_empty()
        && (partial.join(STATE).exists() || can_go_on())
}

/// What to say of a checkpoint that can't be read.
pub fn damaged(checkpoint: &Path) -> String {
    let run = checkpoint.parent().unwrap_or(checkpoint);
    format!(
        "{}: the run can't go on from it; remove {} to start again",
        checkpoint.display(),
        run.display()
    )
}

/// What to say of a run whose log, on which its lock is, can't be opened.
fn no_log(partial: &Path) -> String {
    let (log, run) = (partial.join(METRICS), partial.display());
    format!("{}: the run can't go on without it; remove {run} to start again", log.display())
}

/// The flags that are not those of the run in a folder, of flags that matter to its weights; all of them where its
/// settings can't be read.
fn differing(partial: &Path, settings: Settings) -> Vec<String> {
    let noted = fs::read_to_string(partial.join(settings.file)).ok();
    let noted = noted.and_then(|text| text.parse::<Table>().ok()).unwrap_or_default();
    let typed: Table = settings.text.parse().unwrap_or_default();
    let keys: BTreeSet<&String> = noted.keys().chain(typed.keys()).collect();
    let differs = |key: &&String| {
        !FREE.contains(&key.as_str()) && noted.get(key.as_str()) != typed.get(key.as_str())
    };
    keys.into_iter().filter(differs).map(|key| format!("--{key}")).collect()
}

/// What to say of a run that could go on, but not with these flags.
pub(super) fn other_flags(partial: &Path, settings: Settings) -> String {
    format!(
        "{}: holds a run with other flags that was broken off ({}); give its flags to go on with it (they are in its \
         .toml file), or pass --overwrite to start again",
        partial.display(),
        differing(partial, settings).join(", ")
    )
}
