//! What a training says in its lines, and writes to its log.

use serde_json::{Map, Value, json};

use crate::optimization::StepLog;
use crate::trainer::Evaluation;

/// The number of an epoch, of one that was broken off with four decimals at most: `3`, `0.3`.
pub(super) fn shown(epoch: f64) -> f64 {
    (epoch * 1e4).round() / 1e4
}

/// The log entry of a step.
pub(super) fn step_entry(log: StepLog, epoch: f64) -> Value {
    json!({"epoch": epoch, "step": log.step, "loss": log.loss,
        "learning_rate": log.learning_rate, "grad_norm": log.grad_norm})
}

/// Adds `PREFIX_loss`, `PREFIX_accuracy`, ... to a log entry.
pub(super) fn add(entry: &mut Value, prefix: &str, result: &Evaluation) {
    let entry: &mut Map<String, Value> = entry.as_object_mut().expect("an object");
    entry.insert(format!("{prefix}_loss"), json!(result.loss));
    for (name, value) in result.report.iter().flat_map(|report| &report.metrics) {
        entry.insert(format!("{prefix}_{name}"), json!(value));
    }
}

/// `loss 0.2931 accuracy 0.8830`: the loss, and the figure of this name.
pub(super) fn summary(result: &Evaluation, name: &str) -> String {
    let figure = result.figure(name).filter(|_| name != "loss");
    let figure = figure.map(|value| format!(" {name} {value:.4}")).unwrap_or_default();
    format!("loss {:.4}{figure}", result.loss.unwrap_or(f64::NAN))
}
