//! What a step is made of, and what is told of it.

use std::time::Instant;

use anyhow::Result;
use autograd::{Gradients, Tensor, Var};
use bert::Batch;
use nn::Pass;
use tensor::Later;

/// What happened in one step.
#[derive(Clone, Copy, Debug)]
pub struct StepLog {
    /// Counted from 1.
    pub step: u64,
    /// The mean loss over its parts.
    pub loss: f64,
    /// Over how much it is the mean: the sum of [`Part::weight`].
    pub weight: f64,
    /// The learning rate that was used.
    pub learning_rate: f64,
    /// The global norm of the gradients before clipping.
    pub grad_norm: f64,
    /// What was in all of them.
    pub size: BatchSize,
    /// Where the time went.
    pub times: StepTimes,
}

/// How much a batch holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchSize {
    /// Sequences.
    pub examples: usize,
    /// Tokens of all of them.
    pub tokens: usize,
}

impl BatchSize {
    fn add(&mut self, other: Self) {
        self.examples += other.examples;
        self.tokens += other.tokens;
    }
}

impl From<&Batch> for BatchSize {
    fn from(batch: &Batch) -> Self {
        Self { examples: batch.sequences(), tokens: batch.seqlens.total() }
    }
}

/// Computes a loss, in this forward pass.
pub type Forward<'p> = Box<dyn FnOnce(&Pass) -> Result<Var> + 'p>;

/// A batch whose loss is a share of a step's: all of it, or one of those whose gradients are added.
pub struct Part<'p> {
    /// What is in the batch.
    pub size: BatchSize,
    /// Over how much its loss is the mean: the number of its targets, or the sum of their weights. The loss of the step
    /// is the mean over those of all parts.
    pub weight: f64,
    /// The loss.
    pub loss: Forward<'p>,
}

/// Seconds of the stages of a step on the host; on a GPU, those that it took to ask for them.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepTimes {
    /// From the batch to the loss.
    pub forward: f64,
    /// From the loss to the gradients.
    pub backward: f64,
    /// The gradient norm and the update.
    pub optimizer: f64,
}

/// Seconds since it was last asked.
pub(super) struct Stopwatch(pub Instant);

impl Stopwatch {
    pub fn lap(&mut self) -> f64 {
        let now = Instant::now();
        (now - std::mem::replace(&mut self.0, now)).as_secs_f64()
    }
}

/// Loss and gradients of a step.
pub(super) struct Descent {
    pub loss: Tensor,
    /// Over how much the loss is the mean.
    pub weight: f64,
    pub grads: Gradients,
    pub size: BatchSize,
    pub times: StepTimes,
}

impl Descent {
    /// Those of the mean over the parts, each of which has a forward of its own.
    pub(super) fn of(parts: Vec<Part>, pass: &dyn Fn(usize) -> Pass) -> Result<Self> {
        let weight: f64 = parts.iter().map(|part| part.weight).sum();
        let (mut grads, mut losses) = (Gradients::default(), Vec::new());
        let (mut size, mut times) = (BatchSize::default(), StepTimes::default());
        let mut watch = Stopwatch(Instant::now());
        for (i, part) in parts.into_iter().enumerate() {
            let mut loss = (part.loss)(&pass(i))?;
            if part.weight != weight {
                loss = loss.scale(part.weight / weight)?;
            }
            times.forward += watch.lap();
            loss.backward_onto(&mut grads)?;
            times.backward += watch.lap();
            losses.push(loss.value().clone());
            size.add(part.size);
        }
        let first = losses.pop().expect("a step has a part");
        let loss = losses.iter().try_fold(first, |sum, loss| sum.add(loss))?;
        Ok(Self { loss, weight, grads, size, times })
    }
}

/// A step that was made, whose figures may still be on their way from a GPU.
pub(super) struct Made {
    pub step: u64,
    pub loss: Later,
    pub weight: f64,
    pub grad_norm: Later,
    pub learning_rate: f64,
    pub size: BatchSize,
    pub times: StepTimes,
}

impl Made {
    /// Whether its figures are there: on the host they always are.
    pub fn is_here(&self) -> bool {
        matches!(self.loss, Later::Here(_))
    }

    /// What is not finite of figures that need not be waited for.
    pub fn check_if_here(&self) -> Result<(), String> {
        let (Later::Here(loss), Later::Here(norm)) = (&self.loss, &self.grad_norm) else {
            return Ok(());
        };
        match loss.is_finite() && norm.is_finite() {
            true => Ok(()),
            false => Err(not_finite(*loss, *norm, self.learning_rate)),
        }
    }
}

pub(super) fn not_finite(loss: f64, grad_norm: f64, learning_rate: f64) -> String {
    format!("loss {loss}, gradient norm {grad_norm}, learning rate {learning_rate:e}")
}
