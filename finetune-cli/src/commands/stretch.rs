//! What was seen of a training since its last line of output.

use std::time::Instant;

use serde_json::{Value, json};

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

    /// As it was at a checkpoint.
    pub(super) fn from_json(json: &Value) -> Option<Self> {
        Some(Self {
            since: Instant::now(),
            before: json["seconds"].as_f64()?,
            loss: json["loss"].as_f64()?,
            weight: json["weight"].as_u64()?,
            units: json["units"].as_u64()?,
        })
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
