//! What can go wrong with derivatives.

/// The result of a recorded operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation, a walk or a check failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tensor operation underneath refused.
    #[error(transparent)]
    Tensor(#[from] tensor::Error),
    /// A walk begins at a scalar.
    #[error("backward: expected a loss of one element, got shape {0:?}")]
    NotScalar(Vec<usize>),
    /// Nothing was recorded for this variable: it depends on no parameter, or there was no tape.
    #[error("backward: the loss depends on no parameter and no input of a recording tape")]
    NotRecorded,
    /// The walk consumes the tape.
    #[error("backward: this tape was walked already; record a new one")]
    Walked,
    /// Operands that were recorded apart.
    #[error("{op}: the operands are on different tapes")]
    TwoTapes {
        /// The operation.
        op: &'static str,
    },
    /// A derivative rule returned a gradient of the wrong shape.
    #[error("{op}: gradient {input} has shape {got:?}, its input has {expected:?}")]
    GradientShape {
        /// The operation.
        op: &'static str,
        /// Which of its inputs.
        input: usize,
        /// The shape of that input.
        expected: Vec<usize>,
        /// The shape of the gradient.
        got: Vec<usize>,
    },
    /// A derivative rule returned no gradient for an input that needs one: what is below would stay as it
    /// is, as if frozen.
    #[error("{op}: no gradient for input {input}, which needs one")]
    NoGradient {
        /// The operation.
        op: &'static str,
        /// Which of its inputs.
        input: usize,
    },
    /// Rows of a table are read that have updates ahead of them.
    #[error(
        "{name}: updates of its rows are deferred; let the optimizer catch up with the rows of this batch, \
         or flush, before the forward"
    )]
    Deferred {
        /// The parameter.
        name: String,
    },
    /// The gradient check found a derivative that is not the slope.
    #[error("gradient check: {0}")]
    Mismatch(String),
}
