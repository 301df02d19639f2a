//! Breaking a run off, and going on with it: signals, and the time between checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::args::CheckpointArgs;
use crate::progress::{remark, warn};

/// The exit code that a shell expects of a program that a signal stopped is this and the number of the signal.
const STOPPED: usize = 128;

/// The time between checkpoints where no number of steps is given: what a power failure costs at most, on a disk with
/// room for them.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_secs(300);

/// A run that was stopped by a signal, Ctrl-C say, and can go on.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("stopped at step {step} of {steps}; the same command goes on from there")]
pub struct Interrupted {
    /// Steps that were made.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// The exit code, which tells of the signal.
    pub code: u8,
}

/// Says that a run goes on behind this step.
pub(super) fn going_on(quiet: bool, step: u64) {
    remark(quiet, &format!("going on from step {step}, where the run was broken off"));
}

/// Knows when a run has to save a checkpoint, and whether it was asked to stop.
pub(super) struct Watch {
    interrupted: Arc<AtomicBool>,
    /// The exit code of the signal that came.
    code: Arc<AtomicUsize>,
    args: CheckpointArgs,
    /// When the last checkpoint was saved, or could not be.
    tried: Instant,
}

impl Watch {
    /// Listens from now on: Ctrl-C, a request to end or a terminal that is gone is noted, a second one ends the program
    /// at once.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(super) fn begin(args: CheckpointArgs) -> Result<Self> {
        let (interrupted, code) = (Arc::new(AtomicBool::new(false)), Arc::default());
        for signal in [SIGINT, SIGTERM].into_iter().chain(hang_up()) {
            let stopped = STOPPED + signal as usize;
            // The code is there before the run is told to stop.
            flag::register_conditional_shutdown(signal, stopped as i32, interrupted.clone())
                .and_then(|_| flag::register_usize(signal, Arc::clone(&code), stopped))
                .and_then(|_| flag::register(signal, interrupted.clone()))
                .context("Ctrl-C can't be listened to")?;
        }
        Ok(Self { interrupted, code, args, tried: Instant::now() })
    }

    /// What ends a run that was asked to stop.
    pub(super) fn interruption(&self, step: u64, steps: u64) -> Interrupted {
        Interrupted { step, steps, code: self.code.load(Ordering::Relaxed) as u8 }
    }

    /// Whether the run was asked to stop.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
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

/// The signal of a terminal that is gone, a broken ssh connection say, unless it is ignored: a run under `nohup` is to
/// go on. What is ignored is a mask in hexadecimal digits, bit n - 1 for signal n; where there is no such file, the
/// signal is left as it is.
///
/// Source: proc_pid_status(5), `SigIgn`.
#[cfg(unix)]
fn hang_up() -> Option<i32> {
    use signal_hook::consts::SIGHUP;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(mask.trim(), 16).ok()?;
    (ignored >> (SIGHUP - 1) & 1 == 0).then_some(SIGHUP)
}

#[cfg(not(unix))]
fn hang_up() -> Option<i32> {
    None
}
