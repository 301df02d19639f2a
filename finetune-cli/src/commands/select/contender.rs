//! A candidate in the race of a verification, and what it keeps in its folder between rungs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bert::{Adapter, SavedDType, save_pretrained};
use nn::Module;

use super::value;
use crate::classifier::Classifier;
use crate::folder::Folder;
use crate::metrics;
use crate::run::checkpoint::ADAPTER;
use crate::select::candidates::Request;
use crate::select::halving::{Measured, Plan};
use crate::select::summary::{Candidate, Rung, Status, Verified};
use crate::trainer::Trainer;

/// A candidate in the race.
pub(super) struct Contender<'c> {
    pub(super) request: Request,
    pub(super) candidate: &'c mut Candidate,
    pub(super) folder: PathBuf,
    /// The step that it reaches in each rung.
    steps: Vec<u64>,
    /// Steps of its whole recipe.
    recipe_steps: u64,
    pub(super) rungs: Vec<Rung>,
}

impl<'c> Contender<'c> {
    /// The candidate at a place in the plan, with what an earlier call left in its folder.
    pub(super) fn new(
        request: Request,
        candidate: &'c mut Candidate,
        folder: PathBuf,
        (plan, place): (&Plan, usize),
    ) -> Self {
        let (steps, recipe_steps) = (plan.steps_of(place), plan.recipe[place]);
        let rungs = read_rungs(&folder, &steps);
        Self { request, candidate, folder, steps, recipe_steps, rungs }
    }

    /// The step that it reaches in rung `rung` of the plan.
    pub(super) fn step(&self, rung: usize) -> u64 {
        self.steps[rung]
    }

    /// The steps of its schedule: where the last rung ends.
    pub(super) fn last_step(&self) -> u64 {
        self.steps.last().copied().unwrap_or(0)
    }

    /// The rung before rung `rung` of the plan; an earlier call may have come further.
    pub(super) fn before(&self, rung: usize) -> Option<&Rung> {
        self.rungs.get(rung.checked_sub(1)?)
    }

    /// What is known before a rung. Before the first all figures are equal, and the estimates decide.
    pub(super) fn measured(&self, rung: usize, metric: &str) -> Measured {
        let none = Measured { figure: 0.0, standard_error: 0.0, estimate: value(self.candidate) };
        self.before(rung).map_or(none, |before| measured(self.candidate, before, metric))
    }

    /// Where the weights at a step are.
    pub(super) fn weights(&self, step: u64) -> PathBuf {
        self.folder.join(step.to_string())
    }

    /// Where the moments at a step are. They are written behind the weights: where they are, both are.
    pub(super) fn moments(&self, step: u64) -> PathBuf {
        self.weights(step).join("optimizer.safetensors")
    }

    /// Where what LoRA trained is at a step, beside the moments.
    pub(super) fn adapter(&self, step: u64) -> PathBuf {
        self.weights(step).join(ADAPTER)
    }

    /// Keeps weights and moments at a step, to go on from there; of a model with an adapter, that is all that changed.
    pub(super) fn keep(
        &self,
        step: u64,
        folder: &Folder,
        (model, adapter): (&Classifier, Option<&Adapter>),
        trainer: &mut Trainer,
    ) -> Result<()> {
        let weights = self.weights(step);
        fs::create_dir_all(&weights)
            .with_context(|| format!("{}: can't be written", weights.display()))?;
        match adapter {
            Some(adapter) => adapter.save(&self.adapter(step))?,
            None => {
                let (config, tokenizer) = (&folder.config, &folder.tokenizer);
                save_pretrained(&weights, config, &model.params(), tokenizer, SavedDType::F32)?;
            }
        }
        trainer.state()?.save(&self.moments(step))?;
        Ok(())
    }

    /// Removes the weights of all rungs but that of a step.
    pub(super) fn forget_weights(&self, kept: Option<u64>) {
        let steps = self.rungs.iter().map(|rung| rung.steps).filter(|&step| Some(step) != kept);
        steps.for_each(|step| drop(fs::remove_dir_all(self.weights(step))));
    }

    /// Puts what was reached into the row of the candidate.
    pub(super) fn note(&mut self) {
        let rungs: Vec<Rung> =
            self.rungs.iter().copied().filter(|rung| rung.metric.is_some()).collect();
        if let Some(metric) = rungs.last().and_then(|rung| rung.metric) {
            self.candidate.status = Status::Verified;
            let recipe_steps = self.recipe_steps;
            self.candidate.verified = Some(Verified { metric, rungs, recipe_steps });
        }
    }
}

/// What was measured of a candidate after a rung.
pub(super) fn measured(candidate: &Candidate, rung: &Rung, metric: &str) -> Measured {
    Measured {
        figure: metrics::rank(metric, rung.metric.unwrap_or(f64::NAN)),
        standard_error: rung.standard_error.unwrap_or(0.0),
        estimate: value(candidate),
    }
}

/// What an earlier call reached, as far as it followed these steps.
fn read_rungs(folder: &Path, steps: &[u64]) -> Vec<Rung> {
    let text = fs::read(folder.join("rungs.json")).unwrap_or_default();
    let rungs: Vec<Rung> = serde_json::from_slice(&text).unwrap_or_default();
    let follows = rungs.into_iter().zip(steps).take_while(|(rung, steps)| rung.steps == **steps);
    follows.map(|(rung, _)| rung).collect()
}
