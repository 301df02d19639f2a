//! The result of a walk.

use std::collections::HashMap;

use tensor::Tensor;

use crate::gradient::{Gradient, accumulate};
use crate::param::ParamId;
use crate::tape::Place;
use crate::{Param, Result, Var};

/// Where a walk ends.
#[derive(Clone, Copy)]
pub(crate) enum Leaf {
    Param(ParamId),
    Input,
}

/// The gradients of a loss with respect to the parameters and inputs of its tape.
#[derive(Default, Debug)]
pub struct Gradients {
    params: HashMap<ParamId, Option<Gradient>>,
    inputs: HashMap<Place, Tensor>,
}

impl Gradients {
    /// The gradient of a parameter; `None` if the loss does not depend on it or it is frozen. That of a table
    /// is made whole: see [`Gradients::of`].
    ///
    /// # Panics
    /// When that is on a GPU that is full.
    pub fn param(&self, param: &Param) -> Option<Tensor> {
        self.of(param).map(|grad| grad.to_dense().expect("room for the gradient of a table"))
    }

    /// The gradient of a parameter as the walk left it: the rows of a table that was only read by id.
    pub fn of(&self, param: &Param) -> Option<&Gradient> {
        self.params.get(&param.id())?.as_ref()
    }

    /// The gradient of a variable made by [`Tape::input`](crate::Tape::input).
    pub fn input(&self, var: &Var) -> Option<&Tensor> {
        self.inputs.get(&var.node.as_ref()?.place)
    }

    /// A parameter used several times (tied weights) receives the sum over its uses.
    pub(crate) fn add(&mut self, leaf: Leaf, place: Place, grad: Gradient) -> Result<()> {
        match leaf {
            Leaf::Param(id) => accumulate(self.params.entry(id).or_default(), grad.into()),
            Leaf::Input => {
                self.inputs.insert(place, grad.into_dense()?);
                Ok(())
            }
        }
    }

    /// Takes out the gradient of a variable made by [`Tape::input`](crate::Tape::input), if it has one.
    pub(crate) fn take_input(&mut self, var: &Var) -> Option<Tensor> {
        self.inputs.remove(&var.node.as_ref()?.place)
    }
}
