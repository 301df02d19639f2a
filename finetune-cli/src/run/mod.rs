//! The output folder of a run: complete, or not there.
//!
//! A run writes into `OUTPUT.partial` beside its destination and takes the destination's name when it is
//! done; a run that fails removes what it wrote. An earlier run is replaced, if that was asked for, at that
//! moment and no sooner. A run that was killed leaves `OUTPUT.partial`; the next run into OUTPUT clears it
//! away, unless there is a [`checkpoint`] in it: then the same command goes on from there,
//! and another has to say that it may be lost. The lock on its `metrics.jsonl` says whether the run still lives.

pub mod checkpoint;
mod disk;
mod names;
mod resume;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::progress::warn;

use disk::{is_free, is_mount_point, resolved, sibling, sync, write_through};
pub use names::{free_name, newest, unfinished};
pub use resume::{Earlier, damaged};

/// The file by which a folder is known to hold a run.
pub const STATE: &str = "trainer_state.json";
/// The flags of a run of `train`, for `--config`.
pub const SETTINGS: &str = "train.toml";
/// One JSON object a line, written while the run goes on.
const METRICS: &str = "metrics.jsonl";

/// The flags of a run, as they are noted in its folder.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// The name of the file.
    pub file: &'a str,
    /// TOML.
    pub text: &'a str,
}

/// A run in progress.
pub struct Run {
    destination: PathBuf,
    overwrite: bool,
    partial: PathBuf,
    metrics: fs::File,
    history: Vec<Value>,
    /// Whether a line of the log could not be written.
    lacks_lines: bool,
    finished: bool,
}

impl Run {
    /// Begins a run and notes its settings. The destination must be free, empty, or, with `overwrite`,
    /// hold an earlier run.
    ///
    /// # Errors
    /// When it is not, or nothing can be written there.
    pub fn create(destination: &Path, overwrite: bool, settings: Settings) -> Result<Self> {
        let destination = &resolved(destination);
        check_destination(destination, overwrite)?;
        let partial = sibling(destination, "partial")?;
        clear_away(&partial, overwrite, settings)?;
        fs::create_dir_all(&partial).with_context(|| cannot_write(&partial))?;
        let metrics = fs::File::create_new(partial.join(METRICS));
        let metrics = metrics.with_context(|| cannot_write(&partial))?;
        alone(&partial, &metrics)?;
        let destination = destination.to_owned();
        let history = Vec::new();
        let (lacks_lines, finished) = (false, false);
        let run = Self { destination, overwrite, partial, metrics, history, lacks_lines, finished };
        let noted = write_through(&run.partial.join(settings.file), settings.text);
        noted.with_context(|| cannot_write(&run.partial))?;
        Ok(run)
    }

    /// The name that the folder takes.
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Where files of the run are written until it is finished.
    pub fn folder(&self) -> &Path {
        &self.partial
    }

    /// Adds a line to `metrics.jsonl` and to the history of `trainer_state.json`. A line that can't be written, on a full
    /// disk say, ends no training: that is said once, and the history has it.
    pub fn log(&mut self, entry: Value) {
        // In one piece, so that a line is whole or not there.
        let written = self.metrics.write_all(format!("{entry}\n").as_bytes());
        self.history.push(entry);
        if let Err(error) = written
            && !std::mem::replace(&mut self.lacks_lines, true)
        {
            let file = self.partial.join(METRICS);
            warn(format_args!("{}: {error}; the run goes on without it", file.display()));
        }
    }

