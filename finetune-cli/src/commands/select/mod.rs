//! `finetune select`: score every candidate, verify the best, say which to train.
//!
//! Candidates stream: one is in memory at a time, and what is known of it is on disk before the next is opened.

pub(super) mod command;
mod contender;
mod remarks;
mod table;
mod verification;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;

use super::best::best_metric;
use super::inputs::Inputs;
use super::train::{self, check_metric};
use crate::args::select::SelectArgs;
use crate::args::{TrainArgs, wrong_flags};
use crate::data::{Dataset, Labels, Schema, split};
use crate::optimization::check_flags;
use crate::progress::{self, bar, remark, say};
use crate::select::cache::{Cache, write_whole};
use crate::select::candidates::{Request, requests};
use crate::select::estimators;
use crate::select::fusion::Fusion;
use crate::select::points::Points;
use crate::select::score::{Outcome, Scorer};
use crate::select::summary::{Candidate, Evidence, Status, Summary, TaskSummary, Timing};
use crate::select::{halving, report};
use crate::{loss, memory};
use command::train_args;
use contender::measured;
use tensor::Device;
use verification::Verification;

/// Folds of the sample: five leave enough rows out to be told apart, and enough in to learn from.
const FOLDS: usize = 5;
/// The layout of `select.json`.
const VERSION: u32 = 1;

/// Runs the whole selection.
pub(super) fn run(args: &SelectArgs) -> Result<()> {
    check(args)?;
    let requests = requests(&args.models, args.models_file.as_deref())?;
    let device = args.machine.open_device()?;
    let data = Data::read(args)?;
    let output = Output::open(&args.output)?;
    let (start, typed) = (Instant::now(), requests.clone());
    let selection = Selection { args, data: &data, cache: &output.cache, typed, start, device };
    let mut candidates = selection.score_all(requests);
    selection.fuse(&mut candidates);
    selection.offer_truncation(&mut candidates);
    let scoring_seconds = selection.start.elapsed().as_secs_f64();
    Verification::of(&selection).run(&mut candidates)?;
    let candidates = rank(candidates, data.metric(args));
    let verification_seconds = selection.start.elapsed().as_secs_f64() - scoring_seconds;
    let timing = Timing { scoring_seconds, verification_seconds };
    let next = train_args(args, &candidates)?;
    let summary = selection.summary(candidates, next.as_ref(), timing)?;
    output.write(&summary)?;
    show(args, &summary)?;
    match next {
        Some(next) if args.train_best => train::run(&next),
        None => bail!("no candidate could be scored; the table says why"),
        _ => Ok(()),
    }
}

/// What is wrong with the flags before any file is read.
fn check(args: &SelectArgs) -> Result<()> {
    if args.verify > 0 && args.validation.is_none() && args.validation_fraction == 0.0 {
        return Err(wrong_flags(
            "--verify needs validation data; give --validation, or a --validation-fraction above \
             0, or --verify 0",
        ));
    }
    if args.verify == 0 && args.learning_rates.is_some() {
        return Err(wrong_flags(
            "--learning-rates are compared by fine-tuning, which --verify 0 leaves out; give \
             --learning-rate",
        ));
    }
    for rate in args.rates() {
        check_flags(&args.recipe.optimization, rate)?;
    }
    // The training that this leads to: whether it can be written down, and whether there is a place for it.
    let next = command::base(args, Path::new("model"));
    command::line(&next)?;
    train::check_lora(&next)?;
    if args.train_best { train::check(&next) } else { Ok(()) }
}

/// The data of a selection.
struct Data {
    schema: Schema,
    train: Dataset,
    validation: Option<Dataset>,
    /// The rows of the training data that are scored.
    sample: Dataset,
    /// What of them the estimators see.
    points: Points,
}

impl Data {
    fn read(args: &SelectArgs) -> Result<Self> {
        let base = command::base(args, Path::new(""));
        let (schema, [train, validation, _]) = train::read(&base, &Inputs::of(&base)?)?;
        let train = train.context("there is always training data")?;
        if train.labels == Labels::Absent {
            bail!("{}: no labels; a selection needs them", args.train.display());
        }
        check_metric(&args.recipe, &schema.task)?;
        loss::check_flags(&args.recipe.loss, &schema.task)?;
        train::introduce(args.machine.quiet, &schema, &train);
        let seed = args.recipe.optimization.seed;
        // The rows that are scored, each class with its share.
        let sample = train.clone().divide(&split::sample(&train.labels, args.sample, seed)).1;
        let folds = estimators::folds(&sample.labels, FOLDS, seed);
        let points = Points::new(&sample.labels, &folds, args.sample, seed);
        if let Some(line) = remarks::small_classes(&points.labels, &schema.task) {
            remark(args.machine.quiet, &line);
        }
        Ok(Self { schema, train, validation, sample, points })
    }

