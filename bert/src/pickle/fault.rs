//! Why a file was refused, before it is known which file that is.

use std::path::Path;

use crate::Error;

pub(super) type Result<T> = std::result::Result<T, Fault>;

/// What is wrong with a file of `torch.save`.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not whole, or not what it says: another copy may be.
    Damaged(String),
    /// It may be what its writer wanted, but nothing that is read here.
    Unsupported(String),
    /// The operating system can't read it.
    Io(std::io::Error),
}

impl Fault {
    pub fn damaged<T>(message: impl Into<String>) -> Result<T> {
        Err(Self::Damaged(message.into()))
    }

    pub fn unsupported<T>(message: impl Into<String>) -> Result<T> {
        Err(Self::Unsupported(message.into()))
    }

    /// The error of the crate, with the file.
    pub fn of(self, path: &Path) -> Error {
        match self {
            Self::Damaged(message) => Error::checkpoint(path, message),
            Self::Unsupported(message) => {
                Error::Pickle { path: path.display().to_string(), message }
            }
            Self::Io(source) => Error::read(path, source),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(source: std::io::Error) -> Self {
        Self::Io(source)
    }
}
