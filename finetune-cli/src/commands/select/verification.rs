//! The best candidates, fine-tuned for a while: [successive halving](crate::select::halving) on disk.
//!
//! ```text
//! OUTPUT/cache/verify-KEY/plan.json            who trains how far
//! OUTPUT/cache/verify-KEY/I/rungs.json         what candidate I reached
//! OUTPUT/cache/verify-KEY/I/STEP/model.safetensors, optimizer.safetensors    where it goes on
//! OUTPUT/cache/verify-KEY/I/STEP/adapter/, optimizer.safetensors             the same with LoRA
//! ```
//!
//! One candidate is in memory at a time. The weights are removed at the end, or by the next verification of other
//! settings; the figures stay. Weights and moments of a rung have a folder of their own, so that a call that is broken
//! off never leaves those of two rungs together.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, DirEntry};
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bert::{Adapter, Checkpoint};
use indicatif::ProgressBar;

use super::Selection;
use super::contender::Contender;
use crate::batches::Examples;
use crate::classifier::Classifier;
use crate::data::{Dataset, LabelSet, Task};
use crate::folder::Folder;
use crate::predictions::standard_error;
use crate::progress::{bar, remark};
use crate::select::cache::{Key, write_whole};
use crate::select::candidates::Request;
use crate::select::halving::{Limits, Measured, Plan, order};
use crate::select::score;
use crate::select::summary::{Candidate, Cost, Rung, Status};
use crate::trainer::{self, Trainer};

/// Seconds of opening and saving a model, per byte of its weights: of a disk of 400 MB/s, moments included.
const SECONDS_PER_BYTE: f64 = 3.0 / 4e8;

/// Training and validation rows as one tokenizer has them.
type Encoded = Rc<(Examples, Examples)>;

/// A model, and what is trained of it with LoRA.
type Model = (Classifier, Option<Adapter>);

/// The verification of a selection.
pub(super) struct Verification<'a> {
    selection: &'a Selection<'a>,
    /// By the contents of the tokenizer: candidates of one family share their tokens.
    encoded: RefCell<HashMap<String, Encoded>>,
}

impl<'a> Verification<'a> {
    pub(super) fn of(selection: &'a Selection<'a>) -> Self {
        Self { selection, encoded: RefCell::default() }
    }

    /// Trains the first candidates in turns, and notes what they reach.
    pub(super) fn run(&self, candidates: &mut [(Request, Candidate)]) -> Result<()> {
        let chosen = self.chosen(candidates);
        if chosen.is_empty() || self.selection.data.validation.is_none() {
            return Ok(());
        }
        let key = self.key(candidates, &chosen)?;
        let folder = self.selection.args.output.join("cache").join(format!("verify-{key}"));
        let costs: Vec<Cost> = chosen.iter().map(|&i| cost(&candidates[i].1)).collect();
        let requests: Vec<&Request> = chosen.iter().map(|&i| &candidates[i].0).collect();
        forget_others(&folder);
        let Some(plan) = self.plan(&folder, &requests, &costs)? else { return Ok(()) };
        let mut contenders = Vec::new();
        for (i, (request, candidate)) in candidates.iter_mut().enumerate() {
            if let Some(place) = chosen.iter().position(|&c| c == i) {
                let folder = folder.join(place.to_string());
                let place = (&plan, place);
                contenders.push(Contender::new(request.clone(), candidate, folder, place));
            }
        }
        self.race(&plan, &mut contenders)?;
        // The figures stay for the next call; the weights are large.
        contenders.iter().for_each(|contender| contender.forget_weights(None));
        Ok(())
    }

    /// The first K scored candidates, and a truncation of the first that was offered besides.
    fn chosen(&self, candidates: &[(Request, Candidate)]) -> Vec<usize> {
        let wanted = self.selection.args.verify;
        let usable = |i: &usize| candidates[*i].1.status == Status::Scored;
        let mut chosen: Vec<usize> = (0..candidates.len()).filter(usable).take(wanted).collect();
        let typed = |request: &Request| self.selection.typed.contains(request);
        let offered = (0..candidates.len()).find(|&i| !typed(&candidates[i].0));
        if let Some(offered) = offered.filter(|i| usable(i) && wanted > 0 && !chosen.contains(i)) {
            chosen.push(offered);
        }
        chosen
    }

