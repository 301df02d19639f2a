//! The output folder of a run: complete, or not there.
//!
//! A run writes into `OUTPUT.partial` beside its destination and takes the destination's name when it is
//! done; a run that fails removes what it wrote. An earlier run is replaced, if that was asked for, at that
//! moment and no sooner. A run that was killed leaves `OUTPUT.partial`; the next run into OUTPUT clears it
//! away, unless there is a [checkpoint](crate::masked_lm::checkpoint) in it: then the same command goes on from there,
//! and another has to say that it may be lost. The lock on its `metrics.jsonl` says whether the run still lives.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::masked_lm::checkpoint;

/// The file by which a folder is known to hold a run.
const STATE: &str = "trainer_state.json";
/// The flags of a run of `train`, for `--config`.
pub const SETTINGS: &str = "train.toml";
/// One JSON object a line, written while the run goes on.
const METRICS: &str = "metrics.jsonl";

/// The folder of the working folder where runs go, and are looked for, when no other is named.
const RUNS: &str = "runs";
/// The class of transformers by which a fine-tuned model is known.
const CLASSIFIER: &str = "BertForSequenceClassification";

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
    partial: PathBuf,
    metrics: fs::File,
    history: Vec<Value>,
    finished: bool,
}

impl Run {
    /// Begins a run and notes its settings. The destination must be free, empty, or, with `overwrite`,
    /// hold an earlier run.
    ///
    /// # Errors
    /// When it is not, or nothing can be written there.
    pub fn create(destination: &Path, overwrite: bool, settings: Settings) -> Result<Self> {
        check_destination(destination, overwrite)?;
        let partial = sibling(destination, "partial")?;
        clear_away(&partial, overwrite)?;
        fs::create_dir_all(&partial).with_context(|| cannot_write(&partial))?;
        let metrics = fs::File::create_new(partial.join(METRICS));
        let metrics = metrics.with_context(|| cannot_write(&partial))?;
        // Where the file system has no locks, two runs at once are not told apart.
        let _ = metrics.try_lock();
        let destination = destination.to_owned();
        let run = Self { destination, partial, metrics, history: Vec::new(), finished: false };
        let noted = fs::write(run.partial.join(settings.file), settings.text);
        noted.with_context(|| cannot_write(&run.partial))?;
        Ok(run)
    }

    /// Takes up a run with the same settings that was broken off after a checkpoint: the run, the folder of its newest
    /// checkpoint, and what was logged up to that; `None` if there is no such run.
    ///
    /// # Errors
    /// When it still lives, the destination may not be taken, or its files can't be read or written.
    pub fn take_up(
        destination: &Path,
        overwrite: bool,
        settings: Settings,
    ) -> Result<Option<(Self, PathBuf)>> {
        check_destination(destination, overwrite)?;
        let partial = sibling(destination, "partial")?;
        let noted = fs::read_to_string(partial.join(settings.file)).unwrap_or_default();
        let Some((checkpoint, step)) = checkpoint::newest(&partial) else { return Ok(None) };
        if noted != settings.text || partial.join(STATE).exists() {
            return Ok(None);
        }
        if let Some(hindrance) = hindrance(&partial) {
            bail!("{}: {hindrance} or choose another --output", partial.display());
        }
        let path = partial.join(METRICS);
        let metrics = fs::File::options().read(true).append(true).open(&path);
        let metrics = metrics.with_context(|| cannot_write(&partial))?;
        // As in `create`: where there are no locks, two runs at once are not told apart.
        let _ = metrics.try_lock();
        let text = fs::read_to_string(&path).with_context(|| cannot_write(&partial))?;
        let entries = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let until = |entry: &Value| entry["step"].as_u64().is_some_and(|at| at <= step);
        let history: Vec<Value> = entries.filter(until).collect();
        // What was logged after the checkpoint happens again.
        metrics.set_len(0).with_context(|| cannot_write(&partial))?;
        let destination = destination.to_owned();
        let mut run = Self { destination, partial, metrics, history: vec![], finished: false };
        history.into_iter().try_for_each(|entry| run.log(entry))?;
        Ok(Some((run, checkpoint)))
    }

    /// The name that the folder takes.
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Where files of the run are written until it is finished.
    pub fn folder(&self) -> &Path {
        &self.partial
    }

