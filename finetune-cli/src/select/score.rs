//! One candidate on its way from a folder to evidence: one forward pass over the sample, estimates of every layer,
//! a few training steps. Nothing of it stays in memory but the evidence.

use anyhow::{Context, Result};
use bert::LoadReport;
use rayon::prelude::*;

use crate::args::RecipeArgs;
use crate::args::lora::LoraArgs;
use crate::batches::Examples;
use crate::classifier::Classifier;
use crate::data::{Example, LabelSet, Labels, Task};
use crate::folder::Folder;
use crate::memory::human;
use crate::select::cache::{Cache, Key};
use crate::select::candidates::Request;
use crate::select::cost::{self, Work};
use crate::select::estimators::{self, Sample};
use crate::select::fusion::ROLES;
use crate::select::points::Points;
use crate::select::states::{POOLINGS, States};
use crate::select::summary::{Estimated, Evidence, Fit, LayerProfile, Place, Unused};
use crate::select::{fit, objective, perplexity};
use crate::trainer;
use tensor::Device;

/// Scores candidates by what is the same for all of them.
pub struct Scorer<'a> {
    /// The task.
    pub task: &'a Task,
    /// The texts of the sample.
    pub texts: &'a [Example],
    /// Their labels.
    pub labels: &'a Labels,
    /// What of them the estimators see.
    pub points: &'a Points,
    /// K.
    pub fold_count: usize,
    /// The name of the figure that counts.
    pub metric: &'a str,
    /// How candidates would be trained.
    pub recipe: &'a RecipeArgs,
    /// Whether adapters are trained, and which.
    pub lora: &'a LoraArgs,
    /// The length as typed.
    pub max_length: Option<usize>,
    /// Where models run.
    pub device: &'a Device,
    /// Rows to train on, and rows of validation.
    pub rows: [usize; 2],
    /// Bytes that training may take.
    pub max_memory: u64,
    /// Where intermediate results are.
    pub cache: &'a Cache,
}

/// What came out.
pub enum Outcome {
    /// It was measured.
    Scored(Box<Evidence>),
    /// It was not, for this reason.
    Skipped(String),
}