    /// What the verification depends on.
    fn key(&self, candidates: &[(Request, Candidate)], chosen: &[usize]) -> Result<String> {
        let args = self.selection.args;
        let task = &self.selection.data.schema.task;
        let names = task.label_set().map(LabelSet::names);
        let task = format!("{} {names:?} {:?}", task.name(), args.data.max_length);
        let (recipe, lora) = (&args.recipe, &args.lora);
        let settings = format!("{recipe:?} {lora:?} {:?} {}", args.budget, self.rows());
        let mut key = Key::default().with(task.as_bytes()).with(settings.as_bytes());
        for data in [Some(&self.selection.data.train), self.selection.data.validation.as_ref()] {
            let examples = data.iter().flat_map(|data| &data.examples);
            key = examples.fold(key, |key, e| key.with(format!("{e:?}").as_bytes()));
            key = key.with(format!("{:?}", data.map(|data| &data.labels)).as_bytes());
        }
        for &i in chosen {
            let request = &candidates[i].0;
            key = key.with_model(&request.folder()?)?;
            key = key.with(format!("{:?}", request.truncate).as_bytes());
        }
        Ok(key.digits())
    }

    fn rows(&self) -> usize {
        self.selection.data.train.len()
    }

    /// The plan of an earlier call, or a new one; none if the time is too short, which is said.
    fn plan(&self, folder: &Path, requests: &[&Request], costs: &[Cost]) -> Result<Option<Plan>> {
        let path = folder.join("plan.json");
        let plan = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(plan) = plan.filter(|plan: &Plan| plan.is_for(costs.len())) {
            return Ok(Some(plan));
        }
        let recipes: Vec<u64> = requests.iter().map(|request| self.recipe_steps(request)).collect();
        match Plan::new(&recipes, self.limits(costs)) {
            Ok(plan) => {
                fs::create_dir_all(folder)
                    .with_context(|| format!("{}: can't be written", folder.display()))?;
                write_whole(&path, &serde_json::to_vec(&plan)?)?;
                Ok(Some(plan))
            }
            Err(needed) => {
                self.too_short(&recipes, costs, needed);
                Ok(None)
            }
        }
    }

    /// Steps of the whole recipe, as `train` has them for this candidate.
    fn recipe_steps(&self, request: &Request) -> u64 {
        let selection = self.selection;
        let (task, recipe) = (&selection.data.schema.task, &selection.args.recipe);
        let rows = || -> Result<usize> {
            let folder = score::open(request, task, &selection.device)?;
            Ok(self.encoded(&folder)?.0.len())
        };
        let rows = match task {
            // Sentences that are too long are several rows. What can't be opened fails in its turn.
            Task::Tags(_) => rows().unwrap_or(self.rows()),
            _ => self.rows(),
        };
        trainer::steps_per_epoch(rows, recipe) * u64::from(recipe.epochs)
    }

    /// Says what would fit.
    fn too_short(&self, recipes: &[u64], costs: &[Cost], needed: f64) {
        let args = self.selection.args;
        let (left, spent) = (self.selection.time_left(), self.selection.start.elapsed());
        let fits = |&n: &usize| Plan::new(&recipes[..n], self.limits(&costs[..n])).is_ok();
        let fits = (1..costs.len()).rev().find(fits);
        let fewer = fits.map_or(String::new(), |n| format!(", or --verify {n}"));
        let budget = (spent.as_secs_f64() + needed).ceil();
        remark(
            args.machine.quiet,
            &format!(
                "not verified: {:.0} s of the budget are left, {} candidates take at least \
                 {needed:.0} s; give --budget {budget:.0}s{fewer}",
                left.max(0.0),
                costs.len()
            ),
        );
    }

    fn limits(&self, costs: &[Cost]) -> Limits {
        let (recipe, data) = (&self.selection.args.recipe, self.selection.data);
        let most = |f: &dyn Fn(&Cost) -> f64| costs.iter().map(f).fold(0.0, f64::max);
        let examples = self.rows() as f64 * f64::from(recipe.epochs);
        let whole = |cost: &Cost| cost.seconds_per_example.unwrap_or(0.0) * examples;
        // A forward pass is a third of a training step, half of one with adapters, and all of one on a frozen encoder.
        let adapted = self.selection.args.lora.lora_r.is_some();
        let forward = match (adapted, recipe.freeze_encoder) {
            (true, _) => 1.0 / 2.0,
            (false, true) => 1.0,
            (false, false) => 1.0 / 3.0,
        };
        let rung = |cost: &Cost| {
            cost.seconds_per_example.unwrap_or(0.0) * forward * data.validation_rows() as f64
                + cost.parameters as f64 * 4.0 * SECONDS_PER_BYTE
        };
        Limits {
            recipe_seconds: most(&whole),
            rung_seconds: most(&rung),
            seconds: self.selection.time_left(),
        }
    }

