//! What every training has: schedule, clipping, update rule, and a look at whether it still converges.
//!
//! ```text
//! loss   = a function of the parameters, with dropout
//! grads  = d loss / d parameters
//! factor = clip(global norm of grads)
//! update(parameters, factor * grads, learning rate of the step)
//! ```

use std::time::Instant;

use anyhow::Result;
use autograd::{Param, Tensor, Var};
use bert::Batch;
use nn::Pass;
use optim::{
    Adam, AdamOptions, GradScale, Optimizer, Schedule, ScheduleKind, Sgd, SgdOptions, StepSize,
    Warmup, clip, weight_decay_groups,
};
use tensor::Later;
use tensor::ops::adamw;

use crate::args::{OptimizationArgs, OptimizerName, ScheduleName, wrong_flags};

/// The last learning rate of the polynomial schedule: transformers' default.
const POLYNOMIAL_END: f64 = 1e-7;

/// Refuses a schedule that would rise from its peak, and settings of another update rule.
///
/// # Errors
/// When it would, or there are some.
pub fn check_flags(args: &OptimizationArgs, peak: f64) -> Result<()> {
    let usual = AdamOptions::default();
    let of_adam = (args.adam_beta1, args.adam_beta2, args.adam_epsilon)
        != (usual.beta1, usual.beta2, usual.eps);
    match args.optimizer {
        OptimizerName::Sgd if of_adam => {
            return Err(wrong_flags(
                "--adam-beta1, --adam-beta2 and --adam-epsilon are for --optimizer adamw; sgd has --momentum",
            ));
        }
        OptimizerName::Adamw if args.momentum != 0.0 => {
            return Err(wrong_flags(
                "--momentum is for --optimizer sgd; that of adamw is --adam-beta1",
            ));
        }
        OptimizerName::Sgd | OptimizerName::Adamw => {}
    }
    match args.lr_scheduler_type == ScheduleName::Polynomial && peak <= POLYNOMIAL_END {
        false => Ok(()),
        true => Err(wrong_flags(
            "--lr-scheduler-type polynomial ends at 1e-7; give a --learning-rate above that",
        )),
    }
}

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
    /// What was in the batch.
    pub size: BatchSize,
    /// Where the time went.
    pub times: StepTimes,
}

/// How much a batch holds.
#[derive(Clone, Copy, Debug)]
pub struct BatchSize {
    /// Sequences.
    pub examples: usize,
    /// Tokens of all of them.
    pub tokens: usize,
}

impl From<&Batch> for BatchSize {
    fn from(batch: &Batch) -> Self {
        Self { examples: batch.sequences(), tokens: batch.seqlens.total() }
    }
}

/// Seconds of the parts of a step on the host; on a GPU, those that it took to ask for them.
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
struct Stopwatch(Instant);

impl Stopwatch {
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        (now - std::mem::replace(&mut self.0, now)).as_secs_f64()
    }
}

/// A training that went wrong: a number is not finite any more.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "training diverged at step {step} of {steps}: {what}; try a lower --learning-rate or a longer warm-up"
)]
pub struct Diverged {
    /// The step at which it was seen.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// What was seen.
    pub what: String,
}

/// A step that was made, whose figures may still be on their way from a GPU.
struct Made {
    step: u64,
    loss: Later,
    grad_norm: Later,
    learning_rate: f64,
    size: BatchSize,
    times: StepTimes,
}

/// Parameters on their way down.
///
/// The host runs ahead of a GPU: it prepares the next step while the GPU computes this one, and reads the loss
/// of a step when the next one is under way. So a step's figures come back one step late there, the last ones
/// from [`Optimization::finish`].
pub struct Optimization<'a> {
    args: &'a OptimizationArgs,
    params: Vec<Param>,
    optimizer: Box<dyn Optimizer>,
    schedule: Schedule,
    peak: f64,
    step: u64,
    /// The newest step, if its figures were not asked for yet.
    made: Option<Made>,
}

