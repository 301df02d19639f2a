//! A candidate in the race of a verification, with one learning rate, and what it keeps in its folder between rungs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bert::{Adapter, SavedDType, save_pretrained};
use nn::Module;

use crate::args::RecipeArgs;
use crate::classifier::Classifier;
use crate::folder::Folder;
use crate::metrics;
use crate::run::checkpoint::ADAPTER;
use crate::select::cache::write_whole;
use crate::select::candidates::Request;
use crate::select::halving::{Measured, Plan};
use crate::select::summary::{Rung, Verified};
use crate::trainer::Trainer;

/// A candidate in the race, with one learning rate.
pub(super) struct Contender<'c> {
    pub(super) request: &'c Request,
    /// How it is trained; of the recipe of the selection, the learning rate is its own.
    pub(super) recipe: RecipeArgs,
    /// The place of the candidate among all, and the score that it has without training.
    known: (usize, f64),
    folder: PathBuf,
    /// The step up to which it trains in each rung.
    goals: Vec<u64>,
    /// Steps of its whole recipe.
    recipe_steps: u64,
    /// The rungs that it has run, the last one perhaps in vain.
    rungs: Vec<Rung>,
    /// Why it was in vain.
    failure: Option<String>,
}

impl<'c> Contender<'c> {
    /// The contender at a place in the plan, with what an earlier call left in its folder, which is in that of the
    /// verification.
    pub(super) fn new(
        (request, known): (&'c Request, (usize, f64)),
        recipe: RecipeArgs,
        verification: &Path,
        (plan, place): (&Plan, usize),
    ) -> Self {
        let folder = verification.join(place.to_string());
        let (goals, recipe_steps) = (plan.steps_of(place), plan.recipe[place]);
        let rungs = read_rungs(&folder, &goals);
        Self { request, recipe, known, folder, goals, recipe_steps, rungs, failure: None }
    }

    /// The step up to which it trains in rung `rung` of the plan.
    pub(super) fn goal(&self, rung: usize) -> u64 {
        self.goals[rung]
    }

    /// The steps of its schedule: where the last rung ends.
    pub(super) fn last_goal(&self) -> u64 {
        self.goals.last().copied().unwrap_or(0)
    }

    /// Whether it has run rung `rung`, in this call or an earlier one.
    pub(super) fn has_run(&self, rung: usize) -> bool {
        self.rungs.len() > rung
    }

    /// Whether something went wrong before rung `rung`.
    pub(super) fn has_failed(&self, rung: usize) -> bool {
        self.before(rung).is_some_and(|before| before.metric.is_none())
    }

    /// The rung before rung `rung` of the plan; an earlier call may have come further.
    fn before(&self, rung: usize) -> Option<&Rung> {
        self.rungs.get(rung.checked_sub(1)?)
    }

    /// What is known before a rung. Before the first all figures are equal, and the estimates decide.
    pub(super) fn measured(&self, rung: usize, metric: &str) -> Measured {
        let (candidate, estimate) = self.known;
        let none = Measured { candidate, figure: 0.0, standard_error: 0.0, estimate };
        self.before(rung).map_or(none, |before| measured(self.known, before, metric))
    }

    /// The last rung that it has run, if its weights are there to go on from.
    pub(super) fn kept(&self) -> Option<Rung> {
        self.rungs.last().copied().filter(|rung| self.moments(rung.steps).is_file())
    }

    /// Notes a rung that it has run, and removes the weights of those before.
    pub(super) fn reached(&mut self, rung: Rung) -> Result<()> {
        self.rungs.push(rung);
        write_whole(&rungs_file(&self.folder), &serde_json::to_vec(&self.rungs)?)?;
        self.forget_weights(Some(rung.steps));
        Ok(())
    }

    /// Notes why it did not get to a step.
    pub(super) fn failed(&mut self, steps: u64, error: &anyhow::Error) {
        self.failure = Some(format!("{error:#}"));
        let (metric, standard_error, loss) = (None, None, None);
        self.rungs.push(Rung { steps, metric, standard_error, loss, seconds: 0.0 });
    }

    /// Makes its folder.
    pub(super) fn make_folder(&self) -> Result<()> {
        make_folder(&self.folder)
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
        make_folder(&weights)?;
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

    /// What was reached, if anything was.
    pub(super) fn verified(&self) -> Option<Verified> {
        let rungs: Vec<Rung> =
            self.rungs.iter().copied().filter(|rung| rung.metric.is_some()).collect();
        let metric = rungs.last()?.metric?;
        let (learning_rate, recipe_steps) = (self.recipe.learning_rate, self.recipe_steps);
        Some(Verified { learning_rate, metric, rungs, recipe_steps })
    }

    /// Why it did not get further, if something went wrong.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}

/// What was measured after a rung of the candidate at such a place, with such a score.
pub(super) fn measured((candidate, estimate): (usize, f64), rung: &Rung, metric: &str) -> Measured {
    Measured {
        candidate,
        figure: metrics::rank(metric, rung.metric.unwrap_or(f64::NAN)),
        standard_error: rung.standard_error.unwrap_or(0.0),
        estimate,
    }
}

fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{}: can't be written", folder.display()))
}

/// Where a contender notes the rungs that it has run.
fn rungs_file(folder: &Path) -> PathBuf {
    folder.join("rungs.json")
}

/// The rungs that an earlier call ran, as far as they had these goals.
fn read_rungs(folder: &Path, goals: &[u64]) -> Vec<Rung> {
    let text = fs::read(rungs_file(folder)).unwrap_or_default();
    let rungs: Vec<Rung> = serde_json::from_slice(&text).unwrap_or_default();
    let same = rungs.into_iter().zip(goals).take_while(|(rung, goal)| rung.steps == **goal);
    same.map(|(rung, _)| rung).collect()
}