    /// All rungs; in each, those that are left.
    fn race(&self, plan: &Plan, contenders: &mut [Contender]) -> Result<()> {
        let bar = bar(plan.all_steps(), self.selection.args.machine.quiet);
        let metric = self.selection.data.metric(self.selection.args);
        let mut left: Vec<usize> = (0..contenders.len()).collect();
        for (rung, &(count, _)) in plan.rungs.iter().enumerate() {
            if rung > 0 && self.selection.time_left() <= 0.0 {
                let line = "the time of --budget is over: the race ends with rung";
                remark(self.selection.args.machine.quiet, &format!("{line} {rung}"));
                break;
            }
            left.retain(|&i| {
                contenders[i].before(rung).is_none_or(|before| before.metric.is_some())
            });
            let measured: Vec<Measured> =
                left.iter().map(|&i| contenders[i].measured(rung, metric)).collect();
            left = order(&measured).into_iter().map(|place| left[place]).collect();
            left.truncate(count);
            bar.set_prefix(format!("rung {}/{}", rung + 1, plan.rungs.len()));
            for &i in &left {
                if contenders[i].rungs.len() <= rung {
                    let steps = contenders[i].step(rung);
                    self.train(&mut contenders[i], steps, &bar)?;
                }
                contenders[i].note();
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// One candidate, up to a step. What goes wrong stands in its row.
    fn train(&self, contender: &mut Contender, steps: u64, bar: &ProgressBar) -> Result<()> {
        bar.set_message(contender.request.name.clone());
        let folder = &contender.folder;
        fs::create_dir_all(folder)
            .with_context(|| format!("{}: can't be written", folder.display()))?;
        let rung = self.advance(contender, steps, bar);
        tensor::pool::clear();
        match rung {
            Ok(rung) => {
                contender.rungs.push(rung);
                let text = serde_json::to_vec(&contender.rungs)?;
                write_whole(&contender.folder.join("rungs.json"), &text)?;
                contender.forget_weights(Some(steps));
                Ok(())
            }
            Err(error) => {
                contender.candidate.remarks.push(format!("verification failed: {error:#}"));
                contender.rungs.push(Rung {
                    steps,
                    metric: None,
                    standard_error: None,
                    loss: None,
                    seconds: 0.0,
                });
                Ok(())
            }
        }
    }

    /// The rung that a contender reaches by training on to a step.
    fn advance(&self, contender: &Contender, steps: u64, bar: &ProgressBar) -> Result<Rung> {
        let task = &self.selection.data.schema.task;
        let folder = score::open(&contender.request, task, &self.selection.device)?;
        let encoded = self.encoded(&folder)?;
        let ((model, adapter), before) = self.model(contender, &folder)?;
        let recipe = &self.selection.args.recipe;
        let mut trainer = Trainer::with_steps(&model, recipe, contender.last_step());
        if let Some(before) = before {
            trainer.resume(&optim::State::load(&contender.moments(before.steps))?)?;
        }
        let seconds = train_to(&mut trainer, steps, &encoded.0, bar)?;
        if steps < contender.last_step() {
            contender.keep(steps, &folder, (&model, adapter.as_ref()), &mut trainer)?;
        }
        let seconds = seconds + before.map_or(0.0, |rung| rung.seconds);
        self.measure(&model.merged()?, &encoded.1, steps, seconds)
    }

    /// What a model does on the validation data after so many steps, which took so many seconds.
    fn measure(
        &self,
        model: &Classifier,
        validation: &Examples,
        steps: u64,
        seconds: f64,
    ) -> Result<Rung> {
        let (args, data) = (self.selection.args, self.selection.data);
        let (recipe, task) = (&args.recipe, &data.schema.task);
        let (size, precision) = (recipe.eval_batch_size, recipe.optimization.precision.into());
        let result = trainer::evaluate(model, task, validation, size, precision)?;
        let name = data.metric(args);
        let finite = |figure: Option<f64>| figure.filter(|figure| figure.is_finite());
        let metric = finite(result.figure(name));
        ensure!(metric.is_some(), "{name} has no value on the validation data after {steps} steps");
        let error = standard_error(task, &result.predictions, &result.labels, name);
        let loss = finite(result.loss);
        Ok(Rung { steps, metric, standard_error: finite(error), loss, seconds })
    }

    /// The model as the last rung left it, with that rung; or as the candidate is, if no rung or its weights are there.
    fn model(&self, contender: &Contender, folder: &Folder) -> Result<(Model, Option<Rung>)> {
        let (args, task) = (self.selection.args, &self.selection.data.schema.task);
        let kept = |rung: &Rung| contender.moments(rung.steps).is_file();
        let rung = contender.rungs.last().copied().filter(kept);
        let adaptation = args.lora.adaptation(&folder.config).context("LoRA")?;
        let Some(rung) = rung.filter(|_| adaptation.is_none()) else {
            let seed = args.recipe.optimization.seed;
            let (mut model, _) = folder.classifier(task, seed)?;
            let adapter = adaptation.map(|a| model.adapt(a, None, seed)).transpose()?;
            if let (Some(rung), Some(adapter)) = (rung, &adapter) {
                adapter.load(&contender.adapter(rung.steps))?;
            }
            return Ok(((model, adapter), rung));
        };
        let mut checkpoint =
            Checkpoint::open(&contender.weights(rung.steps), &folder.config.family)?;
        let loaded = folder.load(&mut checkpoint, task, 0)?;
        ensure!(loaded.1.missing.is_empty(), "the weights of the last rung are not whole");
        Ok(((loaded.0, None), Some(rung)))
    }

    /// Tokens of all data, shared by candidates with one tokenizer.
    fn encoded(&self, folder: &Folder) -> Result<Encoded> {
        let (args, data) = (self.selection.args, self.selection.data);
        let length = folder.max_length(args.data.max_length);
        let key = Key::default().with_tokenizer(&folder.path)?.with(&length.to_le_bytes()).digits();
        if let Some(encoded) = self.encoded.borrow().get(&key) {
            return Ok(encoded.clone());
        }
        let examples = |data: &Dataset| -> Result<Examples> {
            let task = &self.selection.data.schema.task;
            folder.examples(task, &data.examples, data.labels.clone(), length)
        };
        let validation = data.validation.as_ref().context("verification needs validation data")?;
        let encoded = Rc::new((examples(&data.train)?, examples(validation)?));
        self.encoded.borrow_mut().insert(key, encoded.clone());
        Ok(encoded)
    }
}

/// Removes the weights that verifications of other settings left when they were broken off; their figures stay. The
/// lock of the selection says that none of them is running.
fn forget_others(folder: &Path) {
    let folders = |path: &Path, is_one: fn(&str) -> bool| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let wanted = move |entry: &DirEntry| {
            entry.file_type().is_ok_and(|kind| kind.is_dir())
                && entry.file_name().to_str().is_some_and(is_one)
        };
        entries.filter(wanted).map(|entry| entry.path())
    };
    let is_number = |name: &str| name.parse::<u64>().is_ok();
    let cache = folder.parent().into_iter();
    let all = cache.flat_map(|cache| folders(cache, |name| name.starts_with("verify-")));
    let others = all.filter(|other| other != folder);
    let candidates = others.flat_map(|other| folders(&other, is_number));
    let weights = candidates.flat_map(|candidate| folders(&candidate, is_number));
    weights.for_each(|weights| drop(fs::remove_dir_all(weights)));
}

/// Trains on to a step, and gives the seconds that took.
fn train_to(
    trainer: &mut Trainer,
    steps: u64,
    examples: &Examples,
    bar: &ProgressBar,
) -> Result<f64> {
    let start = Instant::now();
    trainer.train_to(steps, examples, &mut |_| {
        bar.inc(1);
        Ok(())
    })?;
    Ok(start.elapsed().as_secs_f64())
}

/// The cost of a scored candidate.
fn cost(candidate: &Candidate) -> Cost {
    candidate.evidence.as_ref().expect("scored candidates have evidence").cost
}