    /// Removes what was written, whether or not the run could go on.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn discard(mut self) -> Result<()> {
        self.finished = true;
        fs::remove_dir_all(&self.partial).with_context(|| cannot_write(&self.partial))
    }

    /// Writes `trainer_state.json` and gives the folder its name. `state` holds the keys besides
    /// `log_history`; gives it with them all.
    ///
    /// # Errors
    /// When it can't be written or renamed; the model stays where it is, and so does an earlier run.
    pub fn finish(mut self, mut state: Value) -> Result<Value> {
        // The model is saved: from here on nothing is removed.
        self.finished = true;
        state["log_history"] = json!(self.history);
        let text = serde_json::to_string_pretty(&state)? + "\n";
        // A log that lacks lines is not worth more care.
        let _ = self.metrics.sync_all();
        let unfinished = self.partial.join("trainer_state.json.partial");
        write_through(&unfinished, &text)
            .and_then(|()| fs::rename(&unfinished, self.partial.join(STATE)))
            .with_context(|| {
                format!("the model is in {}, without {STATE}", self.partial.display())
            })?;
        sync(&self.partial);
        self.take_name()?;
        Ok(state)
    }

    /// Moves an earlier run aside, takes its name, then removes it. What has come there since the beginning is not
    /// lost.
    ///
    /// # Errors
    /// When it can't have the name; the message says where the run is.
    fn take_name(&self) -> Result<()> {
        let old = check_destination(&self.destination, self.overwrite).and_then(|()| self.rename());
        let old = old.with_context(|| {
            let (partial, destination) = (self.partial.display(), self.destination.display());
            format!("{destination}: can't be replaced; the finished run is in {partial}")
        })?;
        if let Some(parent) = self.destination.parent() {
            sync(parent);
        }
        let Some(old) = old else { return Ok(()) };
        if let Err(error) = fs::remove_dir_all(&old) {
            warn(format_args!("the earlier run is left in {}: {error}", old.display()));
        }
        Ok(())
    }

    /// Gives the name that an earlier run has now.
    fn rename(&self) -> Result<Option<PathBuf>> {
        if !self.destination.exists() {
            fs::rename(&self.partial, &self.destination)?;
            return Ok(None);
        }
        // A name that nobody else uses: another folder is never removed for it.
        let old = sibling(&self.destination, &format!("replaced-{}", std::process::id()))?;
        fs::rename(&self.destination, &old)?;
        if let Err(error) = fs::rename(&self.partial, &self.destination) {
            fs::rename(&old, &self.destination)?;
            return Err(error.into());
        }
        Ok(Some(old))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.finished && checkpoint::newest(&self.partial).is_none() {
            // The error that ended the run is the one to report.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// Removes what a killed run left behind; refuses a living one, one that could go on, and anything else.
fn clear_away(partial: &Path, overwrite: bool, settings: Settings) -> Result<()> {
    if is_free(partial) {
        return Ok(());
    }
    if let Some(hindrance) = hindrance(partial) {
        bail!("{}: {hindrance} or choose another --output", partial.display());
    }
    if checkpoint::newest(partial).is_some() && !overwrite {
        bail!("{}", resume::other_flags(partial, settings));
    }
    fs::remove_dir_all(partial).with_context(|| cannot_write(partial))
}

/// What keeps a run from writing here, and what to do about it.
fn hindrance(partial: &Path) -> Option<&'static str> {
    if is_free(partial) {
        return None;
    }
    // To write, without which NFS locks nothing; to read, where the run is another user's.
    let path = partial.join(METRICS);
    let metrics = fs::File::options().append(true).open(&path).or_else(|_| fs::File::open(&path));
    let metrics = match metrics {
        Ok(metrics) => metrics,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Some("is in the way and no unfinished run; remove it");
        }
        Err(_) => return Some("is in the way, and another user's; wait for it"),
    };
    if partial.join(STATE).exists() {
        return Some("is in the way and a complete run; move it");
    }
    match metrics.try_lock() {
        Ok(()) => None,
        Err(fs::TryLockError::WouldBlock) => Some("another run is writing here; wait for it"),
        Err(fs::TryLockError::Error(_)) => Some(
            "another run may be writing here, and this file system has no locks to tell; remove it if none is",
        ),
    }
}

/// Takes the lock by which a living run is known; refuses if another has it. Where the file system has no locks, the
/// next run sees a folder and has to ask.
fn alone(partial: &Path, metrics: &fs::File) -> Result<()> {
    match metrics.try_lock() {
        Err(fs::TryLockError::WouldBlock) => {
            let shown = partial.display();
            bail!("{shown}: another run is writing here; wait for it or choose another --output")
        }
        _ => Ok(()),
    }
}

/// Checks that a run may take this name: see [`Run::create`]. Changes nothing.
///
/// # Errors
/// When it may not.
pub fn check_destination(destination: &Path, overwrite: bool) -> Result<()> {
    let shown = destination.display();
    sibling(destination, "partial")?;
    let end = resolved(destination);
    if end.is_symlink() {
        bail!("{shown}: a link that leads nowhere but to links; choose another --output");
    }
    if is_mount_point(&end) {
        bail!(
            "{shown}: a disk or volume is mounted there, and a run cannot take its place; choose a folder in it, \
             such as --output {}",
            destination.join("run").display()
        );
    }
    if is_free(destination) {
        return Ok(());
    }
    fs::read_dir(destination).with_context(|| {
        format!("{shown}: not a folder that can be read; choose another --output")
    })?;
    match (destination.join(STATE).exists(), overwrite) {
        (true, true) => Ok(()),
        (true, false) => {
            bail!("{shown}: already holds a run; choose another --output, or pass --overwrite")
        }
        (false, _) => {
            bail!("{shown}: is not empty and holds no run of finetune; choose another --output")
        }
    }
}

fn cannot_write(path: &Path) -> String {
    format!("{}: can't be written; choose another --output", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_log_on_a_full_disk_ends_no_run() {
        let place = tempfile::tempdir().expect("a folder");
        let output = place.path().join("run");
        let settings = Settings { file: SETTINGS, text: "" };
        let mut run = Run::create(&output, false, settings).expect("it is free");
        run.metrics = fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        run.log(json!({"step": 1}));
        run.log(json!({"step": 2}));
        run.finish(json!({"global_step": 2})).expect("the state can be written");
        let state = fs::read_to_string(output.join(STATE)).expect("a complete run");
        let state: Value = serde_json::from_str(&state).expect("JSON");
        assert_eq!(state["log_history"], json!([{"step": 1}, {"step": 2}]));
    }
}
