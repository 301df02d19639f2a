//! How far the contenders train in the time that is left.

use std::fs;
use std::iter::repeat_n;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Entrant, Verification};
use crate::data::Task;
use crate::progress::remark;
use crate::select::cache::write_whole;
use crate::select::candidates::Request;
use crate::select::halving::{Limits, Plan};
use crate::select::score;
use crate::select::summary::Cost;
use crate::trainer;

/// Seconds of opening and saving a model, per byte of its weights: of a disk of 400 MB/s, moments included.
const SECONDS_PER_BYTE: f64 = 3.0 / 4e8;
/// Bytes of a weight, f32.
const BYTES_PER_PARAMETER: f64 = 4.0;

impl Verification<'_> {
    /// The plan of an earlier call, or a new one; none if the time is too short, which is said.
    pub(super) fn plan(&self, folder: &Path, entrants: &[Entrant]) -> Result<Option<Plan>> {
        let path = folder.join("plan.json");
        let rates = self.rates.len();
        if let Some(plan) = read_plan(&path, entrants.len() * rates) {
            return Ok(Some(plan));
        }
        let recipes = entrants.iter().map(|(of, _)| self.recipe_steps(of));
        let recipes: Vec<u64> = recipes.flat_map(|steps| repeat_n(steps, rates)).collect();
        let costs: Vec<Cost> = entrants.iter().map(cost).collect();
        match Plan::new(&recipes, self.limits(&costs)) {
            Ok(plan) => {
                fs::create_dir_all(folder)
                    .with_context(|| format!("{}: can't be written", folder.display()))?;
                write_whole(&path, &serde_json::to_vec(&plan)?)?;
                Ok(Some(plan))
            }
            Err(needed) => {
                self.say_too_short(&recipes, &costs, needed);
                Ok(None)
            }
        }
    }

    /// Steps of the whole recipe, as `train` has them for this candidate.
    fn recipe_steps(&self, request: &Request) -> u64 {
        let (data, recipe) = (self.selection.data, &self.selection.args.recipe);
        let rows = match data.schema.task {
            // Sentences that are too long are several rows. What can't be opened fails in its turn.
            Task::Tags(_) => self.tokenized_rows(request).unwrap_or(data.train.len()),
            _ => data.train.len(),
        };
        trainer::steps_per_epoch(rows, recipe) * u64::from(recipe.epochs)
    }

    /// Rows to train on, as the tokenizer of a candidate makes them.
    fn tokenized_rows(&self, request: &Request) -> Result<usize> {
        let (task, device) = (&self.selection.data.schema.task, &self.selection.device);
        Ok(self.tokens(&score::open(request, task, device)?)?.train.len())
    }

    /// The time that is left, and what the slowest of these candidates takes of it.
    fn limits(&self, costs: &[Cost]) -> Limits {
        let slowest =
            |seconds: &dyn Fn(&Cost) -> f64| costs.iter().map(seconds).fold(0.0, f64::max);
        Limits {
            recipe_seconds: slowest(&|cost| self.recipe_seconds(cost)),
            rung_seconds: slowest(&|cost| self.rung_seconds(cost)),
            seconds: self.selection.time_left(),
        }
    }

    /// Seconds of all training steps of the recipe.
    fn recipe_seconds(&self, cost: &Cost) -> f64 {
        let examples = self.selection.data.train.len() as f64;
        let epochs = f64::from(self.selection.args.recipe.epochs);
        cost.seconds_per_example.unwrap_or(0.0) * examples * epochs
    }

    /// Seconds of a rung besides its training steps: opening, validating and saving.
    fn rung_seconds(&self, cost: &Cost) -> f64 {
        let per_example = cost.seconds_per_example.unwrap_or(0.0) * self.forward_share();
        let bytes = cost.parameters as f64 * BYTES_PER_PARAMETER;
        per_example * self.selection.data.validation_rows() as f64 + bytes * SECONDS_PER_BYTE
    }

    /// The share of a forward pass in a training step: a backward pass takes two, one with adapters, and none where the
    /// encoder is frozen.
    fn forward_share(&self) -> f64 {
        let args = self.selection.args;
        match (args.lora.lora_r.is_some(), args.recipe.freeze_encoder) {
            (true, _) => 1.0 / 2.0,
            (false, true) => 1.0,
            (false, false) => 1.0 / 3.0,
        }
    }

    /// Says what would fit.
    fn say_too_short(&self, recipes: &[u64], costs: &[Cost], needed: f64) {
        let args = self.selection.args;
        let (left, spent) = (self.selection.time_left(), self.selection.start.elapsed());
        let limits = |n| self.limits(&costs[..n]);
        let fits = |&n: &usize| Plan::new(&recipes[..n * self.rates.len()], limits(n)).is_ok();
        let most = (1..costs.len()).rev().find(fits);
        let fewer = most.map_or(String::new(), |n| format!(", or --verify {n}"));
        let rates = match self.rates.len() {
            1 => String::new(),
            n => format!(" at {n} learning rates"),
        };
        let budget = (spent.as_secs_f64() + needed).ceil();
        remark(
            args.machine.quiet,
            &format!(
                "not verified: {:.0} s of the budget are left, {} candidates take at least \
                 {needed:.0} s{rates}; give --budget {budget:.0}s{fewer}",
                left.max(0.0),
                costs.len()
            ),
        );
    }
}

/// The plan that an earlier call made for so many contenders.
fn read_plan(path: &Path, contenders: usize) -> Option<Plan> {
    let plan: Plan = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    Some(plan).filter(|plan| plan.is_for(contenders))
}

/// What was measured of a candidate when it was scored.
fn cost((_, candidate): &Entrant) -> Cost {
    candidate.evidence.as_ref().expect("scored candidates have evidence").cost
}
