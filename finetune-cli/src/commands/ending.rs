//! The end of a training: what is cleaned up and said when its model is saved, and what when it can't be.

use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use super::train_report;
use crate::args::TrainArgs;
use crate::progress::report;
use crate::run::checkpoint;

/// Removes what only a run that goes on needs, and says where the model is.
pub(super) fn clean_up(args: &TrainArgs, output: &Path) -> Result<()> {
    checkpoint::clear(output)?;
    train_report::introduce(output);
    report(format_args!("saved to {}", output.display()));
    if let Some(command) = train_report::next(args) {
        report(format_args!("next: {command}"));
    }
    Ok(())
}

/// What is said when a trained model can't be saved where it should be, a full disk say: it is saved in the folder for
/// temporary files, if that can be written, under a name that nobody has: a number of a process is soon used again.
pub(super) fn rescued(
    error: bert::Error,
    save: impl Fn(&Path) -> bert::Result<()>,
) -> anyhow::Error {
    let place = tempfile::Builder::new().prefix("finetune-").tempdir();
    // A folder that is not kept is removed.
    let saved = place.ok().filter(|place| save(place.path()).is_ok()).map(TempDir::keep);
    let error = anyhow::Error::from(error);
    match saved {
        Some(place) => {
            error.context(format!("the trained model is in {} instead", place.display()))
        }
        None => error,
    }
}
