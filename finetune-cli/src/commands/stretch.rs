//! What was seen of a training since its last line of output.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::run::STATE;

/// No count of tokens or examples comes near it, and it can grow for long: the last one that f64 tells from the next.
const LARGEST: u64 = 1 << 53;

/// Sums over some steps, which outlive a break.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    since: Instant,
    /// Seconds before a break.
    before: f64,
    /// Of losses times weights.
    loss: f64,
    /// Of the weights.
    weight: u64,
    /// What the speed is measured in: tokens, examples.
    units: u64,
}

impl Stretch {
    /// The key that it has in the state of a checkpoint.
    pub(super) const KEY: &str = "stretch";

    /// Before the first step.
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), before: 0.0, loss: 0.0, weight: 0, units: 0 }
    }

    /// As it was at a checkpoint with this state.
    ///
    /// # Errors
    /// When a sum is missing, or is none that a training comes to.
    pub(super) fn of(state: &Value) -> Result<Self> {
        let sums = &state[Self::KEY];
        let wrong = |key| {
            let (name, found) = (Self::KEY, &sums[key]);
            format!("{STATE}: {name}.{key}: no sum that a training comes to: {found}")
        };
        let sum = |key| sums[key].as_f64().with_context(|| wrong(key));
        let count = |key| {
            let count = sums[key].as_u64().filter(|&count| count <= LARGEST);
            count.with_context(|| wrong(key))
        };
        let (since, before, loss) = (Instant::now(), sum("seconds")?, sum("loss")?);
        Ok(Self { since, before, loss, weight: count("weight")?, units: count("units")? })
    }

    /// What a checkpoint keeps.
    pub(super) fn to_json(self) -> Value {
        let Self { loss, weight, units, .. } = self;
        json!({"seconds": self.seconds(), "loss": loss, "weight": weight, "units": units})
    }

    /// Adds a step with its loss.
    pub(super) fn add(&mut self, loss: f64, weight: u64, units: u64) {
        self.loss += loss * weight as f64;
        self.weight += weight;
        self.units += units;
    }

    /// The mean loss.
    pub(super) fn loss(&self) -> f64 {
        self.loss / self.weight as f64
    }

    /// How long it took, without the breaks.
    pub(super) fn seconds(&self) -> f64 {
        self.before + self.since.elapsed().as_secs_f64()
    }

    /// Units per second.
    pub(super) fn speed(&self) -> f64 {
        self.units as f64 / self.seconds()
    }
}
