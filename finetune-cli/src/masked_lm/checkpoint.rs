//! Where a run goes on after it was broken off: `checkpoint-STEP` folders, as transformers calls them.
//!
//! A checkpoint is a model folder in f32 with `optimizer.safetensors` beside the weights. It is written under another
//! name and has its own only when it is whole; older ones are removed then.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bert::{Config, SavedDType, Tokenizer, save_pretrained};
use nn::Module;

/// What begins the name of each.
const NAME: &str = "checkpoint-";
/// What the optimizer remembers.
const OPTIMIZER: &str = "optimizer.safetensors";

/// The newest whole checkpoint of a run's folder, and its step.
pub fn newest(run: &Path) -> Option<(PathBuf, u64)> {
    all(run).into_iter().max_by_key(|(_, step)| *step)
}

/// Saves one, and removes the others.
///
/// # Errors
/// When it can't be written.
pub fn save(
    run: &Path,
    (config, tokenizer): (&Config, &Tokenizer),
    model: &impl Module,
    state: &optim::State,
) -> Result<()> {
    let folder = run.join(format!("{NAME}{}", state.step));
    let unfinished = run.join("checkpoint.partial");
    remove(&unfinished)?;
    save_pretrained(&unfinished, config, &model.params(), tokenizer, SavedDType::F32)?;
    state.save(&unfinished.join(OPTIMIZER))?;
    let older: Vec<_> = all(run).into_iter().filter(|(path, _)| *path != folder).collect();
    remove(&folder)?;
    fs::rename(&unfinished, &folder)
        .with_context(|| format!("{}: can't be written", folder.display()))?;
    older.iter().try_for_each(|(path, _)| remove(path))
}

/// What the optimizer remembered at a checkpoint.
///
/// # Errors
/// When it can't be read.
pub fn optimizer(checkpoint: &Path) -> Result<optim::State> {
    Ok(optim::State::load(&checkpoint.join(OPTIMIZER))?)
}

/// Removes all checkpoints, when the run is done.
///
/// # Errors
/// When one can't be removed.
pub fn clear(run: &Path) -> Result<()> {
    all(run).iter().try_for_each(|(path, _)| remove(path))
}

fn all(run: &Path) -> Vec<(PathBuf, u64)> {
    let step = |path: PathBuf| {
        let step = path.file_name()?.to_str()?.strip_prefix(NAME)?.parse().ok()?;
        Some((path, step))
    };
    let entries = fs::read_dir(run).into_iter().flatten().flatten();
    entries.filter_map(|entry| step(entry.path())).collect()
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("{}: can't be removed", folder.display()))
        }
        _ => Ok(()),
    }
}
