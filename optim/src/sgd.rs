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

use crate::{Optimizer, ParamGroup, Result, State, StepSize};

/// Momentum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SgdOptions {
    /// mu; with 0 there is no velocity.
    pub momentum: f64,
    /// Looks ahead along the velocity.
    pub nesterov: bool,
}

impl SgdOptions {
    /// Where to go, from the velocity `u`, which it updates, and the gradient `d`.
    fn direction(&self, velocity: &mut Option<Tensor>, d: Tensor) -> Result<Tensor> {
        if self.momentum == 0.0 {
            return Ok(d);
        }
        let u = match velocity.take() {
            Some(u) => u.scale(self.momentum)?.add(&d)?,
            None => d.clone(),
        };
        let direction = match self.nesterov {
            true => d.add(&u.scale(self.momentum)?)?,
            false => u.clone(),
        };
        *velocity = Some(u);
        Ok(direction)
    }
}

/// SGD.
#[derive(Debug)]
pub struct Sgd {
    options: SgdOptions,
    groups: Vec<ParamGroup>,
    /// `None` for the zeros that a velocity begins as.
    velocities: Vec<(Param, Option<Tensor>)>,
    step: u64,
}

impl Sgd {
    /// With the given groups and momentum.
    pub fn new(groups: Vec<ParamGroup>, options: SgdOptions) -> Self {
        let params = groups.iter().flat_map(|g| &g.params);
        let velocities = params.map(|p| (p.clone(), None)).collect();
        Self { options, groups, velocities, step: 0 }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, grads: &Gradients, size: StepSize) -> Result<()> {
        self.step += 1;
        let multiplier = size.grad_scale.multiplier()?;
        let groups = self.groups.iter().flat_map(|g| std::iter::repeat_n(g, g.params.len()));
        for ((param, u), group) in self.velocities.iter_mut().zip(groups) {
            let Some(grad) = grads.of(param) else { continue };
            let w = param.value();
            let grad = multiplier.apply(&grad.to_dense()?)?;
            let d = grad.add(&w.scale(group.weight_decay)?)?;
            let direction = self.options.direction(u, d)?;
            param.set(w.sub(&direction.scale(size.lr)?)?);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<State> {
        let named = |(param, u): &(Param, Option<Tensor>)| {
            let u = u.clone().map_or_else(|| param.value().zeros_like(), Ok)?;
            Ok((format!("momentum.{}", param.name()), u))
        };
        let tensors = self.velocities.iter().map(named).collect::<Result<_>>()?;
        Ok(State { step: self.step, tensors })
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        let tensors = state.matching(&self.state()?)?;
        for ((param, u), saved) in self.velocities.iter_mut().zip(tensors) {
            *u = Some(saved.to_device(&param.device())?);
        }
        self.step = state.step;
        Ok(())
    }
}
