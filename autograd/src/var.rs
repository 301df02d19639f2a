//! Variables: tensors that may have a place on a tape.

use tensor::Tensor;

use crate::tape::Node;
use crate::{Error, Gradients, Result};

/// A tensor and, if a gradient may flow to it, its place on a tape. Cloning is cheap.
#[derive(Clone)]
pub struct Var {
    pub(crate) value: Tensor,
    pub(crate) node: Option<Node>,
}

impl Var {
    /// A value through which no gradient flows.
    pub fn constant(value: Tensor) -> Self {
        Self { value, node: None }
    }

    /// What stands among the operands of an entry for one that is not there.
    pub(crate) fn absent() -> Self {
        Self::constant(Tensor::zeros(&[0]))
    }

    /// The value.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        self.value.shape()
    }

    /// The same value, cut off from the tape.
    pub fn detach(&self) -> Self {
        Self::constant(self.value.clone())
    }

    /// Whether gradients flow to this variable.
    pub fn needs_gradient(&self) -> bool {
        self.node.is_some()
    }

    /// The gradients of this scalar with respect to all parameters and inputs it depends on. The tape is
    /// consumed: its saved activations are freed on the way.
    ///
    /// # Errors
    /// When this is not a single element, depends on nothing recorded, or the tape was walked before.
    pub fn backward(&self) -> Result<Gradients> {
        let mut gradients = Gradients::default();
        self.backward_onto(&mut gradients)?;
        Ok(gradients)
    }

    /// As [`backward`](Var::backward), and adds the gradients of parameters to those of other scalars: of the batches
    /// that a step is made of, say, each in the memory of one.
    ///
    /// # Errors
    /// As `backward`; `gradients` may hold a part of the sum then.
    pub fn backward_onto(&self, gradients: &mut Gradients) -> Result<()> {
        if self.value.len() != 1 {
            return Err(Error::NotScalar(self.shape().to_vec()));
        }
        let node = self.node.as_ref().ok_or(Error::NotRecorded)?;
        let one = Tensor::full(1.0, self.shape()).to_dtype(self.value.dtype())?;
        node.walk(one.to_device(&self.value.device())?, gradients)
    }
}

impl std::fmt::Debug for Var {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.node.as_ref().map(|n| n.place);
        f.debug_struct("Var").field("value", &self.value).field("place", &place).finish()
    }
}
