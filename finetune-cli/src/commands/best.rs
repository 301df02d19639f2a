//! The best epoch of a training, by its validation figure.

use std::path::Path;

use anyhow::{Context, Result};
use autograd::{Param, Tensor};
use serde_json::Value;

use crate::args::RecipeArgs;
use crate::data::Task;
use crate::metrics;
use crate::run::{STATE, checkpoint};

/// The best epoch so far.
pub(super) struct Best {
    /// Epochs that were done by then: not a whole number where the last one was broken off.
    pub(super) epoch: f64,
    /// What it was chosen by.
    pub(super) figure: f64,
    /// One tensor for each trained parameter, where they are kept.
    weights: Option<Vec<Tensor>>,
}

impl Best {
    /// An epoch with the weights that the parameters have now, if those are to be kept.
    pub(super) fn new((epoch, figure): (f64, f64), params: Option<&[Param]>) -> Self {
        // The copies share memory with the parameters until the next update.
        let weights = params.map(|params| params.iter().map(Param::value).collect());
        Self { epoch, figure, weights }
    }

    /// As it was at a checkpoint with this state, after so many whole epochs; none before the first epoch that was
    /// measured.
    ///
    /// # Errors
    /// When epoch or figure are none that the run can have, or weights are kept and can't be read.
    pub(super) fn load(
        checkpoint: &Path,
        state: &Value,
        epochs: u64,
        params: Option<&[Param]>,
    ) -> Result<Option<Self>> {
        let (epoch, figure) = (&state["best_epoch"], &state["best_metric"]);
        if epoch.is_null() {
            return Ok(None);
        }
        // An epoch that is broken off ends the run: at a checkpoint all that were measured are whole.
        let is_done = |n: &f64| n.fract() == 0.0 && (1.0..=epochs as f64).contains(n);
        let epoch = epoch.as_f64().filter(is_done).with_context(|| {
            format!("{STATE}: best_epoch: expected null or one of the {epochs} epochs that are done, found {epoch}")
        })?;
        // JSON has no other word for a figure that is no number.
        let number = if figure.is_null() { Some(f64::NAN) } else { figure.as_f64() };
        let figure = number.with_context(|| {
            format!("{STATE}: best_metric: expected null or a number, found {figure}")
        })?;
        let weights = params.map(|params| checkpoint::best(checkpoint, params)).transpose()?;
        Ok(Some(Self { epoch, figure, weights }))
    }

    /// Whether another figure of this name is better; a NaN is the worst.
    pub(super) fn is_below(&self, name: &str, figure: f64) -> bool {
        metrics::rank(name, figure) > metrics::rank(name, self.figure)
    }

    /// The weights that are kept, by name: what a checkpoint saves.
    pub(super) fn named(&self, params: &[Param]) -> Vec<(String, Tensor)> {
        let weights = self.weights.iter().flatten().cloned();
        params.iter().map(|param| param.name().to_owned()).zip(weights).collect()
    }

    /// Gives the parameters the weights that are kept; says whether there are any.
    ///
    /// # Errors
    /// When a GPU is full.
    pub(super) fn restore(&mut self, params: &[Param]) -> Result<bool> {
        let Some(weights) = self.weights.take() else { return Ok(false) };
        for (param, weight) in params.iter().zip(weights) {
            param.set(weight.to_device(&param.device())?);
        }
        Ok(true)
    }
}

/// The figure that decides on the best epoch; transformers' names, `eval_loss`, are taken too.
pub(super) fn best_metric<'a>(recipe: &'a RecipeArgs, task: &Task) -> &'a str {
    let by_task = match task {
        Task::SingleLabel(_) => "accuracy",
        Task::MultiLabel(_) => "f1_micro",
        Task::Regression => "pearson",
        Task::Tags(set) if metrics::are_entities(set.names()) => "f1",
        Task::Tags(_) => "accuracy",
    };
    let name = recipe.metric_for_best_model.as_deref().unwrap_or(by_task);
    name.strip_prefix("eval_").unwrap_or(name)
}
