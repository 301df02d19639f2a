//! What every layer has in common: a list of parameters.

use autograd::{Param, Result};
use tensor::Device;

/// Something with parameters.
///
/// Loading, saving, freezing, weight-decay groups and optimizers are all loops over this list; each layer
/// writes it by hand, in the order of a checkpoint.
pub trait Module {
    /// Handles to all parameters, in a fixed order.
    fn params(&self) -> Vec<Param>;
}

/// The number of elements of all parameters.
pub fn count(params: &[Param]) -> usize {
    params.iter().map(|p| p.shape().iter().product::<usize>()).sum()
}

/// Moves parameters to a device.
///
/// # Errors
/// When a GPU is full.
///
/// # Panics
/// When updates of some rows are deferred (`Optimizer::catch_up`).
pub fn to_device(params: &[Param], device: &Device) -> Result<()> {
    params.iter().try_for_each(|param| param.to_device(device))
}

/// Excludes parameters from differentiation (`true`), or includes them again.
pub fn freeze(params: &[Param], frozen: bool) {
    params.iter().for_each(|p| p.freeze(frozen));
}
