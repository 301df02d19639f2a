//! The lookup table.

use autograd::{Param, Result, Var, ops};
use tensor::Tensor;

use crate::{Initializer, Module, Pass};

/// One learned row per id.
///
/// Shapes: ids `[T]` (u32), table `[V, H]`, y `[T, H]`. Parameter: `NAME.weight`.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// The table, `[V, H]`.
    pub weight: Param,
}

impl Embedding {
    /// A table of `rows` rows of length `width`, by the initialiser's law.
    pub fn new(name: &str, rows: usize, width: usize, init: &Initializer) -> Self {
        Self { weight: init.weight(format!("{name}.weight"), &[rows, width]) }
    }

    /// The rows of `ids`.
    ///
    /// # Errors
    /// When an id is not below V, or updates of its row are deferred.
    pub fn forward(&self, pass: &Pass, ids: &Tensor) -> Result<Var> {
        ops::lookup(pass.tape(), &self.weight, ids)
    }

    /// The rows of `ids` added to those of x, `[T, H]`.
    ///
    /// # Errors
    /// As [`Embedding::forward`].
    pub fn add_to(&self, pass: &Pass, x: &Var, ids: &Tensor) -> Result<Var> {
        ops::lookup_add(pass.tape(), x, &self.weight, ids)
    }
}

impl Module for Embedding {
    fn params(&self) -> Vec<Param> {
        vec![self.weight.clone()]
    }
}
