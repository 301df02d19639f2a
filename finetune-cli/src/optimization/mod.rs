//! What every training has: schedule, clipping, update rule, and a look at whether it still converges.
//!
//! ```text
//! loss   = a function of the parameters, with dropout: a mean over the parts of a step
//! grads  = d loss / d parameters, the sum over the parts
//! factor = clip(global norm of grads)
//! update(parameters, factor * grads, learning rate of the step)
//! ```

mod step;

use std::time::Instant;

use anyhow::Result;
use autograd::{Param, Tensor};
use nn::Pass;
use optim::{
    Adam, AdamOptions, GradScale, Optimizer, Schedule, ScheduleKind, Sgd, SgdOptions, StepSize,
    Warmup, clip, weight_decay_groups,
};
use tensor::ops::adamw;

pub use step::{BatchSize, Forward, Part, StepLog, StepTimes};
use step::{Descent, Made, Stopwatch, not_finite};

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

    /// Makes the updates that were deferred for these rows of a table: before a step that reads no others.
    ///
    /// # Errors
    /// When moments and weights do not fit.
    pub fn catch_up(&mut self, table: &Param, rows: &[u32]) -> Result<()> {
        Ok(self.optimizer.catch_up(table, rows)?)
    }

    /// Makes all updates that were deferred, as the end of an epoch does.
    ///
    /// # Errors
    /// When moments and weights do not fit.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.optimizer.flush()?)
    }

    /// One step down the mean loss over `parts`, of which there is one or more, one after the other in the memory of
    /// one. Gives the log of this step, on a GPU that of the one before.
    ///
    /// # Errors
    /// Those of the losses, and when they or the gradients are not finite, on a GPU those of the step before.
    ///
    /// # Panics
    /// When there are no parts.
    pub fn step(&mut self, parts: Vec<Part>) -> Result<Option<StepLog>> {
        let Descent { loss, weight, grads, size, times } =
            Descent::of(parts, &|part| self.pass(part))?;
        let mut watch = Stopwatch(Instant::now());
        let norm = clip::global_norm(&self.params, &grads)?;
        let mut made = self.ask_for([&loss, &norm], weight, size, times)?;
        // On the host the figures are there: nothing is updated by what is not finite.
        made.check_if_here().map_err(|what| self.diverged(made.step, what))?;
        let (lr, grad_scale) = (made.learning_rate, self.grad_scale(norm));
        self.optimizer.step(&grads, StepSize { lr, grad_scale })?;
        self.step = made.step;
        made.times.optimizer = watch.lap();
        self.newest_log(made)
    }

    /// The forward of a part of the next step.
    fn pass(&self, part: usize) -> Pass {
        let parts = u64::from(self.args.gradient_accumulation_steps);
        // The number fits in 32 bits: 2^32 of them are years.
        let number = self.step * parts + part as u64;
        Pass::training(self.args.seed, number as u32)
            .with_precision(self.args.precision.into())
            .with_recomputation(self.args.checkpoint_activations)
    }

    /// The next step, whose loss and gradient norm are asked for and not waited for.
    fn ask_for(
        &self,
        [loss, grad_norm]: [&Tensor; 2],
        weight: f64,
        size: BatchSize,
        times: StepTimes,
    ) -> Result<Made> {
        let learning_rate = self.peak * self.schedule.factor(self.step);
        let [loss, grad_norm] = [loss.item_later()?, grad_norm.item_later()?];
        Ok(Made { step: self.step + 1, loss, weight, grad_norm, learning_rate, size, times })
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
        let Made { step, weight, learning_rate, size, times, .. } = made;
        let (loss, grad_norm) = (made.loss.wait()?, made.grad_norm.wait()?);
        match loss.is_finite() && grad_norm.is_finite() {
            true => Ok(StepLog { step, loss, weight, learning_rate, grad_norm, size, times }),
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
