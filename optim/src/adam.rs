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
//! memory, `kernels::adamw`.
//!
//! Rows of a table that have no gradient move too, as their moments fade. Once [`Optimizer::catch_up`] was called
//! for a table, a step writes down its numbers (rate, decay, corrections, whatever the schedule made of them) and
//! updates the rows of the gradient; the others follow when they are next read. A step without a gradient of the
//! table is none for it and leaves no note; one whose gradient is a whole tensor flushes first.
//!
//! Sources: Kingma and Ba, 2014, <https://arxiv.org/abs/1412.6980>, algorithm 1; Loshchilov and Hutter, 2017,
//! <https://arxiv.org/abs/1711.05101>, algorithm 2.

use autograd::{Gradient, Gradients, Param};
use tensor::ops::adamw::{self, Clip, Lazy, Step, Update};
use tensor::{Device, Rows, Tensor};

use crate::{GradScale, Optimizer, ParamGroup, Result, State, StepSize};

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
    /// The first and second moment; `None` for the zeros that they begin as.
    moments: Option<[Tensor; 2]>,
    /// Updates so far.
    updates: u64,
    /// Of a table that is updated by rows, what they have yet to see.
    lazy: Option<Lazy>,
}

impl Slot {
    fn new(group: usize, param: &Param) -> Self {
        Self { param: param.clone(), group, moments: None, updates: 0, lazy: None }
    }

    /// The moments, in memory from the first update on.
    fn moments<'a>(
        moments: &'a mut Option<[Tensor; 2]>,
        w: &Tensor,
    ) -> Result<(&'a mut Tensor, &'a mut Tensor)> {
        if moments.is_none() {
            *moments = Some([w.zeros_like()?, w.zeros_like()?]);
        }
        let [m, v] = moments.as_mut().expect("just made");
        Ok((m, v))
    }

    fn step(&mut self, grad: &Gradient, step: Step) -> Result<()> {
        match grad {
            Gradient::Rows(rows) if self.lazy.is_some() => self.step_rows(rows, step)?,
            grad => self.step_whole(&grad.to_dense()?, step)?,
        }
        self.updates += 1;
        Ok(())
    }

    fn step_whole(&mut self, grad: &Tensor, step: Step) -> Result<()> {
        self.flush()?;
        self.lazy.as_mut().map(Lazy::set_moving);
        let moments = &mut self.moments;
        self.param.update(|w| {
            let moments = Self::moments(moments, w)?;
            Ok(adamw::update(step, w, grad, moments)?)
        })
    }

    fn step_rows(&mut self, grad: &Rows, step: Step) -> Result<()> {
        let Self { param, moments, lazy: Some(lazy), .. } = self else { return Ok(()) };
        param.update_rows(|w| {
            adamw::update_rows((lazy, step), w, grad, Self::moments(moments, w)?)?;
            Ok(Some(grad.ids().to_vec()))
        })
    }

    /// Makes the deferred updates of the rows `ids`.
    fn catch_up(&mut self, ids: &[u32]) -> Result<()> {
        if self.lazy.is_none() {
            let moments = self.moments.as_ref().map(|[m, v]| (m, v));
            self.lazy = adamw::lazy(&self.param.value(), moments)?;
        }
        self.replay(Some(ids))
    }

    /// Makes the deferred updates of all rows.
    fn flush(&mut self) -> Result<()> {
        self.replay(None)
    }

    fn replay(&mut self, ids: Option<&[u32]>) -> Result<()> {
        let Self { param, moments, lazy: Some(lazy), .. } = self else { return Ok(()) };
        if !lazy.is_pending() {
            return Ok(());
        }
        param.update_rows(|w| {
            adamw::catch_up(lazy, ids, w, Self::moments(moments, w)?)?;
            Ok(ids.map(sorted))
        })
    }

    fn state(&self) -> Result<[(String, Tensor); 3]> {
        let name = self.param.name();
        let zeros = || self.param.value().zeros_like();
        let [m, v] =
            self.moments.clone().map_or_else(|| Ok([zeros()?, zeros()?]), Ok::<_, crate::Error>)?;
        Ok([
            (format!("exp_avg.{name}"), m),
            (format!("exp_avg_sq.{name}"), v),
            (format!("step.{name}"), Tensor::from_vec(vec![self.updates as i64], &[])?),
        ])
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

    fn on_gpu(&self) -> bool {
        self.slots.first().is_some_and(|slot| slot.param.device() != Device::Cpu)
    }

    fn step_on_host(&mut self, grads: &Gradients, size: &StepSize) -> Result<()> {
        let factor = size.grad_scale.factor()?;
        for slot in &mut self.slots {
            let Some(grad) = grads.of(&slot.param) else { continue };
            let group = &self.groups[slot.group];
            slot.step(grad, settings(self.options, group, (size.lr, factor), slot.updates + 1))?;
        }
        Ok(())
    }

    /// All parameters in one launch, which computes the factor of clipping itself.
    fn step_on_gpu(&mut self, grads: &Gradients, size: &StepSize) -> Result<()> {
        let (factor, clip) = match &size.grad_scale {
            GradScale::Factor(factor) => (*factor, None),
            GradScale::Clip { norm, max_norm } => (1.0, Some(Clip { norm, max_norm: *max_norm })),
        };
        let mut moving = self.moving(grads, (size.lr, factor))?;
        // From here to the end of the loop nothing returns: every weight finds its way back.
        let mut updates: Vec<Update> = moving.iter_mut().map(Moving::update).collect();
        let result = adamw::update_all(&mut updates, clip);
        for Moving { slot, weight, .. } in moving {
            slot.param.update(|value| *value = weight);
            slot.updates += 1;
        }
        Ok(result?)
    }

    /// The parameters that have a gradient, with their weights taken out.
    fn moving(&mut self, grads: &Gradients, numbers: (f64, f64)) -> Result<Vec<Moving<'_>>> {
        let mut moving = Vec::with_capacity(self.slots.len());
        for slot in &mut self.slots {
            let Some(grad) = grads.of(&slot.param) else { continue };
            let step = settings(self.options, &self.groups[slot.group], numbers, slot.updates + 1);
            Slot::moments(&mut slot.moments, &slot.param.value())?;
            moving.push(Moving { grad: grad.to_dense()?, step, weight: Tensor::zeros(&[0]), slot });
        }
        for Moving { slot, weight, .. } in &mut moving {
            slot.param.update(|value| std::mem::swap(value, weight));
        }
        Ok(moving)
    }
}

