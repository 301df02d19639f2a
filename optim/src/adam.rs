//! Adam and AdamW.
//!
//! ```text
//! m = b1 m + (1 - b1) g              mhat = m / (1 - b1^t)
//! v = b2 v + (1 - b2) g^2            vhat = v / (1 - b2^t)
//! w = w - lr wd w                    AdamW: decoupled weight decay, before the step
//! w = w - lr mhat / (sqrt(vhat) + eps)
//! ```
//!
//! t counts from 1; epsilon stands outside the root. The whole update of a parameter is one pass over
//! memory, `kernels::adamw`. Sources: Kingma and Ba, 2014, <https://arxiv.org/abs/1412.6980>, algorithm 1;
//! Loshchilov and Hutter, 2017, <https://arxiv.org/abs/1711.05101>, algorithm 2.

use autograd::{Gradients, Param};
use tensor::Tensor;
use tensor::ops::adamw::{self, Step};

use crate::state::restored;
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
    /// The first moment of each parameter, in the order of the groups.
    means: Vec<(Param, Tensor)>,
    /// The second moments.
    squares: Vec<(Param, Tensor)>,
    step: u64,
}

impl Adam {
    /// Adam without weight decay.
    pub fn adam(params: &[Param]) -> Self {
        Self::adamw(crate::weight_decay_groups(params, 0.0))
    }

    /// AdamW.
    pub fn adamw(groups: Vec<ParamGroup>) -> Self {
        Self::with_options(groups, AdamOptions::default())
    }

    /// AdamW with other rates.
    pub fn with_options(groups: Vec<ParamGroup>, options: AdamOptions) -> Self {
        let zeros = |p: &Param| (p.clone(), p.value().zeros_like());
        let params = || groups.iter().flat_map(|g| &g.params);
        let (means, squares) = (params().map(zeros).collect(), params().map(zeros).collect());
        Self { options, groups, means, squares, step: 0 }
    }

    fn settings(&self, group: &ParamGroup, size: StepSize) -> Step {
        Step {
            lr: (size.lr * group.lr_factor) as f32,
            beta1: self.options.beta1 as f32,
            beta2: self.options.beta2 as f32,
            eps: self.options.eps as f32,
            weight_decay: group.weight_decay as f32,
            step: self.step,
            grad_scale: size.grad_scale as f32,
        }
    }
}

impl Optimizer for Adam {
    fn step(&mut self, grads: &Gradients, size: StepSize) -> Result<()> {
        self.step += 1;
        let settings: Vec<Step> = (self.groups.iter())
            .flat_map(|g| std::iter::repeat_n(self.settings(g, size), g.params.len()))
            .collect();
        let moments = self.means.iter_mut().zip(&mut self.squares);
        for (((param, m), (_, v)), step) in moments.zip(settings) {
            if let Some(grad) = grads.param(param) {
                param.update(|w| adamw::update(step, w, grad, (m, v)))?;
            }
        }
        Ok(())
    }

    fn state(&self) -> State {
        let named = |prefix: &str, slots: &[(Param, Tensor)]| -> Vec<(String, Tensor)> {
            slots.iter().map(|(p, t)| (format!("{prefix}.{}", p.name()), t.clone())).collect()
        };
        let mut tensors = named("exp_avg", &self.means);
        tensors.extend(named("exp_avg_sq", &self.squares));
        State { step: self.step, tensors }
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        // Both or neither: a refused state leaves the optimizer as it was.
        let means = restored(state, "exp_avg", &self.means)?;
        let squares = restored(state, "exp_avg_sq", &self.squares)?;
        (self.means, self.squares, self.step) = (means, squares, state.step);
        Ok(())
    }
}