impl<'a> Optimization<'a> {
    /// Prepares `total` steps over `params`, of which the frozen ones stay as they are; `peak` is the highest
    /// learning rate.
    pub fn new(params: Vec<Param>, args: &'a OptimizationArgs, peak: f64, total: u64) -> Self {
        let params: Vec<Param> = params.into_iter().filter(|p| !p.is_frozen()).collect();
        let optimizer = optimizer(args, &params);
        Self {
            args,
            params,
            optimizer,
            schedule: schedule(args, peak, total),
            peak,
            step: 0,
            made: None,
        }
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.schedule.total
    }

    /// Steps that were made.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// What the optimizer remembers, to go on later.
    ///
    /// # Errors
    /// When moments and weights do not fit.
    pub fn state(&mut self) -> Result<optim::State> {
        Ok(self.optimizer.state()?)
    }

    /// Goes on behind the step of a saved state, whose weights the parameters have.
    ///
    /// # Errors
    /// When the state belongs to another model.
    pub fn resume(&mut self, state: &optim::State) -> Result<()> {
        self.optimizer.load_state(state)?;
        self.step = state.step;
        Ok(())
    }

    /// Makes the updates that were deferred for these rows of a table: before a forward pass that reads no others.
    ///
    /// # Errors
    /// When moments and weights do not fit.
    pub fn catch_up(&mut self, table: &Param, rows: &Tensor) -> Result<()> {
        Ok(self.optimizer.catch_up(table, rows.as_slice()?)?)
    }

    /// Makes all updates that were deferred, as the end of an epoch does.
    ///
    /// # Errors
    /// When moments and weights do not fit.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.optimizer.flush()?)
    }

    /// One step down a loss, which is the mean over a batch. Gives the log of this step, on a GPU that of the one
    /// before.
    ///
    /// # Errors
    /// Those of the loss, and when it or the gradients are not finite, on a GPU those of the step before.
    pub fn step(
        &mut self,
        size: BatchSize,
        loss: impl FnOnce(&Pass) -> Result<Var>,
    ) -> Result<Option<StepLog>> {
        let mut watch = Stopwatch(Instant::now());
        let loss = loss(&self.pass())?;
        let forward = watch.lap();
        let grads = loss.backward()?;
        let backward = watch.lap();
        let norm = clip::global_norm(&self.params, &grads)?;
        let times = StepTimes { forward, backward, optimizer: 0.0 };
        let mut made = self.ask_for([loss.value(), &norm], size, times)?;
        // On the host the figures are there: nothing is updated by what is not finite.
        made.check_if_here().map_err(|what| self.diverged(made.step, what))?;
        let (lr, grad_scale) = (made.learning_rate, self.grad_scale(norm));
        self.optimizer.step(&grads, StepSize { lr, grad_scale })?;
        self.step = made.step;
        made.times.optimizer = watch.lap();
        self.newest_log(made)
    }

    /// The forward of the next step.
    fn pass(&self) -> Pass {
        // The number of a step fits in 32 bits: 2^32 steps are years.
        Pass::training(self.args.seed, self.step as u32)
            .with_precision(self.args.precision.into())
            .with_recomputation(self.args.checkpoint_activations)
    }

    /// The next step, whose loss and gradient norm are asked for and not waited for.
    fn ask_for(
        &self,
        [loss, grad_norm]: [&Tensor; 2],
        size: BatchSize,
        times: StepTimes,
    ) -> Result<Made> {
        let learning_rate = self.peak * self.schedule.factor(self.step);
        let [loss, grad_norm] = [loss.item_later()?, grad_norm.item_later()?];
        Ok(Made { step: self.step + 1, loss, grad_norm, learning_rate, size, times })
    }

    fn grad_scale(&self, norm: Tensor) -> GradScale {
        match self.args.max_grad_norm {
            0.0 => GradScale::Factor(1.0),
            max_norm => GradScale::Clip { norm, max_norm },
        }
    }

    /// Keeps the step that was just made, and gives the log of the newest one whose figures are there.
    fn newest_log(&mut self, made: Made) -> Result<Option<StepLog>> {
        let is_here = made.is_here();
        let before = self.made.replace(made);
        let asked = if is_here { self.made.take() } else { before };
        asked.map(|made| self.log(made)).transpose()
    }

    /// The log of the newest step, if [`step`](Self::step) has not given it: at the end of an epoch.
    ///
    /// # Errors
    /// When its loss or gradients are not finite.
    pub fn finish(&mut self) -> Result<Option<StepLog>> {
        self.made.take().map(|made| self.log(made)).transpose()
    }

    /// Waits for the figures of a step.
    fn log(&self, made: Made) -> Result<StepLog> {
        let Made { step, learning_rate, size, times, .. } = made;
        let (loss, grad_norm) = (made.loss.wait()?, made.grad_norm.wait()?);
        match loss.is_finite() && grad_norm.is_finite() {
            true => Ok(StepLog { step, loss, learning_rate, grad_norm, size, times }),
            false => Err(self.diverged(step, not_finite(loss, grad_norm, learning_rate))),
        }
    }

    /// Refuses weights that are not finite: the last update has no loss after it that would show the damage.
    ///
    /// # Errors
    /// When one is not; the message says at which step.
    pub fn check_weights(&self) -> Result<()> {
        let values: Vec<Tensor> = self.params.iter().map(Param::value).collect();
        // One number to wait for; which one it is matters only if one is not finite.
        if adamw::norm(&values.iter().collect::<Vec<_>>())?.item()?.is_finite() {
            return Ok(());
        }
        for (param, value) in self.params.iter().zip(&values) {
            if !adamw::norm(&[value])?.item()?.is_finite() {
                return Err(self.diverged(self.step, format!("{} is not finite", param.name())));
            }
        }
        Ok(())
    }

    fn diverged(&self, step: u64, what: String) -> anyhow::Error {
        Diverged { step, steps: self.total_steps(), what }.into()
    }
}

