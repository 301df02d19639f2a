//! What a candidate costs: operations by count, seconds and memory by a few real training steps.

use std::time::Instant;

use anyhow::Result;
use bert::Config;
use nn::Module;

use crate::args::RecipeArgs;
use crate::batches::Examples;
use crate::classifier::Classifier;
use crate::data::Task;
use crate::flops;
use crate::memory::{self, Memory};
use crate::select::summary::Cost;
use crate::trainer::Trainer;

/// Steps that are timed, after one that is not: in it memory is taken for the first time.
const TIMED: usize = 2;

/// How much there is to train on.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Rows to train on.
    pub train: usize,
    /// Rows that are measured after each epoch.
    pub validation: usize,
    /// Seconds of a forward pass, per row; none where it was not measured.
    pub forward_seconds: Option<f64>,
    /// The parameters of the adapters that are trained in place of the encoder; none without LoRA.
    pub adapters: Option<u64>,
}

/// The estimate of memory for a step of as many tokens as a batch may have, without loading the model; `adapters` as in
/// [`Work`].
pub fn memory_estimate(
    config: &Config,
    task: &Task,
    recipe: &RecipeArgs,
    adapters: Option<u64>,
    max_length: usize,
) -> u64 {
    let (params, head) = (flops::parameters(config, task), flops::head_parameters(config, task));
    let batch = [recipe.batch_size as u64, max_length as u64];
    let checkpoints = recipe.optimization.checkpoint_activations;
    let memory = match (adapters, recipe.freeze_encoder) {
        (Some(thin), _) => {
            Memory::of_adapted_step(config, params + thin, head + thin, batch, checkpoints)
        }
        (None, true) => Memory::of_frozen_step(config, params, head, batch),
        (None, false) => Memory::of_step(config, params, batch, checkpoints),
    };
    memory.total()
}

/// Measures training steps on the first rows of the sample; with LoRA the model is adapted. The model is not the same
/// afterwards.
///
/// # Errors
/// When training diverges in these steps.
pub fn measure(
    config: &Config,
    task: &Task,
    model: &Classifier,
    recipe: &RecipeArgs,
    sample: &Examples,
    work: Work,
) -> Result<Cost> {
    let device = model.params()[0].device();
    memory::reset_peak(&device);
    let steps = Steps::run(model, recipe, sample)?;
    let peak = memory::peak(&device);
    let tokens =
        |rows: &[usize]| rows.iter().map(|&row| sample.encodings[row].ids.len()).sum::<usize>();
    let timed: usize = steps.rows.iter().map(|rows| tokens(rows)).sum();
    let all: usize = sample.encodings.iter().map(|e| e.ids.len()).sum();
    let mean = all as f64 / sample.texts() as f64;
    let per_example = steps.seconds / timed as f64 * mean;
    let lens = sample.encodings.iter().map(|e| e.ids.len());
    let flops = match (work.adapters, recipe.freeze_encoder) {
        (Some(_), _) => flops::adapting(config, lens),
        (None, true) => flops::forward(config, lens),
        (None, false) => flops::training(config, lens),
    };
    let per_text = flops / sample.texts() as f64;
    let longest = sample.encodings.iter().map(|e| e.ids.len()).max().unwrap_or(1);
    let epoch = per_example * work.train as f64
        + work.forward_seconds.map_or(0.0, |seconds| seconds * work.validation as f64);
    Ok(Cost {
        parameters: flops::parameters(config, task),
        layers: config.num_hidden_layers,
        hidden: config.hidden_size,
        epoch_flops: per_text * work.train as f64,
        seconds_per_example: Some(per_example),
        step_memory: peak,
        projected_seconds: Some(epoch * f64::from(recipe.epochs)),
        projected_memory: memory_estimate(config, task, recipe, work.adapters, longest),
    })
}

/// The timed steps.
struct Steps {
    rows: Vec<Vec<usize>>,
    seconds: f64,
}

impl Steps {
    fn run(model: &Classifier, recipe: &RecipeArgs, sample: &Examples) -> Result<Self> {
        let size = recipe.rows_per_step().min(sample.len());
        let batch = |i: usize| -> Vec<usize> {
            (0..size).map(|row| (i * size + row) % sample.len()).collect()
        };
        let mut trainer = Trainer::with_steps(model, recipe, 1 + TIMED as u64);
        trainer.step(sample, &batch(0))?;
        // A GPU has only been asked for it.
        let device = model.params()[0].device();
        device.synchronize()?;
        let rows: Vec<Vec<usize>> = (1..=TIMED).map(batch).collect();
        let start = Instant::now();
        for rows in &rows {
            trainer.step(sample, rows)?;
        }
        trainer.flush()?;
        device.synchronize()?;
        Ok(Self { rows, seconds: start.elapsed().as_secs_f64() })
    }
}
