//! Clipping by the global norm.
//!
//! ```text
//! norm   = sqrt(sum over all gradients of g^2)
//! factor = min(1, max_norm / (norm + 1e-6))
//! ```
//!
//! Where the gradients are on a GPU the norm stays there, and the update reads it from there: the host does not wait
//! for it. All gradients are scaled by one factor, so the direction of the step stays.
//!
//! Source: Pascanu, Mikolov, Bengio, 2013, <https://arxiv.org/abs/1211.5063>.

use autograd::{Gradients, Param};
use tensor::ops::adamw;
pub use tensor::ops::adamw::clip_factor as factor;
use tensor::{Device, Tensor};

use crate::Result;

/// The Euclidean norm of all gradients together, `[]`, where they are; summed in f64.
///
/// # Errors
/// When a gradient is not f32 or f64, or they are on several devices.
pub fn global_norm(params: &[Param], grads: &Gradients) -> Result<Tensor> {
    let values: Vec<&Tensor> =
        params.iter().filter_map(|p| grads.of(p)).map(|grad| grad.values()).collect();
    Ok(adamw::norm(&values)?)
}

/// What multiplies every gradient before the update.
#[derive(Clone, Debug)]
pub enum GradScale {
    /// A number; 1 leaves them alone.
    Factor(f64),
    /// The factor that brings them down to a norm.
    Clip {
        /// The norm that they have, [`global_norm`].
        norm: Tensor,
        /// The greatest that they may have.
        max_norm: f64,
    },
}

impl GradScale {
    /// The factor on the host, which waits for the norm.
    ///
    /// # Errors
    /// When the norm can't be read.
    pub fn factor(&self) -> Result<f64> {
        match self {
            GradScale::Factor(factor) => Ok(*factor),
            GradScale::Clip { norm, max_norm } => Ok(factor(norm.item()?, *max_norm)),
        }
    }

    /// What multiplies every gradient of a step, where the norm is.
    ///
    /// # Errors
    /// When the norm can't be read on the host, or a GPU is full.
    pub(crate) fn multiplier(&self) -> Result<Multiplier> {
        match self {
            GradScale::Clip { norm, max_norm } if norm.device() != Device::Cpu => {
                let clip = adamw::Clip { norm, max_norm: *max_norm };
                Ok(Multiplier::There(adamw::clip_scalar(clip)?))
            }
            _ => Ok(Multiplier::Number(self.factor()?)),
        }
    }
}

/// A number, or a scalar on a GPU, which the host does not wait for.
pub(crate) enum Multiplier {
    Number(f64),
    There(Tensor),
}

impl Multiplier {
    pub fn apply(&self, grad: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Number(factor) => grad.scale(*factor)?,
            Self::There(factor) => grad.mul(factor)?,
        })
    }
}

impl From<f64> for GradScale {
    fn from(factor: f64) -> Self {
        GradScale::Factor(factor)
    }
}
