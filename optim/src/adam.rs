//! Adam and AdamW.
//!
//! ```text
//! m = b1 m + (1 - b1) g              mhat = m / (1 - b1^t)
//! v = b2 v + (1 - b2) g^2            vhat = v / (1 - b2^t)
//! w = w - lr wd w                    AdamW: decoupled weight decay, before the step
//! w = w - lr mhat / (sqrt(vhat) + eps)
//! ```
//!
//! t counts the updates of a parameter, from 1, so that one that is frozen at first starts like the others;
//! epsilon stands outside the root. The whole update of a parameter is one pass over
//! memory, `kernels::adamw`. Sources: Kingma and Ba, 2014, <https://arxiv.org/abs/1412.6980>, algorithm 1;
//! Loshchilov and Hutter, 2017, <https://arxiv.org/abs/1711.05101>, algorithm 2.

use autograd::{Gradients, Param};
use tensor::Tensor;
use tensor::ops::adamw::{self, Step};

use crate::{Optimizer, ParamGroup, Result, State, StepSize};

/// Decay rates of the moments, and epsilon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamOptions {
    /// b1, of the mean.
    pub beta1: f64,
    /// b2, of the mean square.
    pub beta2: f64,
    /// Keeps the quotient finite where gradients vanish.
    pub eps: f64,
}

impl Default for AdamOptions {
    /// 0.9, 0.999 and 1e-8, the paper's and PyTorch's.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

/// Adam with decoupled weight decay per group; without decay it is plain Adam.
#[derive(Debug)]
pub struct Adam {
    options: AdamOptions,
    groups: Vec<ParamGroup>,
    /// In the order of the groups.
    slots: Vec<Slot>,
    step: u64,
}

/// What is kept of one parameter.
#[derive(Debug)]
struct Slot {
    param: Param,
    /// Its place in the list of groups.
    group: usize,
    /// The first moment.
    m: Tensor,
    /// The second moment.
    v: Tensor,
    /// Updates so far.
    updates: u64,
}

impl Slot {
    fn new(group: usize, param: &Param) -> Self {
        let zeros = || param.value().zeros_like();
        Self { param: param.clone(), group, m: zeros(), v: zeros(), updates: 0 }
    }

    fn state(&self) -> [(String, Tensor); 3] {
        let name = self.param.name();
        let updates = Tensor::from_vec(vec![self.updates as i64], &[]);
        [
            (format!("exp_avg.{name}"), self.m.clone()),
            (format!("exp_avg_sq.{name}"), self.v.clone()),
            (format!("step.{name}"), updates.expect("one element")),
        ]
    }
}

impl Adam {
    /// Adam without weight decay.
    pub fn new(params: &[Param]) -> Self {
        Self::adamw(crate::weight_decay_groups(params, 0.0))
    }

    /// AdamW.
    pub fn adamw(groups: Vec<ParamGroup>) -> Self {
        Self::with_options(groups, AdamOptions::default())
    }

    /// AdamW with other rates.
    pub fn with_options(groups: Vec<ParamGroup>, options: AdamOptions) -> Self {
        let slots = (groups.iter().enumerate())
            .flat_map(|(i, group)| group.params.iter().map(move |param| Slot::new(i, param)))
            .collect();
        Self { options, groups, slots, step: 0 }
    }
}

fn settings(options: AdamOptions, group: &ParamGroup, size: StepSize, step: u64) -> Step {
    Step {
        lr: size.lr * group.lr_factor,
        beta1: options.beta1,
        beta2: options.beta2,
        eps: options.eps,
        weight_decay: group.weight_decay,
        step,
        grad_scale: size.grad_scale,
    }
}

impl Optimizer for Adam {
    fn step(&mut self, grads: &Gradients, size: StepSize) -> Result<()> {
        for Slot { param, group, m, v, updates } in &mut self.slots {
            let Some(grad) = grads.param(param) else { continue };
            let step = settings(self.options, &self.groups[*group], size, *updates + 1);
            param.update(|w| adamw::update(step, w, grad, (m, v)))?;
            *updates += 1;
        }
        self.step += 1;
        Ok(())
    }

    fn state(&self) -> State {
        let tensors = self.slots.iter().flat_map(Slot::state).collect();
        State { step: self.step, tensors }
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        // All or nothing: a refused state leaves the optimizer as it was.
        let tensors = state.matching(&self.state())?;
        let (parts, _) = tensors.as_chunks::<3>();
        for (slot, [m, v, updates]) in self.slots.iter_mut().zip(parts) {
            (slot.m, slot.v, slot.updates) = (m.clone(), v.clone(), updates.item()? as u64);
        }
        self.step = state.step;
        Ok(())
    }
}
