//! The training loop.
//!
//! ```text
//! for each epoch, for each shuffled batch:
//!     loss   = mean loss of the batch, with dropout
//!     grads  = d loss / d parameters
//!     factor = clip(global norm of grads)
//!     update(parameters, factor * grads, learning rate of the step)
//! ```
//!
//! Everything random is a function of seed, epoch and step: a run is repeated bit for bit, on any number of
//! threads.

use std::time::Instant;

use anyhow::{Result, anyhow};
use autograd::Param;
use bert::SequenceClassifier;
use nn::{Module, Pass, Precision};
use optim::{
    Adam, AdamOptions, Optimizer, Schedule, ScheduleKind, Sgd, SgdOptions, StepSize, Warmup, clip,
    weight_decay_groups,
};

use crate::args::{OptimizerName, RecipeArgs, ScheduleName};
use crate::batches::{self, Examples};
use crate::data::Task;
use crate::metrics::Report;
use crate::predictions::{self, Prediction};

/// The last learning rate of the polynomial schedule: transformers' default.
pub const POLYNOMIAL_END: f64 = 1e-7;

/// What happened in one step.
#[derive(Clone, Copy, Debug)]
pub struct StepLog {
    /// Counted from 1.
    pub step: u64,
    /// The mean loss of the batch.
    pub loss: f64,
    /// The learning rate that was used.
    pub learning_rate: f64,
    /// The global norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Sequences in the batch.
    pub examples: usize,
    /// Where the time went.
    pub times: StepTimes,
}

/// Seconds of the parts of a step.
#[derive(Clone, Copy, Debug)]
pub struct StepTimes {
    /// From the rows to the loss.
    pub forward: f64,
    /// From the loss to the gradients.
    pub backward: f64,
    /// The gradient norm and the update.
    pub optimizer: f64,
}

/// Seconds since it was last asked.
struct Stopwatch(Instant);

impl Stopwatch {
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        (now - std::mem::replace(&mut self.0, now)).as_secs_f64()
    }
}

/// A model in training.
pub struct Trainer<'a> {
    model: &'a SequenceClassifier,
    recipe: &'a RecipeArgs,
    params: Vec<Param>,
    optimizer: Box<dyn Optimizer>,
    schedule: Schedule,
    step: u64,
}

impl<'a> Trainer<'a> {
    /// Prepares to train `model` on `examples` examples by `recipe`. Frozen parameters stay as they are.
    pub fn new(model: &'a SequenceClassifier, recipe: &'a RecipeArgs, examples: usize) -> Self {
        let total = steps_per_epoch(examples, recipe) * u64::from(recipe.epochs);
        Self::with_steps(model, recipe, total)
    }

    /// Prepares to train for `total` steps, whatever the recipe says of epochs.
    pub fn with_steps(model: &'a SequenceClassifier, recipe: &'a RecipeArgs, total: u64) -> Self {
        let trainable = model.params().into_iter().filter(|p| !p.is_frozen());
        let params: Vec<Param> = trainable.collect();
        let optimizer = optimizer(recipe, &params);
        let schedule = schedule(recipe, total);
        Self { model, recipe, params, optimizer, schedule, step: 0 }
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.schedule.total
    }

