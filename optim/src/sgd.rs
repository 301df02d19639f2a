//! Stochastic gradient descent, with momentum and Nesterov's variant.
//!
//! ```text
//! d = g + wd w                       L2 decay, as in PyTorch
//! u = d               at the first step
//! u = mu u + d        afterwards
//! w = w - lr u                       momentum
//! w = w - lr (d + mu u)              Nesterov
//! ```
//!
//! Source: Sutskever et al., 2013, <https://proceedings.mlr.press/v28/sutskever13.html>; in PyTorch's form,
//! where the learning rate multiplies the velocity instead of entering it.

use autograd::{Gradients, Param};
use tensor::Tensor;

use crate::state::restored;
use crate::{Optimizer, ParamGroup, Result, State, StepSize};

/// Momentum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SgdOptions {
    /// mu; 0 keeps no velocity.
    pub momentum: f64,
    /// Looks ahead along the velocity.
    pub nesterov: bool,
}

/// SGD.
#[derive(Debug)]
pub struct Sgd {
    options: SgdOptions,
    groups: Vec<ParamGroup>,
    velocities: Vec<(Param, Tensor)>,
    step: u64,
}

impl Sgd {
    /// With the given groups and momentum.
    pub fn new(groups: Vec<ParamGroup>, options: SgdOptions) -> Self {
        let params = groups.iter().flat_map(|g| &g.params);
        let velocities = params.map(|p| (p.clone(), p.value().zeros_like())).collect();
        Self { options, groups, velocities, step: 0 }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, grads: &Gradients, size: StepSize) -> Result<()> {
        self.step += 1;
        let groups = self.groups.iter().flat_map(|g| std::iter::repeat_n(g, g.params.len()));
        for ((param, u), group) in self.velocities.iter_mut().zip(groups) {
            let Some(grad) = grads.param(param) else { continue };
            let w = param.value();
            let d = grad.scale(size.grad_scale)?.add(&w.scale(group.weight_decay)?)?;
            // The velocity starts at zero, so `mu u + d` is `d` at the first step.
            *u = u.scale(self.options.momentum)?.add(&d)?;
            let direction = match self.options.nesterov {
                true => d.add(&u.scale(self.options.momentum)?)?,
                false => u.clone(),
            };
            param.set(w.sub(&direction.scale(size.lr * group.lr_factor)?)?);
        }
        Ok(())
    }

    fn state(&self) -> State {
        let named = |(p, u): &(Param, Tensor)| (format!("momentum.{}", p.name()), u.clone());
        State { step: self.step, tensors: self.velocities.iter().map(named).collect() }
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        self.velocities = restored(state, "momentum", &self.velocities)?;
        self.step = state.step;
        Ok(())
    }
}
