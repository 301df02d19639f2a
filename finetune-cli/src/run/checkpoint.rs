//! Where a run goes on after it was broken off: `checkpoint-STEP` folders, as transformers calls them.
//!
//! A checkpoint is a model folder in f32, with `optimizer.safetensors` and `trainer_state.json` beside the weights, and
//! `best.safetensors` where a run keeps those of its best epoch. The weights of a run with LoRA are those of the merged
//! model; what it goes on with is in the folder `adapter`. A checkpoint is written under another name and has its own
//! only when it is whole and on the disk; older ones are removed then.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use autograd::Param;
use bert::{Adapter, Config, SavedDType, Tokenizer, save_pretrained};
use serde_json::Value;
use tensor::{Tensor, safetensors};

use super::{STATE, sync, write_through};

/// What begins the name of each.
const NAME: &str = "checkpoint-";
/// One that is being written, and one that is being removed.
const UNFINISHED: &str = "checkpoint.partial";
const DOOMED: &str = "checkpoint.old";
/// What the optimizer remembers.
const OPTIMIZER: &str = "optimizer.safetensors";
/// The weights of the best epoch, where a run keeps them.
const BEST: &str = "best.safetensors";
/// What LoRA trained, beside the merged model, in a checkpoint and in the folder of a run.
pub const ADAPTER: &str = "adapter";

/// The newest whole checkpoint of a run's folder, and its step.
pub fn newest(run: &Path) -> Option<(PathBuf, u64)> {
    all(run).into_iter().max_by_key(|(_, step)| *step)
}

/// What a run has to know to go on.
pub struct Snapshot<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The parameters; with LoRA of the merged model.
    pub params: Vec<Param>,
    /// What LoRA trained.
    pub adapter: Option<&'a Adapter>,
    /// What the optimizer remembers, and the number of steps.
    pub optimizer: optim::State,
    /// The trained weights of the best epoch so far; none where they are not kept.
    pub best: Vec<(String, Tensor)>,
    /// `trainer_state.json`.
    pub state: Value,
}

/// Saves one, and removes the others.
///
/// # Errors
/// When it can't be written.
pub fn save(run: &Path, snapshot: &Snapshot) -> Result<()> {
    let folder = run.join(format!("{NAME}{}", snapshot.optimizer.step));
    let older: Vec<_> = all(run).into_iter().filter(|(path, _)| *path != folder).collect();
    let unfinished = run.join(UNFINISHED);
    let write = || {
        remove(&unfinished)?;
        let Snapshot { config, tokenizer, params, adapter, optimizer, best, state } = snapshot;
        save_pretrained(&unfinished, config, params, tokenizer, SavedDType::F32)?;
        adapter.map_or(Ok(()), |adapter| adapter.save(&unfinished.join(ADAPTER)))?;
        optimizer.save(&unfinished.join(OPTIMIZER))?;
        if !best.is_empty() {
            safetensors::write(&unfinished.join(BEST), best)?;
        }
        write_through(&unfinished.join(STATE), &serde_json::to_string_pretty(state)?)?;
        sync(&unfinished.join(ADAPTER));
        sync(&unfinished);
        remove(&folder)?;
        fs::rename(&unfinished, &folder)?;
        sync(run);
        anyhow::Ok(())
    };
    write().with_context(|| {
        // On a full disk it would be in the way of all others.
        let _ = remove(&unfinished);
        format!("{}: can't be written", folder.display())
    })?;
    older.iter().try_for_each(|(path, _)| remove(path))
}

/// The `trainer_state.json` of a checkpoint.
///
/// # Errors
/// When it can't be read, or is no JSON.
pub fn state(checkpoint: &Path) -> Result<Value> {
    let text = fs::read_to_string(checkpoint.join(STATE)).context(STATE)?;
    serde_json::from_str(&text).context(STATE)
}

/// What the optimizer remembered at a checkpoint with this state, of a run of `steps` steps.
///
/// # Errors
/// When it can't be read, or was saved after another step than the rest: the run would leave steps out, or make some
/// twice.
pub fn optimizer(checkpoint: &Path, state: &Value, steps: u64) -> Result<optim::State> {
    let optimizer = optim::State::load(&checkpoint.join(OPTIMIZER))?;
    let (step, global, folder) = (optimizer.step, &state["global_step"], number(checkpoint));
    ensure!(
        folder == Some(step) && global.as_u64() == Some(step) && step <= steps,
        "{OPTIMIZER} is of step {step} of {steps}, and {STATE} has global_step {global}"
    );
    Ok(optimizer)
}

/// The weights of the best epoch at a checkpoint, one for each of the parameters.
///
/// # Errors
/// When they can't be read, are of other parameters, or are not finite.
pub fn best(checkpoint: &Path, params: &[Param]) -> Result<Vec<Tensor>> {
    let mut file = safetensors::File::open(&checkpoint.join(BEST))?;
    let mut read = |param: &Param| {
        let (name, expected) = (param.name(), param.shape());
        let weight = file.read(name)?;
        let got = weight.shape();
        ensure!(got == expected, "{name}: expected {expected:?}, got {got:?}");
        let finite = weight.as_slice::<f32>()?.iter().all(|x| x.is_finite());
        ensure!(finite, "{name} has NaN or infinite weights");
        Ok(weight)
    };
    params.iter().map(|param| read(param).context(BEST)).collect()
}

/// Removes all checkpoints, when the run is done.
///
/// # Errors
/// When one can't be removed.
pub fn clear(run: &Path) -> Result<()> {
    remove(&run.join(UNFINISHED))?;
    all(run).iter().try_for_each(|(path, _)| remove(path))
}

fn all(run: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(run).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter_map(|path| number(&path).map(|step| (path, step))).collect()
}

/// The step in the name of a checkpoint.
fn number(checkpoint: &Path) -> Option<u64> {
    checkpoint.file_name()?.to_str()?.strip_prefix(NAME)?.parse().ok()
}

/// Removes a folder, under another name first: half a checkpoint is none.
fn remove(folder: &Path) -> Result<()> {
    let doomed = folder.with_file_name(DOOMED);
    remove_folder(&doomed)
        .and_then(|()| if_there(fs::rename(folder, &doomed)))
        .and_then(|()| remove_folder(&doomed))
        .with_context(|| format!("{}: can't be removed", folder.display()))
}

/// Removes a folder, if it is there.
///
/// # Errors
/// When it can't be removed.
pub fn remove_folder(folder: &Path) -> std::io::Result<()> {
    if_there(fs::remove_dir_all(folder))
}

/// What was done to something; nothing, if it is not there.
fn if_there(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
