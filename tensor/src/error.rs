//! What can go wrong with tensors: every message names the op and both sides.

use crate::{DType, Device};

/// The result of a tensor operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a tensor operation was refused. Nothing is computed when one is returned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The shape of an operand does not fit.
    #[error("{op}: expected shape {expected}, got {got:?}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// What it takes, in the notation of the docs: `[.., 768]`.
        expected: String,
        /// What it was given.
        got: Vec<usize>,
    },
    /// Two shapes that can't be combined.
    #[error("{op}: shapes {left:?} and {right:?} do not fit together")]
    Shapes {
        /// The operation.
        op: &'static str,
        /// The shape of the first operand.
        left: Vec<usize>,
        /// The shape of the second operand.
        right: Vec<usize>,
    },
    /// The dtype of an operand is not one that the operation takes.
    #[error("{op}: expected {expected}, got {got}")]
    DType {
        /// The operation.
        op: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it was given.
        got: DType,
    },
    /// The probability of dropout is not one in [0, 1).
    #[error("{op}: expected a probability of dropout in [0, 1), got {p}")]
    Dropout {
        /// The operation.
        op: &'static str,
        /// What it was given.
        p: f32,
    },
    /// A number of an operation is not in its range.
    #[error("{op}: expected {expected}, got {got}")]
    Number {
        /// The operation.
        op: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it was given.
        got: f64,
    },
    /// An axis that the tensor does not have.
    #[error("{op}: axis {axis} of a tensor of shape {shape:?}")]
    Axis {
        /// The operation.
        op: &'static str,
        /// The axis asked for.
        axis: usize,
        /// The tensor's shape.
        shape: Vec<usize>,
    },
    /// An index beyond the table that it points into.
    #[error("{op}: index {index} at position {position}, but there are only {limit} rows")]
    Index {
        /// The operation.
        op: &'static str,
        /// The index.
        index: u64,
        /// Where in the list of indices it stands.
        position: usize,
        /// The number of rows of the table.
        limit: usize,
    },
    /// An operand is on another device.
    #[error("{op}: expected operands on {expected}, got one on {got}: `to_device` copies")]
    Device {
        /// The operation.
        op: &'static str,
        /// Where the others are.
        expected: String,
        /// Where this one is.
        got: Device,
    },
    /// A GPU did not do what it was asked.
    #[error(transparent)]
    Cuda(#[from] kernels::cuda::Error),
    /// Offsets that are no division of the tokens into sequences, or not the one that an operation takes.
    #[error("cu_seqlens: {0}")]
    CuSeqLens(String),
    /// A file could not be read or written.
    #[error("{path}: can't be read or written")]
    Io {
        /// The file.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A safetensors file is not what its header says.
    #[error("{path}: {message}")]
    Safetensors {
        /// The file.
        path: String,
        /// What is wrong with it.
        message: String,
    },
}
