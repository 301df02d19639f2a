//! Update rules, gradient clipping and learning-rate schedules.
//!
//! An optimizer owns the state it keeps per parameter (moments, velocities); the learning rate of each step
//! comes from outside, out of a [`Schedule`], and so does the factor of [gradient clipping](clip):
//!
//! ```
//! use optim::{Adam, GradScale, Optimizer, Schedule, ScheduleKind, StepSize, clip, weight_decay_groups};
//! # use autograd::{Param, Tape, Tensor};
//! # fn main() -> optim::Result<()> {
//! # let params = vec![Param::new("w", Tensor::full(1.0, &[2]))];
//! let mut optimizer = Adam::adamw(weight_decay_groups(&params, 0.01));
//! let schedule = Schedule { kind: ScheduleKind::Linear, warmup: 10, total: 100 };
//! for step in 0..100 {
//!     let w = Tape::new().param(&params[0]);
//!     let grads = w.mul(&w)?.sum()?.backward()?;
//!     let norm = clip::global_norm(&params, &grads)?;
//!     let grad_scale = GradScale::Clip { norm, max_norm: 1.0 };
//!     let lr = 1e-2 * schedule.factor(step);
//!     optimizer.step(&grads, StepSize { lr, grad_scale })?;
//! }
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod adam;
pub mod clip;
mod error;
mod group;
mod schedule;
mod sgd;
mod state;

pub use adam::{Adam, AdamOptions};
pub use clip::GradScale;
pub use error::{Error, Result};
pub use group::{ParamGroup, weight_decay_groups};
pub use schedule::{Schedule, ScheduleKind, Warmup};
pub use sgd::{Sgd, SgdOptions};
pub use state::State;

use autograd::{Gradients, Param};

/// How far to go in one step.
#[derive(Clone, Debug)]
pub struct StepSize {
    /// The learning rate.
    pub lr: f64,
    /// Multiplies every gradient first.
    pub grad_scale: GradScale,
}

/// An update rule with its state.
///
/// A table of which a batch reads few rows, the word embedding, can be updated row by row: call
/// [`catch_up`](Optimizer::catch_up) before each forward and [`flush`](Optimizer::flush) before anything else
/// reads the table. Weights and moments have the same bits as without these calls; who never calls `catch_up`
/// needs no `flush`.
pub trait Optimizer {
    /// Updates every parameter that has a gradient.
    ///
    /// # Errors
    /// When a gradient does not fit its parameter.
    fn step(&mut self, grads: &Gradients, size: StepSize) -> Result<()>;

    /// Brings the rows `ids` of a table up to date, in any order, and lets the following steps defer the update
    /// of rows that have no gradient. Until a flush the table can be read by [`autograd::ops::lookup`] alone,
    /// which refuses rows but those of the latest call; everything else that reads or replaces it panics.
    ///
    /// An update rule may update all rows at each step instead, and does nothing here.
    ///
    /// # Errors
    /// When an id is not in the table.
    fn catch_up(&mut self, _table: &Param, _ids: &[u32]) -> Result<()> {
        Ok(())
    }

    /// Makes every deferred update.
    ///
    /// # Errors
    /// When a parameter has changed its dtype.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// A copy of the state, for a checkpoint, after a [`flush`](Optimizer::flush).
    ///
    /// # Errors
    /// Those of the flush.
    fn state(&mut self) -> Result<State>;

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// When it belongs to other parameters; lists every name that does not fit.
    fn load_state(&mut self, state: &State) -> Result<()>;
}

/// The code blocks of the chapter are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
