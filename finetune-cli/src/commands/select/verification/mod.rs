//! The best candidates, fine-tuned for a while: [successive halving](crate::select::halving) on disk. A contender is
//! a candidate with a learning rate; those of one candidate follow each other.
//!
//! ```text
//! OUTPUT/cache/verify-KEY/plan.json            who trains how far
//! OUTPUT/cache/verify-KEY/I/rungs.json         what contender I reached
//! OUTPUT/cache/verify-KEY/I/STEP/model.safetensors, optimizer.safetensors    where it goes on
//! OUTPUT/cache/verify-KEY/I/STEP/adapter/, optimizer.safetensors             the same with LoRA
//! ```
//!
//! One contender is in memory at a time. The weights are removed at the end, or by the next verification of other
//! settings; the figures stay. Weights and moments of a rung have a folder of their own, so that a call that is broken
//! off never leaves those of two rungs together.

mod schedule;
mod training;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Result;

use super::contender::Contender;
use super::{Selection, value};
use crate::args::RecipeArgs;
use crate::data::LabelSet;
use crate::metrics;
use crate::progress::{bar, remark};
use crate::select::cache::Key;
use crate::select::candidates::Request;
use crate::select::halving::{Measured, Plan, order};
use crate::select::summary::{Candidate, Status, Verified};
use training::Tokens;

/// A candidate that is verified.
type Entrant<'c> = (&'c Request, &'c mut Candidate);

/// The verification of a selection.
pub(super) struct Verification<'a> {
    selection: &'a Selection<'a>,
    /// Learning rates that each candidate is tried with, one at least, the highest first.
    rates: Vec<f64>,
    /// By the contents of the tokenizer: candidates of one family share their tokens.
    tokens: RefCell<HashMap<String, Rc<Tokens>>>,
}

impl<'a> Verification<'a> {
    pub(super) fn of(selection: &'a Selection<'a>) -> Self {
        let mut rates = selection.args.rates();
        // Of equal figures the first one's counts. They are equal where nothing has been learned yet, and there the
        // lower rates are those that need more time.
        rates.sort_by(|a, b| b.total_cmp(a));
        Self { selection, rates, tokens: RefCell::default() }
    }

    /// Trains the first candidates in turns, and notes what they reach.
    pub(super) fn run(&self, candidates: &mut [(Request, Candidate)]) -> Result<()> {
        let mut entrants = self.entrants(candidates);
        if entrants.is_empty() || self.selection.data.validation.is_none() {
            return Ok(());
        }
        let cache = self.selection.args.output.join("cache");
        let folder = cache.join(format!("verify-{}", self.key(&entrants)?));
        forget_others(&folder);
        let Some(plan) = self.plan(&folder, &entrants)? else { return Ok(()) };
        let mut contenders = self.contenders(&entrants, &folder, &plan);
        self.race(&plan, &mut contenders)?;
        // The figures stay for the next call; the weights are large.
        contenders.iter().for_each(|contender| contender.forget_weights(None));
        let of_each = contenders.chunks(self.rates.len());
        for ((_, candidate), its) in entrants.iter_mut().zip(of_each) {
            self.note(candidate, its);
        }
        Ok(())
    }

