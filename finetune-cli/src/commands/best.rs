//! The best weights of a training so far, by the validation figure.

use std::path::Path;

use anyhow::{Context, Result};
use autograd::{Param, Tensor};
use serde_json::Value;

use crate::args::RecipeArgs;
use crate::data::Task;
use crate::metrics;
use crate::run::{STATE, checkpoint};

/// The best of the validations so far.
pub(super) struct Best {
    /// Steps that were done by then.
    pub(super) step: u64,
    /// What it was chosen by.
    pub(super) figure: f64,
    /// One tensor for each trained parameter, where they are kept.
    weights: Option<Vec<Tensor>>,
}

impl Best {
    /// A validation after so many steps, with the weights that the parameters have now, if those are to be kept.
    pub(super) fn new((step, figure): (u64, f64), params: Option<&[Param]>) -> Self {
        // The copies share memory with the parameters until the next update.
        let weights = params.map(|params| params.iter().map(Param::value).collect());
        Self { step, figure, weights }
    }

    /// As it was at a checkpoint with this state, of a run that validates every so many steps and has made `done`; none
    /// before the first validation.
    ///
    /// # Errors
    /// When step or figure are none that the run can have, or weights are kept and can't be read.
    pub(super) fn load(
        checkpoint: &Path,
        state: &Value,
        (every, done): (u64, u64),
        params: Option<&[Param]>,
    ) -> Result<Option<Self>> {
        // A state without the key is not one before the first validation, and would lose the best weights.
        let step = state.get("best_global_step");
        let step = step.with_context(|| format!("{STATE}: best_global_step is missing"))?;
        let figure = &state["best_metric"];
        if step.is_null() {
            return Ok(None);
        }
        let is_measured = |n: &u64| n.is_multiple_of(every) && (1..=done).contains(n);
        let step = step.as_u64().filter(is_measured).with_context(|| {
            format!(
                "{STATE}: best_global_step: expected null, or a multiple of {every} of the {done} steps that are \
                 done, found {step}"
            )
        })?;
        // JSON has no other word for a figure that is no number.
        let number = if figure.is_null() { Some(f64::NAN) } else { figure.as_f64() };
        let figure = number.with_context(|| {
            format!("{STATE}: best_metric: expected null or a number, found {figure}")
        })?;
        let weights = params.map(|params| checkpoint::best(checkpoint, params)).transpose()?;
        Ok(Some(Self { step, figure, weights }))
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
