//! What can go wrong in an update.

/// The result of an update.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an update or a saved state was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The derivatives underneath.
    #[error(transparent)]
    Autograd(#[from] autograd::Error),
    /// The tensors underneath.
    #[error(transparent)]
    Tensor(#[from] tensor::Error),
    /// A saved state that belongs to other parameters.
    #[error("optimizer state does not fit: {0}")]
    State(String),
}