    fn metric<'a>(&self, args: &'a SelectArgs) -> &'a str {
        best_metric(&args.recipe, &self.schema.task)
    }

    fn validation_rows(&self) -> usize {
        self.validation.as_ref().map_or(0, Dataset::len)
    }
}

/// The output folder.
struct Output {
    folder: std::path::PathBuf,
    cache: Cache,
    /// Held as long as the selection runs.
    _lock: std::fs::File,
}

impl Output {
    fn open(folder: &Path) -> Result<Self> {
        let cache = Cache::open(folder.join("cache"))?;
        let path = folder.join("cache/lock");
        let lock = std::fs::File::create(&path);
        let lock = lock.with_context(|| format!("{}: can't be written", path.display()))?;
        if let Err(std::fs::TryLockError::WouldBlock) = lock.try_lock() {
            bail!(
                "{}: another selection is running there; give another --output",
                folder.display()
            );
        }
        Ok(Self { folder: folder.to_owned(), cache, _lock: lock })
    }

    fn write(&self, summary: &Summary) -> Result<()> {
        let json = serde_json::to_string_pretty(summary)? + "\n";
        write_whole(&self.folder.join("select.json"), json.as_bytes())?;
        write_whole(&self.folder.join("report.html"), report::html(summary).as_bytes())
    }
}

/// A selection under way.
struct Selection<'a> {
    args: &'a SelectArgs,
    data: &'a Data,
    cache: &'a Cache,
    /// The candidates that were asked for.
    typed: Vec<Request>,
    start: Instant,
    /// Where models run.
    device: Device,
}

impl Selection<'_> {
    /// Bytes that are free where models run.
    fn available_memory(&self) -> Option<u64> {
        match &self.device {
            Device::Cpu => memory::available(),
            Device::Cuda(gpu) => gpu.memory().ok().map(|(free, _)| free as u64),
        }
    }

    fn scorer(&self) -> Scorer<'_> {
        let (args, data) = (self.args, self.data);
        Scorer {
            task: &data.schema.task,
            texts: &data.sample.examples,
            labels: &data.sample.labels,
            points: &data.points,
            fold_count: FOLDS,
            metric: data.metric(args),
            recipe: &args.recipe,
            lora: &args.lora,
            device: &self.device,
            max_length: args.data.max_length,
            rows: [data.train.len(), data.validation_rows()],
            max_memory: args.max_memory.or_else(|| self.available_memory()).unwrap_or(u64::MAX),
            cache: self.cache,
        }
    }

    /// Seconds of the budget that are left.
    fn time_left(&self) -> f64 {
        self.args.budget.as_secs_f64() - self.start.elapsed().as_secs_f64()
    }

    /// One candidate after the other; what is wrong with one stands in its row.
    fn score_all(&self, requests: Vec<Request>) -> Vec<(Request, Candidate)> {
        let bar = bar(requests.len() as u64, self.args.machine.quiet);
        bar.set_prefix("scoring");
        let score = |request: Request| {
            let candidate = self.score(&request, &bar);
            bar.inc(1);
            (request, candidate)
        };
        let candidates: Vec<_> = requests.into_iter().map(score).collect();
        bar.finish_and_clear();
        candidates
    }

    fn score(&self, request: &Request, bar: &ProgressBar) -> Candidate {
        bar.set_message(request.name.clone());
        let mut candidate = Candidate {
            name: request.name.clone(),
            path: request
                .folder()
                .map_or_else(|_| request.model.clone(), |p| p.display().to_string()),
            truncate: request.truncate,
            status: Status::Skipped,
            score: None,
            verified: None,
            other_rates: Vec::new(),
            evidence: None,
            remarks: Vec::new(),
        };
        let outcome = match self.time_left() > 0.0 {
            true => self.scorer().score(request),
            false => Ok(Outcome::Skipped("not run: the time of --budget was over".to_owned())),
        };
        tensor::pool::clear();
        match outcome {
            Ok(Outcome::Scored(evidence)) => {
                candidate.status = Status::Scored;
                candidate.remarks = remarks::of_candidate(request, &evidence, self);
                candidate.evidence = Some(*evidence);
            }
            Ok(Outcome::Skipped(why)) => candidate.remarks.push(why),
            Err(error) => {
                candidate.status = Status::Failed;
                candidate.remarks.push(format!("{error:#}").replace(['\n', '\r'], " "));
            }
        }
        candidate
    }

    /// Gives every scored candidate its score, and puts the best first.
    fn fuse(&self, candidates: &mut [(Request, Candidate)]) {
        let scored = |(_, c): &&mut (Request, Candidate)| c.evidence.is_some();
        let mut scored: Vec<_> = candidates.iter_mut().filter(scored).collect();
        let evidence: Vec<&Evidence> =
            scored.iter().filter_map(|(_, c)| c.evidence.as_ref()).collect();
        let scores = Fusion::new(&evidence, self.args.recipe.optimization.seed).scores();
        scored.iter_mut().zip(scores).for_each(|((_, c), score)| c.score = Some(score));
        candidates.sort_by(|(_, a), (_, b)| value(b).total_cmp(&value(a)));
    }

    /// Where a middle layer of the first candidate scores best, its lower layers become a candidate.
    fn offer_truncation(&self, candidates: &mut Vec<(Request, Candidate)>) {
        let Some((first, candidate)) = candidates.first() else { return };
        let Some(evidence) = candidate.evidence.as_ref().filter(|_| !self.args.no_truncate) else {
            return;
        };
        let middle = |&layer: &usize| layer > 0 && layer < evidence.cost.layers;
        let Some(layer) = evidence.best_layer.layer.filter(middle) else { return };
        let request = first.truncated(layer);
        let known = candidates.iter().any(|(other, _)| other.meaning() == request.meaning());
        if !known && self.time_left() > 0.0 {
            candidates.extend(self.score_all(vec![request]));
            self.fuse(candidates);
        }
    }

    fn summary(
        &self,
        candidates: Vec<(Request, Candidate)>,
        next: Option<&TrainArgs>,
        timing: Timing,
    ) -> Result<Summary> {
        let (args, data) = (self.args, self.data);
        let task = &data.schema.task;
        let longest = args.data.max_length.unwrap_or(crate::folder::DEFAULT_LENGTH);
        Ok(Summary {
            version: VERSION,
            task: TaskSummary {
                train: args.train.display().to_string(),
                problem_type: task.name().to_owned(),
                labels: task.label_set().map_or(Vec::new(), |set| set.names().to_vec()),
                metric: data.metric(args).to_owned(),
                train_rows: data.train.len(),
                validation_rows: data.validation_rows(),
                sampled_rows: data.sample.len(),
                sampled_words: data.points.words.as_ref().map(|_| data.points.len()),
                epochs: args.recipe.epochs,
                batch_size: args.recipe.rows_per_step(),
                learning_rates: args.rates(),
                max_length: longest,
                lora_rank: args.lora.lora_r,
                remarks: remarks::of_sample(data).into_iter().collect(),
            },
            candidates: candidates.into_iter().map(|(_, candidate)| candidate).collect(),
            command: next.map(command::line).transpose()?,
            timing,
        })
    }
}