impl Scorer<'_> {
    /// Measures a candidate, or takes what an earlier call measured of the same contents.
    ///
    /// # Errors
    /// When the folder is not one of an encoder, or is damaged.
    pub fn score(&self, request: &Request) -> Result<Outcome> {
        let folder = open(request, self.task, self.device)?;
        let adaptation = self.lora.adaptation(&folder.config).context("LoRA")?;
        let adapters = adaptation.as_ref().map(|a| a.parameters(&folder.config));
        let estimate = cost::memory_estimate(
            &folder.config,
            self.task,
            self.recipe,
            adapters,
            folder.max_length(self.max_length),
        );
        if estimate > self.max_memory {
            let (needed, limit) = (human(estimate), human(self.max_memory));
            return Ok(Outcome::Skipped(format!(
                "training takes about {needed} of memory, over the limit of {limit}"
            )));
        }
        // From here to the key the weights are not touched.
        let (sample, fit) = self.tokenize(&folder)?;
        if fit.unknown_rate > fit::TOO_MANY_UNKNOWN {
            return Ok(Outcome::Skipped(format!(
                "{:.0} % of the tokens are unknown to it: its vocabulary is for other text",
                100.0 * fit.unknown_rate
            )));
        }
        let key = self.states_key(request, &folder)?;
        let evidence_key = self.evidence_key(key.clone());
        if let Some(evidence) = self.cache.evidence(&evidence_key) {
            return Ok(Outcome::Scored(Box::new(evidence)));
        }
        let evidence = self.evidence(&folder, &sample, fit, &key)?;
        // What can't be kept, on a full disk say, is measured again next time.
        let _ = self.cache.keep_evidence(&evidence_key, &evidence);
        Ok(Outcome::Scored(Box::new(evidence)))
    }

    /// The sample as the tokenizer has it, and how the two fit.
    fn tokenize(&self, folder: &Folder) -> Result<(Examples, Fit)> {
        let (length, labels) = (folder.max_length(self.max_length), self.labels.clone());
        let examples = folder.examples(self.task, self.texts, labels, length)?;
        let fit = fit::measure(&folder.tokenizer, self.texts, &examples.encodings)?;
        Ok((examples, fit))
    }

    fn evidence(
        &self,
        folder: &Folder,
        sample: &Examples,
        mut fit: Fit,
        key: &Key,
    ) -> Result<Evidence> {
        let mut objective = objective::read(&folder.path, &folder.config, &folder.checkpoint()?);
        // A published DeBERTa-v3 has a head for masked words beside that of its own task, which was another.
        if !objective.heads.iter().any(|head| head == "replaced_token") {
            // First, so that the two models are not in memory together.
            fit.pseudo_perplexity = perplexity::measure(folder, sample, self.recipe)?;
        }
        let (mut model, loaded) = folder.classifier(self.task, self.recipe.optimization.seed)?;
        let unused = unused(&loaded);
        objective.head_used = !loaded.missing.contains(&folder.head_name(self.task));
        if objective.head_used {
            objective.head_metric = self.head_metric(&model, sample)?;
        }
        let start = std::time::Instant::now();
        let (states, computed) = self.states(&model, sample, key)?;
        let seconds = start.elapsed().as_secs_f64() / sample.texts() as f64;
        let layers = self.profiles(&states)?;
        let best_layer = best(&layers);
        let estimates = self.estimates(&states, &best_layer)?;
        drop(states);
        let adaptation = self.lora.adaptation(&folder.config).context("LoRA")?;
        let adapters = adaptation.as_ref().map(|a| a.parameters(&folder.config));
        if let Some(adaptation) = adaptation {
            model.adapt(adaptation, None, self.recipe.optimization.seed)?;
        }
        let ([train, validation], forward_seconds) = (self.rows, computed.then_some(seconds));
        let work = Work { train, validation, forward_seconds, adapters };
        let cost = cost::measure(&folder.config, self.task, &model, self.recipe, sample, work)?;
        Ok(Evidence { fit, objective, unused, cost, layers, best_layer, estimates })
    }

    /// What a head that is for these labels does without training.
    fn head_metric(&self, model: &Classifier, sample: &Examples) -> Result<Option<f64>> {
        let recipe = self.recipe;
        let size = recipe.eval_batch_size;
        let result = trainer::evaluate(
            model,
            self.task,
            sample,
            size,
            recipe.optimization.precision.into(),
            &mut |_| (),
        )?;
        Ok(result.figure(self.metric).filter(|figure| figure.is_finite()))
    }

    /// The pooled states, and whether they were computed and not read.
    fn states(&self, model: &Classifier, sample: &Examples, key: &Key) -> Result<(States, bool)> {
        let encoder = model.encoder();
        let depth = encoder.depth();
        if let Some(states) = self.cache.states(key, depth, self.points.len()) {
            return Ok((states, false));
        }
        let (size, precision) =
            (self.recipe.eval_batch_size, self.recipe.optimization.precision.into());
        let words = self.points.words.as_deref();
        let states = States::compute(encoder, sample, words, size, precision)?;
        let _ = self.cache.keep_states(key, &states);
        Ok((states, true))
    }

    /// The quick estimates of each layer and pooling.
    fn profiles(&self, states: &States) -> Result<Vec<LayerProfile>> {
        let poolings = (0..states.layers.len()).flat_map(|layer| [(layer, 0), (layer, 1)]);
        let places: Vec<(usize, usize)> = poolings.collect();
        let profile = |&(layer, how): &(usize, usize)| {
            let quick =
                estimators::profile(&self.sample(&states.layers[layer][how], states.width))?;
            let place = Place { layer: Some(layer), pooling: POOLINGS[how].0.to_owned() };
            Ok(LayerProfile {
                place,
                h_score: finite(quick.h_score),
                logme: finite(quick.log_me),
                knn: finite(quick.knn),
            })
        };
        places.par_iter().map(profile).collect()
    }

    /// All estimators at the three places of [`ROLES`].
    fn estimates(&self, states: &States, best: &Place) -> Result<Vec<Estimated>> {
        let mean = states.mean_of_layers();
        let pooling = POOLINGS.iter().position(|(name, _)| *name == best.pooling).unwrap_or(0);
        let last = states.depth();
        let all = Place { layer: None, pooling: "mean".to_owned() };
        let head = Place { layer: Some(last), pooling: "first".to_owned() };
        let places: [(Place, &[f32]); ROLES.len()] = [
            (head, &states.layers[last][0]),
            (best.clone(), &states.layers[best.layer.unwrap_or(last)][pooling]),
            (all, &mean),
        ];
        let rate = |(role, (place, x)): (&&str, &(Place, &[f32]))| -> Result<Vec<Estimated>> {
            let rated = estimators::estimate(&self.sample(x, states.width))?;
            let entry = |(estimator, estimate): (estimators::Estimator, estimators::Estimate)| {
                let without = estimate.without.into_iter().map(finite).collect();
                let (role, estimator) = (role.to_string(), estimator.name().to_owned());
                Estimated {
                    role,
                    place: place.clone(),
                    estimator,
                    value: finite(estimate.value),
                    without,
                }
            };
            Ok(rated.into_iter().map(entry).collect())
        };
        let all: Result<Vec<Vec<Estimated>>> = ROLES.par_iter().zip(&places).map(rate).collect();
        Ok(all?.concat())
    }

    fn sample<'a>(&'a self, states: &'a [f32], width: usize) -> Sample<'a> {
        Sample {
            states,
            width,
            labels: &self.points.labels,
            outputs: self.task.outputs(),
            folds: &self.points.folds,
            fold_count: self.fold_count,
            groups: &self.points.texts,
        }
    }

    /// Model, texts and settings: what the states depend on.
    fn states_key(&self, request: &Request, folder: &Folder) -> Result<Key> {
        let length = folder.max_length(self.max_length);
        let settings =
            format!("{:?} {length} {:?}", request.truncate, self.recipe.optimization.precision);
        let key = Key::default().with_model(&folder.path)?.with(settings.as_bytes());
        let add = |key: Key, example: &Example| key.with(format!("{example:?}").as_bytes());
        let words = format!("{:?}", self.points.words);
        Ok(self.texts.iter().fold(key.with(words.as_bytes()), add))
    }

    /// Labels, folds and recipe: what the evidence depends on besides the states.
    fn evidence_key(&self, states: Key) -> Key {
        let names = self.task.label_set().map(LabelSet::names);
        let task = format!("{} {names:?}", self.task.name());
        let labels = format!("{task} {:?} {:?} {:?}", self.labels, self.points.folds, self.rows);
        // Device and threads, because seconds are part of the evidence.
        let (device, threads) = (self.device.label(), rayon::current_num_threads());
        let (recipe, lora) = (self.recipe, self.lora);
        let recipe = format!("{recipe:?} {lora:?} {} {device} {threads}", self.metric);
        states.with(labels.as_bytes()).with(recipe.as_bytes())
    }
}

/// The folder of a candidate, with its layers left out.
///
/// # Errors
/// When it is not one of an encoder, or has fewer layers.
pub fn open(request: &Request, task: &Task, device: &Device) -> Result<Folder> {
    let mut folder = Folder::open(&request.folder()?)?.on(device).of_task(task);
    request.truncate.map(|layers| folder.truncate(layers)).transpose()?;
    Ok(folder)
}

fn unused(loaded: &LoadReport) -> Option<Unused> {
    let all = &loaded.unused_encoder;
    all.first().map(|first| Unused { count: all.len(), first: first.clone() })
}

/// The place with the highest LogME; the last layer's first token if none has a value.
fn best(layers: &[LayerProfile]) -> Place {
    let rank = |p: &LayerProfile| p.logme.unwrap_or(f64::NEG_INFINITY);
    let better = |a, b| if rank(b) > rank(a) { b } else { a };
    let last = &layers[layers.len() - POOLINGS.len()];
    layers.iter().fold(last, better).place.clone()
}

fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}