    /// Adds a line to `metrics.jsonl` and to the history of `trainer_state.json`.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn log(&mut self, entry: Value) -> Result<()> {
        writeln!(self.metrics, "{entry}").with_context(|| cannot_write(&self.partial))?;
        self.history.push(entry);
        Ok(())
    }

    /// Writes `trainer_state.json` and gives the folder its name. `state` holds the keys besides
    /// `log_history`.
    ///
    /// # Errors
    /// When it can't be written; the earlier run, if there was one, is still there then.
    pub fn finish(mut self, mut state: Value) -> Result<()> {
        state["log_history"] = json!(self.history);
        let text = serde_json::to_string_pretty(&state)? + "\n";
        fs::write(self.partial.join(STATE), text).with_context(|| cannot_write(&self.partial))?;
        self.metrics.sync_all().with_context(|| cannot_write(&self.partial))?;
        // From here on the run is complete and is kept, even if it can't have its name.
        self.finished = true;
        self.take_name().with_context(|| {
            let (partial, destination) = (self.partial.display(), self.destination.display());
            format!("{destination}: can't be replaced; the finished run is in {partial}")
        })
    }

    /// Moves an earlier run aside, takes its name, then removes it.
    fn take_name(&self) -> Result<()> {
        if !self.destination.exists() {
            return Ok(fs::rename(&self.partial, &self.destination)?);
        }
        // A name that nobody else uses: another folder is never removed for it.
        let old = sibling(&self.destination, &format!("replaced-{}", std::process::id()))?;
        fs::rename(&self.destination, &old)?;
        if let Err(error) = fs::rename(&self.partial, &self.destination) {
            fs::rename(&old, &self.destination)?;
            return Err(error.into());
        }
        Ok(fs::remove_dir_all(&old)?)
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

/// The first of `runs/train`, `runs/train-2`, `runs/train-3`, ... that a run may take. What a killed run left
/// behind is no hindrance, as it is none to [`Run::create`].
pub fn free_name() -> PathBuf {
    let name = |n: u64| match n {
        1 => Path::new(RUNS).join("train"),
        n => Path::new(RUNS).join(format!("train-{n}")),
    };
    let free = |path: &PathBuf| {
        let partial = sibling(path, "partial").expect("it has a name");
        is_free(path) && hindrance(&partial).is_none()
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
    let text = fs::read_to_string(folder.join("config.json")).unwrap_or_default();
    let config: Value = serde_json::from_str(&text).unwrap_or_default();
    let classes = config["architectures"].as_array();
    classes.is_some_and(|classes| classes.iter().any(|class| class == CLASSIFIER))
}

/// Removes what a killed run left behind; refuses a living one, one that could go on, and anything else.
fn clear_away(partial: &Path, overwrite: bool) -> Result<()> {
    if is_free(partial) {
        return Ok(());
    }
    if let Some(hindrance) = hindrance(partial) {
        bail!("{}: {hindrance} or choose another --output", partial.display());
    }
    if checkpoint::newest(partial).is_some() && !overwrite {
        bail!(
            "{}: holds a run with other flags that was broken off; give its flags to go on with it (they are in its \
             .toml file), or pass --overwrite to start again",
            partial.display()
        );
    }
    fs::remove_dir_all(partial).with_context(|| cannot_write(partial))
}

/// What keeps a run from writing here, and what to do about it.
fn hindrance(partial: &Path) -> Option<&'static str> {
    if is_free(partial) {
        return None;
    }
    let Ok(metrics) = fs::File::open(partial.join(METRICS)) else {
        return Some("is in the way and no unfinished run; remove it");
    };
    if partial.join(STATE).exists() {
        return Some("is in the way and a complete run; move it");
    }
    match metrics.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Some("another run is writing here; wait for it"),
        _ => None,
    }
}

/// Whether there is nothing, or an empty folder.
fn is_free(path: &Path) -> bool {
    !path.exists() || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// Checks that a run may take this name: see [`Run::create`]. Changes nothing.
///
/// # Errors
/// When it may not.
pub fn check_destination(destination: &Path, overwrite: bool) -> Result<()> {
    let shown = destination.display();
    sibling(destination, "partial")?;
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

/// `runs/sst2` -> `runs/sst2.partial`
fn sibling(destination: &Path, suffix: &str) -> Result<PathBuf> {
    let name = destination.file_name().with_context(|| {
        format!("{}: no name for a folder; choose another --output", destination.display())
    })?;
    let mut name = name.to_owned();
    name.push(format!(".{suffix}"));
    Ok(destination.with_file_name(name))
}

fn cannot_write(path: &Path) -> String {
    format!("{}: can't be written; choose another --output", path.display())
}