/// The estimate; below all others where there is none.
fn value(candidate: &Candidate) -> f64 {
    candidate.score.map_or(f64::NEG_INFINITY, |score| score.value)
}

/// The final ranking: who trained furthest and measured best, then the estimates, then the rest.
fn rank(mut candidates: Vec<(Request, Candidate)>, metric: &str) -> Vec<(Request, Candidate)> {
    let rung = |c: &Candidate| c.verified.as_ref().and_then(|v| v.rungs.last().copied());
    let rungs = |c: &Candidate| c.verified.as_ref().map_or(0, |v| v.rungs.len());
    candidates.sort_by(|(_, a), (_, b)| {
        let skipped = |c: &Candidate| c.status == Status::Skipped;
        let estimates = value(b).total_cmp(&value(a));
        rungs(b).cmp(&rungs(a)).then(estimates).then(skipped(b).cmp(&skipped(a)))
    });
    let mut places = Vec::new();
    let alike = |(_, a): &(Request, Candidate), (_, b): &(Request, Candidate)| rungs(a) == rungs(b);
    for group in candidates.chunk_by(alike) {
        let measured: Option<Vec<_>> = group
            .iter()
            .enumerate()
            .map(|(i, (_, c))| Some(measured((i, value(c)), &rung(c)?, metric)))
            .collect();
        let first = places.len();
        let within = measured.map_or((0..group.len()).collect(), |all| halving::order(&all));
        places.extend(within.into_iter().map(|place| first + place));
    }
    let mut left: Vec<Option<_>> = candidates.into_iter().map(Some).collect();
    places.into_iter().filter_map(|place| left[place].take()).collect()
}

fn show(args: &SelectArgs, summary: &Summary) -> Result<()> {
    if args.json {
        return Ok(say(serde_json::to_string_pretty(summary)?)?);
    }
    progress::report(table::text(summary));
    progress::report(format_args!("report: {}", args.output.join("report.html").display()));
    if let Some(command) = &summary.command {
        progress::report(format_args!("\nnext:\n{command}"));
    }
    Ok(())
}