    /// Each candidate with each learning rate.
    fn contenders<'c>(
        &self,
        entrants: &[Entrant<'c>],
        folder: &Path,
        plan: &Plan,
    ) -> Vec<Contender<'c>> {
        let recipe = &self.selection.args.recipe;
        let of_each = entrants.iter().enumerate().flat_map(|(place, (request, candidate))| {
            let entrant = (*request, (place, value(candidate)));
            self.rates.iter().map(move |&learning_rate| {
                (entrant, RecipeArgs { learning_rate, ..recipe.clone() })
            })
        });
        let contender =
            |(place, (entrant, recipe))| Contender::new(entrant, recipe, folder, (plan, place));
        of_each.enumerate().map(contender).collect()
    }

    /// Puts what the contenders of a candidate reached into its row: that of the best rate, then the others.
    fn note(&self, candidate: &mut Candidate, contenders: &[Contender]) {
        for (contender, failure) in contenders.iter().filter_map(|c| Some((c, c.failure()?))) {
            let rate = match self.rates.len() {
                1 => String::new(),
                _ => format!(" at learning rate {:e}", contender.recipe.learning_rate),
            };
            candidate.remarks.push(format!("verification failed{rate}: {failure}"));
        }
        let name = self.selection.data.metric(self.selection.args);
        let figure = |verified: &Verified| metrics::rank(name, verified.metric);
        let mut reached: Vec<Verified> =
            contenders.iter().filter_map(Contender::verified).collect();
        let further = |a: &Verified, b: &Verified| b.rungs.len().cmp(&a.rungs.len());
        reached.sort_by(|a, b| further(a, b).then(figure(b).total_cmp(&figure(a))));
        let mut reached = reached.into_iter();
        if let Some(best) = reached.next() {
            candidate.status = Status::Verified;
            candidate.verified = Some(best);
            candidate.other_rates = reached.collect();
        }
    }

    /// The first K scored candidates, and a truncation of the first that was offered besides.
    fn entrants<'c>(&self, candidates: &'c mut [(Request, Candidate)]) -> Vec<Entrant<'c>> {
        let wanted = self.selection.args.verify;
        let mut entrants: Vec<Entrant> = Vec::new();
        let scored = candidates.iter_mut().filter(|(_, c)| c.status == Status::Scored);
        for (request, candidate) in scored {
            let is_offered = !self.selection.typed.contains(request);
            if entrants.len() < wanted || (is_offered && wanted > 0) {
                entrants.push((request, candidate));
            }
        }
        entrants
    }

    /// A hash of what the figures depend on: the task, the settings, the data, the models.
    fn key(&self, entrants: &[Entrant]) -> Result<String> {
        let (args, data) = (self.selection.args, self.selection.data);
        let task = &data.schema.task;
        let names = task.label_set().map(LabelSet::names);
        let task = format!("{} {names:?} {:?}", task.name(), args.data.max_length);
        let settings =
            format!("{:?} {:?} {:?} {:?}", args.recipe, self.rates, args.lora, args.budget);
        let mut key = Key::default().with(task.as_bytes()).with(settings.as_bytes());
        for data in [Some(&data.train), data.validation.as_ref()].into_iter().flatten() {
            let add = |key: Key, example| key.with(format!("{example:?}").as_bytes());
            key = data.examples.iter().fold(key, add);
            key = key.with(format!("{:?}", data.labels).as_bytes());
        }
        for (request, _) in entrants {
            key = key.with_model(&request.folder()?)?;
            key = key.with(format!("{:?}", request.truncate).as_bytes());
        }
        Ok(key.digits())
    }

    /// All rungs, as long as there is time; in each, those that are left of the rung before.
    fn race(&self, plan: &Plan, contenders: &mut [Contender]) -> Result<()> {
        let quiet = self.selection.args.machine.quiet;
        let bar = bar(plan.all_steps(), quiet);
        let mut left: Vec<usize> = (0..contenders.len()).collect();
        for (rung, &(count, _)) in plan.rungs.iter().enumerate() {
            if rung > 0 && self.selection.time_left() <= 0.0 {
                let line = "the time of --budget is over: the race ends with rung";
                remark(quiet, &format!("{line} {rung}"));
                break;
            }
            left = self.survivors(left, contenders, rung);
            left.truncate(count);
            bar.set_prefix(format!("rung {}/{}", rung + 1, plan.rungs.len()));
            for &i in &left {
                let contender = &mut contenders[i];
                if !contender.has_run(rung) {
                    self.train(contender, rung, &bar)?;
                }
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Of those that are left, the ones that did not fail in the rung before, the best in it first.
    fn survivors(&self, mut left: Vec<usize>, contenders: &[Contender], rung: usize) -> Vec<usize> {
        let metric = self.selection.data.metric(self.selection.args);
        left.retain(|&i| !contenders[i].has_failed(rung));
        let measured: Vec<Measured> =
            left.iter().map(|&i| contenders[i].measured(rung, metric)).collect();
        order(&measured).into_iter().map(|place| left[place]).collect()
    }
}

/// Removes the weights that verifications of other settings left when they were broken off; their figures stay. The
/// lock of the selection says that none of them is running.
fn forget_others(own: &Path) {
    let Some(cache) = own.parent() else { return };
    let is_number = |name: &str| name.parse::<u64>().is_ok();
    for verification in folders(cache, |name| name.starts_with("verify-")) {
        if verification == own {
            continue;
        }
        for contender in folders(&verification, is_number) {
            for weights in folders(&contender, is_number) {
                drop(fs::remove_dir_all(weights));
            }
        }
    }
}

/// The folders with such names in a folder, without links to some; none where it can't be read.
fn folders(parent: &Path, is_one: fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let is_folder = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let is_wanted = |entry: &DirEntry| entry.file_name().to_str().is_some_and(is_one);
    let wanted = entries.filter(|entry| is_folder(entry) && is_wanted(entry));
    wanted.map(|entry| entry.path()).collect()
}
