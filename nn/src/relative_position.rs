//! How the scores of attention depend on the distance of two tokens.

use autograd::Param;

use crate::{Module, RelativeBias, RelativeVectors};

/// One of the ways; its parameters belong to the encoder, whose layers share them.
#[derive(Clone, Debug)]
pub enum RelativePosition {
    /// A number is added.
    Bias(RelativeBias),
    /// Queries and keys meet vectors.
    Vectors(RelativeVectors),
}

impl Module for RelativePosition {
    fn params(&self) -> Vec<Param> {
        match self {
            Self::Bias(bias) => bias.params(),
            Self::Vectors(vectors) => vectors.params(),
        }
    }
}