impl Made {
    fn is_here(&self) -> bool {
        matches!(self.loss, Later::Here(_))
    }

    /// What is not finite of figures that need not be waited for.
    fn check_if_here(&self) -> Result<(), String> {
        let (Later::Here(loss), Later::Here(norm)) = (&self.loss, &self.grad_norm) else {
            return Ok(());
        };
        match loss.is_finite() && norm.is_finite() {
            true => Ok(()),
            false => Err(not_finite(*loss, *norm, self.learning_rate)),
        }
    }
}

fn not_finite(loss: f64, grad_norm: f64, learning_rate: f64) -> String {
    format!("loss {loss}, gradient norm {grad_norm}, learning rate {learning_rate:e}")
}

fn optimizer(args: &OptimizationArgs, params: &[Param]) -> Box<dyn Optimizer> {
    let groups = weight_decay_groups(params, args.weight_decay);
    let (beta1, beta2, eps) = (args.adam_beta1, args.adam_beta2, args.adam_epsilon);
    match args.optimizer {
        OptimizerName::Adamw => {
            Box::new(Adam::with_options(groups, AdamOptions { beta1, beta2, eps }))
        }
        OptimizerName::Sgd => {
            Box::new(Sgd::new(groups, SgdOptions { momentum: args.momentum, nesterov: false }))
        }
    }
}

fn schedule(args: &OptimizationArgs, peak: f64, total: u64) -> Schedule {
    let warmup = args.warmup_steps.map_or(Warmup::Ratio(args.warmup_ratio), Warmup::Steps);
    let kind = match args.lr_scheduler_type {
        ScheduleName::Constant => ScheduleKind::Constant,
        ScheduleName::Linear => ScheduleKind::Linear,
        ScheduleName::Cosine => ScheduleKind::Cosine,
        ScheduleName::Polynomial => {
            ScheduleKind::Polynomial { power: 1.0, end: POLYNOMIAL_END / peak }
        }
    };
    Schedule { kind, warmup: warmup.steps(total), total }
}