/// A parameter in the middle of a step on a GPU.
struct Moving<'a> {
    slot: &'a mut Slot,
    step: Step,
    grad: Tensor,
    /// Its value, which no one else holds meanwhile, so that it changes in place.
    weight: Tensor,
}

impl Moving<'_> {
    fn update(&mut self) -> Update<'_> {
        let [m, v] = self.slot.moments.as_mut().expect("made before weights were taken");
        Update { step: self.step, w: &mut self.weight, g: &self.grad, m, v }
    }
}

fn sorted(ids: &[u32]) -> Vec<u32> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

/// The numbers of update number `step` of a parameter in `group`.
fn settings(
    options: AdamOptions,
    group: &ParamGroup,
    (lr, grad_scale): (f64, f64),
    step: u64,
) -> Step {
    Step {
        lr,
        beta1: options.beta1,
        beta2: options.beta2,
        eps: options.eps,
        weight_decay: group.weight_decay,
        step,
        grad_scale,
    }
}

impl Optimizer for Adam {
    fn step(&mut self, grads: &Gradients, size: StepSize) -> Result<()> {
        match self.on_gpu() {
            true => self.step_on_gpu(grads, &size)?,
            false => self.step_on_host(grads, &size)?,
        }
        self.step += 1;
        Ok(())
    }

    fn catch_up(&mut self, table: &Param, ids: &[u32]) -> Result<()> {
        let slot = self.slots.iter_mut().find(|slot| slot.param == *table);
        slot.map_or(Ok(()), |slot| slot.catch_up(ids))
    }

    fn flush(&mut self) -> Result<()> {
        self.slots.iter_mut().try_for_each(Slot::flush)
    }

    fn state(&mut self) -> Result<State> {
        self.flush()?;
        let tensors = self.slots.iter().map(Slot::state).collect::<Result<Vec<_>>>()?;
        Ok(State { step: self.step, tensors: tensors.into_iter().flatten().collect() })
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        // All or nothing: a refused state leaves the optimizer as it was.
        let tensors = state.matching(&self.state()?)?;
        let (parts, _) = tensors.as_chunks::<3>();
        for (slot, [m, v, updates]) in self.slots.iter_mut().zip(parts) {
            let device = slot.param.device();
            slot.moments = Some([m.to_device(&device)?, v.to_device(&device)?]);
            slot.updates = updates.item()? as u64;
            slot.lazy = None;
        }
        self.step = state.step;
        Ok(())
    }
}
