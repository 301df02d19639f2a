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
use nn::Pass;
use optim::{
    Adam, AdamOptions, Optimizer, Schedule, ScheduleKind, Sgd, SgdOptions, StepSize, Warmup, clip,
    weight_decay_groups,
};

use crate::args::{OptimizationArgs, OptimizerName, ScheduleName, wrong_flags};

/// The last learning rate of the polynomial schedule: transformers' default.
const POLYNOMIAL_END: f64 = 1e-7;

/// Refuses a schedule that would rise from its peak.
///
/// # Errors
/// When it would.
pub fn check_schedule(args: &OptimizationArgs, peak: f64) -> Result<()> {
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
    /// Sequences in the batch.
    pub examples: usize,
    /// Where the time went.
    pub times: StepTimes,
}

/// Seconds of the parts of a step.
#[derive(Clone, Copy, Debug)]
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

/// Parameters on their way down.
pub struct Optimization<'a> {
    args: &'a OptimizationArgs,
    params: Vec<Param>,
    optimizer: Box<dyn Optimizer>,
    schedule: Schedule,
    peak: f64,
    step: u64,
}

impl<'a> Optimization<'a> {
    /// Prepares `total` steps over `params`, of which the frozen ones stay as they are; `peak` is the highest
    /// learning rate.
    pub fn new(params: Vec<Param>, args: &'a OptimizationArgs, peak: f64, total: u64) -> Self {
        let params: Vec<Param> = params.into_iter().filter(|p| !p.is_frozen()).collect();
        let optimizer = optimizer(args, &params);
        Self { args, params, optimizer, schedule: schedule(args, peak, total), peak, step: 0 }
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

    /// One step down a loss, which is the mean over `examples` sequences.
    ///
    /// # Errors
    /// Those of the loss, and when it or the gradients are not finite.
    pub fn step(
        &mut self,
        examples: usize,
        loss: impl FnOnce(&Pass) -> Result<Var>,
    ) -> Result<StepLog> {
        let mut watch = Stopwatch(Instant::now());
        // The number of a step fits in 32 bits: 2^32 steps are years.
        let pass = Pass::training(self.args.seed, self.step as u32)
            .with_precision(self.args.precision.into())
            .with_recomputation(self.args.checkpoint_activations);
        let loss = loss(&pass)?;
        let value = loss.value().item()?;
        let forward = watch.lap();
        let grads = loss.backward()?;
        let backward = watch.lap();
        let grad_norm = clip::global_norm(&self.params, &grads)?;
        let learning_rate = self.peak * self.schedule.factor(self.step);
        self.check_finite(value, grad_norm, learning_rate)?;
        let grad_scale = match self.args.max_grad_norm {
            0.0 => 1.0,
            limit => clip::factor(grad_norm, limit),
        };
        self.optimizer.step(&grads, StepSize { lr: learning_rate, grad_scale })?;
        self.step += 1;
        let times = StepTimes { forward, backward, optimizer: watch.lap() };
        let step = self.step;
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

    /// Refuses weights that are not finite: the last update has no loss after it that would show the damage.
    ///
    /// # Errors
    /// When one is not; the message says at which step.
    pub fn check_weights(&self) -> Result<()> {
        for param in &self.params {
            if !tensor::ops::reduce::sum_squares(&param.value())?.is_finite() {
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
            Box::new(Sgd::new(groups, SgdOptions { momentum: beta1, nesterov: false }))
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