    /// Steps that were made.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// The model.
    pub fn model(&self) -> &'a SequenceClassifier {
        self.model
    }

    /// What the optimizer remembers, to go on later.
    ///
    /// # Errors
    /// When moments and weights do not fit.
    pub fn state(&mut self) -> Result<optim::State> {
        Ok(self.optimizer.state()?)
    }

    /// Goes on behind the step of a saved state, whose weights the model has.
    ///
    /// # Errors
    /// When the state belongs to another model.
    pub fn resume(&mut self, state: &optim::State) -> Result<()> {
        self.optimizer.load_state(state)?;
        self.step = state.step;
        Ok(())
    }

    /// Trains until `step` steps are done, over the examples in the order of the epochs.
    ///
    /// # Errors
    /// Those of [`epoch`](Self::epoch).
    pub fn train_to(
        &mut self,
        step: u64,
        examples: &Examples,
        observe: &mut dyn FnMut(StepLog) -> Result<()>,
    ) -> Result<()> {
        let per_epoch = steps_per_epoch(examples.len(), self.recipe);
        while self.step < step {
            let (epoch, done) = (self.step / per_epoch, self.step % per_epoch);
            let (size, seed) = (self.recipe.batch_size, self.recipe.seed);
            let batches = batches::shuffled(examples.len(), size, seed, epoch as u32 + 1);
            let left = (step - self.step) as usize;
            for rows in batches.into_iter().skip(done as usize).take(left) {
                observe(self.step(examples, &rows)?)?;
            }
        }
        self.flush()?;
        self.check_weights()
    }

    /// One pass over the examples; `observe` is told of every step. Gives the mean loss.
    ///
    /// # Errors
    /// When a loss, gradient or, after the last step, weight is not finite; the message says at which step.
    pub fn epoch(
        &mut self,
        epoch: u32,
        examples: &Examples,
        observe: &mut dyn FnMut(StepLog) -> Result<()>,
    ) -> Result<f64> {
        let mut total = 0.0;
        let (size, seed) = (self.recipe.batch_size, self.recipe.seed);
        for rows in batches::shuffled(examples.len(), size, seed, epoch) {
            let log = self.step(examples, &rows)?;
            total += log.loss * rows.len() as f64;
            observe(log)?;
        }
        self.flush()?;
        self.check_weights()?;
        Ok(total / examples.len() as f64)
    }

    /// Makes the updates of the word embedding that were deferred, as the end of an epoch does.
    ///
    /// # Errors
    /// When moments and weights do not fit.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.optimizer.flush()?)
    }

    /// One step on these rows of the examples.
    ///
    /// # Errors
    /// When the loss or the gradients are not finite.
    ///
    /// # Panics
    /// When the examples have no labels.
    pub fn step(&mut self, examples: &Examples, rows: &[usize]) -> Result<StepLog> {
        let mut watch = Stopwatch(Instant::now());
        let batch = examples.batch(rows)?;
        self.optimizer.catch_up(self.model.encoder().word_embeddings(), batch.ids.as_slice()?)?;
        let targets = examples.targets(rows).expect("training data has labels");
        // The number of a step fits in 32 bits: 2^32 steps are years.
        let pass = Pass::training(self.recipe.seed, self.step as u32)
            .with_precision(self.recipe.precision.into())
            .with_recomputation(self.recipe.checkpoint_activations);
        let loss = bert::loss(&self.model.forward(&pass, &batch)?, &targets)?;
        let value = loss.value().item()?;
        let forward = watch.lap();
        let grads = loss.backward()?;
        let backward = watch.lap();
        let grad_norm = clip::global_norm(&self.params, &grads)?;
        let learning_rate = self.recipe.learning_rate * self.schedule.factor(self.step);
        self.check_finite(value, grad_norm, learning_rate)?;
        let grad_scale = match self.recipe.max_grad_norm {
            0.0 => 1.0,
            limit => clip::factor(grad_norm, limit),
        };
        self.optimizer.step(&grads, StepSize { lr: learning_rate, grad_scale })?;
        self.step += 1;
        let times = StepTimes { forward, backward, optimizer: watch.lap() };
        let (step, examples) = (self.step, rows.len());
        Ok(StepLog { step, loss: value, learning_rate, grad_norm, examples, times })
    }

    fn check_finite(&self, loss: f64, grad_norm: f64, learning_rate: f64) -> Result<()> {
        match loss.is_finite() && grad_norm.is_finite() {
            true => Ok(()),
            false => Err(self.diverged(
                self.step + 1,
                format!("loss {loss}, gradient norm {grad_norm}, learning rate {learning_rate:e}"),
            )),
        }
    }

    /// The last update of an epoch has no loss after it that would show the damage.
    fn check_weights(&self) -> Result<()> {
        for param in &self.params {
            if !tensor::ops::reduce::sum_squares(&param.value())?.is_finite() {
                return Err(self.diverged(self.step, format!("{} is not finite", param.name())));
            }
        }
        Ok(())
    }

    fn diverged(&self, step: u64, what: String) -> anyhow::Error {
        anyhow!(
            "training diverged at step {step} of {}: {what}; nothing was saved. Try a lower \
             --learning-rate or a longer warm-up",
            self.total_steps()
        )
    }
}

