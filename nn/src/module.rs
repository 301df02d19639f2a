//! What every layer has in common: a list of parameters.

use autograd::Param;

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
    params.iter().map(|p| p.value().len()).sum()
}

/// Excludes parameters from differentiation (`true`), or includes them again.
pub fn freeze(params: &[Param], frozen: bool) {
    params.iter().for_each(|p| p.freeze(frozen));
}
