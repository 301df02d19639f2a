//! The training loop.
//!
//! ```text
//! for each epoch, for the shuffled rows of each step:
//!     loss   = mean loss of the rows, with dropout
//!     grads  = d loss / d parameters, batch by batch
//!     factor = clip(global norm of grads)
//!     update(parameters, factor * grads, learning rate of the step)
//! ```
//!
//! Everything random is a function of seed, epoch and step: a run is repeated bit for bit, on any number of
//! threads.

use std::time::Instant;

use anyhow::Result;
use nn::{Module, Pass, Precision, freeze};

use crate::args::RecipeArgs;
use crate::batches::{self, Examples};
use crate::classifier::Classifier;
use crate::data::{Labels, Task};
use crate::loss::Loss;
use crate::metrics::Report;
use crate::optimization::{Optimization, Part, StepLog};
use crate::predictions::{self, Prediction};

/// A model in training.
pub struct Trainer<'a> {
    model: &'a Classifier,
    recipe: &'a RecipeArgs,
    loss: Loss,
    optimization: Optimization<'a>,
}

impl<'a> Trainer<'a> {
    /// Prepares to train `model` on `examples` examples by `recipe`, which may freeze the encoder. Frozen parameters
    /// stay as they are.
    pub fn new(model: &'a Classifier, recipe: &'a RecipeArgs, examples: usize) -> Self {
        let total = steps_per_epoch(examples, recipe) * u64::from(recipe.epochs);
        Self::with_steps(model, recipe, total)
    }

    /// Prepares to train for `total` steps, whatever the recipe says of epochs.
    pub fn with_steps(model: &'a Classifier, recipe: &'a RecipeArgs, total: u64) -> Self {
        if recipe.freeze_encoder {
            freeze(&model.encoder().params(), true);
        }
        let (args, peak) = (&recipe.optimization, recipe.learning_rate);
        let optimization = Optimization::new(model.params(), args, peak, total);
        Self { model, recipe, loss: Loss::default(), optimization }
    }

    /// The same down another loss than the plain one.
    pub fn with_loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.optimization.total_steps()
    }

    /// Steps that were made.
    pub fn steps_done(&self) -> u64 {
        self.optimization.steps_done()
    }

    /// The model.
    pub fn model(&self) -> &'a Classifier {
        self.model
    }

    /// What the optimizer remembers, to go on later.
    ///
    /// # Errors
    /// When moments and weights do not fit.
    pub fn state(&mut self) -> Result<optim::State> {
        self.optimization.state()
    }

    /// Goes on behind the step of a saved state, whose weights the model has.
    ///
    /// # Errors
    /// When the state belongs to another model.
    pub fn resume(&mut self, state: &optim::State) -> Result<()> {
        self.optimization.resume(state)
    }

    /// Trains until `step` steps are done, over the examples in the order of the epochs; `observe` is told of every
    /// step.
    ///
    /// # Errors
    /// Those of [`step`](Self::step) and [`settle`](Self::settle).
    pub fn train_to(
        &mut self,
        step: u64,
        examples: &Examples,
        observe: &mut dyn FnMut(StepLog) -> Result<()>,
    ) -> Result<()> {
        while self.steps_done() < step {
            let left = (step - self.steps_done()) as usize;
            for rows in self.rest_of_epoch(examples).1.iter().take(left) {
                self.step(examples, rows)?.map_or(Ok(()), &mut *observe)?;
            }
        }
        self.settle()?.map_or(Ok(()), observe)
    }

    /// The epoch of the next step, from 1, and the rows of each step that is left of it.
    pub fn rest_of_epoch(&self, examples: &Examples) -> (u32, Vec<Vec<usize>>) {
        let per_epoch = steps_per_epoch(examples.len(), self.recipe);
        let (epoch, done) = (self.steps_done() / per_epoch, self.steps_done() % per_epoch);
        let (epoch, size) = (epoch as u32 + 1, self.recipe.rows_per_step());
        let seed = self.recipe.optimization.seed;
        let mut steps = batches::shuffled(examples.len(), size, seed, epoch);
        (epoch, steps.split_off(done as usize))
    }

    /// Brings the weights up to date and looks at them: at the end of an epoch, and before they are saved. Gives the
    /// log of the newest step, if [`step`](Self::step) has not given it.
    ///
    /// # Errors
    /// When a loss, gradient or weight is not finite; the message says at which step.
    pub fn settle(&mut self) -> Result<Option<StepLog>> {
        let log = self.optimization.finish()?;
        self.flush()?;
        self.optimization.check_weights()?;
        Ok(log)
    }

    /// Makes the updates of the word embedding that were deferred, as the end of an epoch does.
    ///
    /// # Errors
    /// When moments and weights do not fit.
    pub fn flush(&mut self) -> Result<()> {
        self.optimization.flush()
    }

    /// One step on these rows of the examples. Gives its log, on a GPU that of the one before; see
    /// [`Optimization::step`].
    ///
    /// # Errors
    /// When the loss or the gradients are not finite.
    ///
    /// # Panics
    /// When the examples have no labels.
    pub fn step(&mut self, examples: &Examples, rows: &[usize]) -> Result<Option<StepLog>> {
        let Self { model, recipe, loss, optimization } = self;
        let read = rows.iter().flat_map(|&row| examples.encodings[row].ids.iter().copied());
        optimization.catch_up(model.encoder().word_embeddings(), &read.collect::<Vec<_>>())?;
        let batches = rows.chunks(recipe.batch_size);
        let parts = batches.map(|rows| part(model, loss, examples, rows));
        let parts = parts.collect::<Result<_>>()?;
        optimization.step(parts)
    }
}