/// Steps of one epoch; the last batch may be smaller.
pub fn steps_per_epoch(examples: usize, recipe: &RecipeArgs) -> u64 {
    examples.div_ceil(recipe.batch_size) as u64
}

fn optimizer(recipe: &RecipeArgs, params: &[Param]) -> Box<dyn Optimizer> {
    let groups = weight_decay_groups(params, recipe.weight_decay);
    let (beta1, beta2, eps) = (recipe.adam_beta1, recipe.adam_beta2, recipe.adam_epsilon);
    match recipe.optimizer {
        OptimizerName::Adamw => {
            Box::new(Adam::with_options(groups, AdamOptions { beta1, beta2, eps }))
        }
        OptimizerName::Sgd => {
            Box::new(Sgd::new(groups, SgdOptions { momentum: beta1, nesterov: false }))
        }
    }
}

fn schedule(recipe: &RecipeArgs, total: u64) -> Schedule {
    let warmup = recipe.warmup_steps.map_or(Warmup::Ratio(recipe.warmup_ratio), Warmup::Steps);
    let kind = match recipe.lr_scheduler_type {
        ScheduleName::Constant => ScheduleKind::Constant,
        ScheduleName::Linear => ScheduleKind::Linear,
        ScheduleName::Cosine => ScheduleKind::Cosine,
        ScheduleName::Polynomial => {
            ScheduleKind::Polynomial { power: 1.0, end: POLYNOMIAL_END / recipe.learning_rate }
        }
    };
    Schedule { kind, warmup: warmup.steps(total), total }
}

/// What a model does on a data set.
pub struct Evaluation {
    /// One prediction per example, in order.
    pub predictions: Vec<Prediction>,
    /// The mean loss, if there are labels.
    pub loss: Option<f64>,
    /// The figures, if there are labels.
    pub report: Option<Report>,
    /// Examples per second.
    pub speed: f64,
}

impl Evaluation {
    /// The loss, or the figure of this name; none if there are no labels or it is no figure of the task.
    pub fn figure(&self, name: &str) -> Option<f64> {
        match name {
            "loss" => self.loss,
            name => self.report.as_ref().and_then(|report| report.get(name)),
        }
    }
}

/// Predicts every example, and measures if there are labels. No dropout, no derivatives.
///
/// # Errors
/// When the model can't run on the examples.
pub fn evaluate(
    model: &SequenceClassifier,
    task: &Task,
    examples: &Examples,
    batch_size: usize,
    precision: Precision,
) -> Result<Evaluation> {
    let start = Instant::now();
    let (mut predictions, mut total) = (Vec::with_capacity(examples.len()), None);
    for rows in batches::in_order(examples.len(), batch_size) {
        let pass = Pass::inference().with_precision(precision);
        let logits = model.forward(&pass, &examples.batch(&rows)?)?;
        if let Some(targets) = examples.targets(&rows) {
            let loss = bert::loss(&logits, &targets)?.value().item()?;
            *total.get_or_insert(0.0) += loss * rows.len() as f64;
        }
        let values = logits.value().to_vec::<f32>()?;
        let each = values.chunks(examples.outputs);
        predictions.extend(each.map(|logits| Prediction::from_logits(task, logits)));
    }
    let speed = examples.len() as f64 / start.elapsed().as_secs_f64().max(1e-9);
    let report = predictions::report(task, &predictions, &examples.labels);
    let loss = total.map(|total: f64| total / examples.len().max(1) as f64);
    Ok(Evaluation { predictions, loss, report, speed })
}
