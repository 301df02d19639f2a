//! Losses that are the mean of a function of prediction and target, element by element: each names its kernels and
//! its definition, the rest is the same.

use kernels::cuda::{self, Array, Slice};

use super::{Floats, floats, gpu_scalar, not_empty, same_shape, wide, wide_scalar};
use crate::{Result, Tensor};

/// One such loss.
pub(super) struct MeanLoss {
    /// The op's name in errors.
    pub op: &'static str,
    pub f32: Kernels,
    pub f64: Definition,
    pub cuda: GpuKernels,
}

/// The loss from x and targets; dx, written to the last operand, from these and the gradient of the loss.
pub(super) struct Kernels {
    pub forward: fn(&[f32], &[f32]) -> f32,
    pub backward: fn(&[f32], &[f32], f32, &mut [f32]),
}

/// The same by the definition.
pub(super) struct Definition {
    pub forward: fn(&[f64], &[f64]) -> f64,
    pub backward: fn(&[f64], &[f64], f64) -> Vec<f64>,
}

/// The same on a GPU.
pub(super) struct GpuKernels {
    pub forward: fn(Slice, Slice) -> cuda::Result<Array>,
    pub backward: fn(Slice, Slice, Slice) -> cuda::Result<Array>,
}

impl MeanLoss {
    /// The loss, a scalar; both operands have the same shape.
    pub fn forward(&self, x: &Tensor, targets: &Tensor) -> Result<Tensor> {
        same_shape(self.op, x, targets)?;
        not_empty(self.op, x)?;
        let (x, t) = (x.contiguous()?, targets.contiguous()?);
        Ok(match floats(self.op, [&x, &t])? {
            Floats::Cuda([x, t]) => Tensor::from_array((self.cuda.forward)(x, t)?, &[]),
            Floats::F32([x, t]) => Tensor::scalar((self.f32.forward)(x, t)),
            Floats::F64([x, t]) => wide_scalar((self.f64.forward)(x, t)),
        })
    }

    /// The gradient of x, from the gradient of the loss.
    pub fn backward(&self, x: &Tensor, targets: &Tensor, dloss: &Tensor) -> Result<Tensor> {
        same_shape(self.op, x, targets)?;
        not_empty(self.op, x)?;
        let (x, t) = (x.contiguous()?, targets.contiguous()?);
        Ok(match floats(self.op, [&x, &t])? {
            Floats::Cuda([v, t]) => {
                let dloss = dloss.contiguous()?;
                let dx = (self.cuda.backward)(v, t, gpu_scalar(self.op, &x, &dloss)?)?;
                Tensor::from_array(dx, x.shape())
            }
            Floats::F32([v, t]) => {
                let dloss = dloss.item()? as f32;
                Tensor::build(x.shape(), |dx| (self.f32.backward)(v, t, dloss, dx))
            }
            Floats::F64([v, t]) => wide((self.f64.backward)(v, t, dloss.item()?), x.shape()),
        })
    }
}
