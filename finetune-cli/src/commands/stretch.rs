//! What was seen of a training since its last line of output.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::optimization::StepLog;
use crate::run::STATE;

/// No count of tokens or examples comes near it, and it can grow for long: the last one that f64 tells from the next.
const LARGEST: f64 = 9_007_199_254_740_992.0;

/// Sums over some steps, which outlive a break.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    since: Instant,
    /// Seconds before a break.
    before: f64,
    /// Of the losses of steps, times their weights.
    loss: f64,
    /// Of these weights.
    weight: f64,
    /// What the speed is measured in: tokens, examples.
    units: u64,
}

impl Stretch {
    /// The key that it has in the state of a checkpoint.
    pub(super) const KEY: &str = "stretch";

    /// Before the first step.
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), before: 0.0, loss: 0.0, weight: 0.0, units: 0 }
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
        let amount = |key| {
            let amount = sums[key].as_f64().filter(|amount| (0.0..=LARGEST).contains(amount));
            amount.with_context(|| wrong(key))
        };
        let (since, before, loss) = (Instant::now(), sum("seconds")?, sum("loss")?);
        let (weight, units) = (amount("weight")?, amount("units")? as u64);
        Ok(Self { since, before, loss, weight, units })
    }

    /// What a checkpoint keeps.
    pub(super) fn to_json(self) -> Value {
        let Self { loss, weight, units, .. } = self;
        json!({"seconds": self.seconds(), "loss": loss, "weight": weight, "units": units})
    }

    /// Adds a step, with what its speed is measured in.
    pub(super) fn add(&mut self, log: &StepLog, units: u64) {
        self.loss += log.loss * log.weight;
        self.weight += log.weight;
        self.units += units;
    }

    /// The mean loss over all that the losses of the steps are means over: examples, words, hidden tokens, by their
    /// weights.
    pub(super) fn loss(&self) -> f64 {
        self.loss / self.weight
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimization::{BatchSize, StepTimes};

    fn step(loss: f64, weight: f64) -> StepLog {
        let (size, times) = (BatchSize::default(), StepTimes::default());
        StepLog { step: 1, loss, weight, learning_rate: 1e-3, grad_norm: 1.0, size, times }
    }

    /// Seven targets of a loss of 2 and three of a loss of 5, by halves: (3.5 * 2 + 1.5 * 5) / 5.
    #[test]
    fn a_loss_is_the_mean_over_targets_and_outlives_a_break() {
        let mut stretch = Stretch::new();
        stretch.add(&step(2.0, 3.5), 10);
        let mut stretch = Stretch::of(&json!({"stretch": stretch.to_json()})).unwrap();
        stretch.add(&step(5.0, 1.5), 20);
        assert_eq!((stretch.loss(), stretch.units), (2.9, 30));
    }
}