/// One batch of a step.
fn part<'p>(
    model: &'p Classifier,
    loss: &'p Loss,
    examples: &Examples,
    rows: &[usize],
) -> Result<Part<'p>> {
    let batch = examples.batch(rows)?;
    let targets = examples.targets(rows).expect("training data has labels");
    let (size, weight) = ((&batch).into(), loss.weight(&targets)?);
    let of_batch = move |pass: &Pass| loss.loss(&model.forward(pass, &batch)?, &targets);
    Ok(Part { size, weight, loss: Box::new(of_batch) })
}

/// Steps of one epoch; the last may be smaller.
pub fn steps_per_epoch(examples: usize, recipe: &RecipeArgs) -> u64 {
    batches::count(examples, recipe.rows_per_step())
}

/// What a model does on a data set.
pub struct Evaluation {
    /// One prediction per example, in order.
    pub predictions: Vec<Prediction>,
    /// The truth about each, which may be absent.
    pub labels: Labels,
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

/// Predicts every example, and measures if there are labels. No dropout, no derivatives. `done` is told of the
/// examples of each batch.
///
/// # Errors
/// When the model can't run on the examples.
pub fn evaluate(
    model: &Classifier,
    task: &Task,
    examples: &Examples,
    batch_size: usize,
    precision: Precision,
    done: &mut dyn FnMut(usize),
) -> Result<Evaluation> {
    let start = Instant::now();
    let mut by_row = Vec::with_capacity(examples.len());
    let (mut loss_sum, mut targets_seen) = (0.0, 0);
    for rows in batches::in_order(examples.len(), batch_size) {
        let pass = Pass::inference().with_precision(precision);
        let logits = model.forward(&pass, &examples.batch(&rows)?)?;
        if let Some(targets) = examples.targets(&rows) {
            let loss = bert::loss(&logits, &targets)?.value().item()?;
            let count = examples.count_targets(&rows);
            loss_sum += loss * count as f64;
            targets_seen += count;
        }
        let values = logits.value().to_vec::<f32>()?;
        done(rows.len());
        let mut rest = &values[..];
        for row in rows {
            let (own, behind) = rest.split_at(examples.count_targets(&[row]) * examples.outputs);
            by_row.push(Prediction::from_logits(task, own));
            rest = behind;
        }
    }
    let (predictions, labels) = examples.by_text(by_row);
    let speed = predictions.len() as f64 / start.elapsed().as_secs_f64().max(1e-9);
    let report = predictions::report(task, &predictions, &labels);
    let loss = (targets_seen > 0).then(|| loss_sum / targets_seen as f64);
    Ok(Evaluation { predictions, labels, loss, report, speed })
}
