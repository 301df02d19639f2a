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
use tensor::Tensor;
use tensor::ops::adamw;
pub use tensor::ops::adamw::clip_factor as factor;

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

    /// A gradient, scaled where it is: the host waits for nothing.
    ///
    /// # Errors
    /// When it is not where the norm is.
    pub fn of(&self, grad: &Tensor) -> Result<Tensor> {
        Ok(match self {
            GradScale::Factor(factor) => grad.scale(*factor)?,
            GradScale::Clip { norm, max_norm } => {
                adamw::clipped(grad, adamw::Clip { norm, max_norm: *max_norm })?
            }
        })
    }
}

impl From<f64> for GradScale {
    fn from(factor: f64) -> Self {
        GradScale::Factor(factor)
    }
}
