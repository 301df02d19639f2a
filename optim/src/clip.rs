//! Clipping by the global norm.
//!
//! ```text
//! norm   = sqrt(sum over all gradients of g^2)
//! factor = min(1, max_norm / (norm + 1e-6))
//! ```
//!
//! All gradients are scaled by one factor, so the direction of the step stays. 1e-6 is PyTorch's, against
//! division by zero. Source: Pascanu, Mikolov, Bengio, 2013, <https://arxiv.org/abs/1211.5063>.

use autograd::{Gradients, Param};

use crate::Result;

/// The Euclidean norm of all gradients together, summed in f64 in the order of `params`.
///
/// # Errors
/// When a gradient is not f32 or f64.
pub fn global_norm(params: &[Param], grads: &Gradients) -> Result<f64> {
    let mut squares = 0.0;
    for grad in params.iter().filter_map(|p| grads.of(p)) {
        squares += tensor::ops::reduce::sum_squares(grad.values())?;
    }
    Ok(squares.sqrt())
}

/// The factor that brings `norm` down to `max_norm`, 1 if it is smaller; NaN if `norm` is.
pub fn factor(norm: f64, max_norm: f64) -> f64 {
    let factor = max_norm / (norm + 1e-6);
    if factor >= 1.0 { 1.0 } else { factor }
}
