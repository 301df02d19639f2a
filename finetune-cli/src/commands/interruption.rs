//! Breaking a run off, and going on with it: signals, and the time between checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::args::CheckpointArgs;
use crate::progress::{remark, warn};

/// The exit code that a shell expects of a program that was stopped by Ctrl-C.
pub const STOPPED: u8 = 130;

/// The time between checkpoints where no number of steps is given: what a power failure costs at most, on a disk with
/// room for them.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_secs(300);

/// A run that was stopped by Ctrl-C and can go on.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("stopped at step {step} of {steps}; the same command goes on from there")]
pub struct Interrupted {
    /// Steps that were made.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
}

/// Says that a run goes on behind this step.
pub(super) fn going_on(quiet: bool, step: u64) {
    remark(quiet, &format!("going on from step {step}, where the run was broken off"));
}

/// Knows when a run has to save a checkpoint, and whether it was asked to stop.
pub(super) struct Watch {
    interrupted: Arc<AtomicBool>,
    args: CheckpointArgs,
    /// When the last checkpoint was saved, or could not be.
    tried: Instant,
}

impl Watch {
    /// Listens from now on: Ctrl-C or a request to end is noted, a second one ends the program at once.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(super) fn begin(args: CheckpointArgs) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, STOPPED.into(), interrupted.clone())
                .and_then(|_| flag::register(signal, interrupted.clone()))
                .context("Ctrl-C can't be listened to")?;
        }
        Ok(Self { interrupted, args, tried: Instant::now() })
    }

    /// Whether the run was asked to stop.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Whether a checkpoint is due after this step.
    pub(super) fn is_due(&self, step: u64) -> bool {
        match self.args.save_steps {
            Some(every) => step.is_multiple_of(every),
            None => self.tried.elapsed() > BETWEEN_CHECKPOINTS,
        }
    }

    /// A checkpoint was just saved, or could not be written, on a full disk say. That ends no run that is to go on: it
    /// is said, above the bar, and a later checkpoint is tried again. Where the run stops, it is the error.
    ///
    /// # Errors
    /// When it could not be written and the run stops.
    pub(super) fn note(&mut self, saved: Result<()>, stops: bool, bar: &ProgressBar) -> Result<()> {
        self.tried = Instant::now();
        match saved {
            Err(error) if !stops => {
                let line = format!("{error:#}").replace(['\n', '\r'], " ");
                bar.suspend(|| {
                    warn(format_args!("{line}; the run goes on without this checkpoint"))
                });
                Ok(())
            }
            saved => saved,
        }
    }
}
