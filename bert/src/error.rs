//! What can go wrong with a model folder, its tokenizer, and the model made of it.

use std::path::Path;

/// The result of anything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a folder was refused or a model can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The differentiable operation underneath refused.
    #[error(transparent)]
    Autograd(#[from] autograd::Error),
    /// The tensor operation, or the safetensors file, underneath refused.
    #[error(transparent)]
    Tensor(#[from] tensor::Error),
    /// A file could not be read.
    #[error("{path}: can't be read")]
    Read {
        /// The file.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file or folder could not be written.
    #[error("{path}: can't be written; choose a folder that you may write to")]
    Write {
        /// The file or folder.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// None of the files that could hold something is there.
    #[error("{folder}: no {what}: looked for {looked_for}; is this the folder of a model?")]
    NotFound {
        /// The folder.
        folder: String,
        /// What is wanted: weights, a configuration, a tokenizer.
        what: &'static str,
        /// The names of the files that would do.
        looked_for: &'static str,
    },
    /// A file of `torch.save` holds more than a dict of tensors, or holds it in another way than torch writes it.
    #[error(
        "{path}: not a dict of tensors as torch.save writes it: {message}; if you trust the file, convert it with \
         transformers: AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER)"
    )]
    Pickle {
        /// The file.
        path: String,
        /// What was found.
        message: String,
    },
    /// A configuration is not valid, or not of a model that this crate has.
    #[error("{path}: {message}")]
    Config {
        /// The file.
        path: String,
        /// Which key, what was expected and what was found.
        message: String,
    },
    /// The stored tensors are not the weights of one model.
    #[error("{path}: {message}")]
    Checkpoint {
        /// The file or folder.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// Weights of other sizes than the configuration says, and those of the encoder that are not there: all of them.
    #[error("{path}: weights do not fit the configuration: {}", join(mismatches))]
    Shapes {
        /// The folder.
        path: String,
        /// Every weight concerned; the message names the first of them.
        mismatches: Vec<Mismatch>,
    },
    /// The files of the tokenizer are not valid, or it can't do what is asked of it.
    #[error("{path}: {message}")]
    Tokenizer {
        /// The file or folder.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// A weight that would become infinite in the dtype that it is to be stored in.
    #[error("{name} has a value too large for {dtype}; store it as f32 or bf16")]
    OutOfRange {
        /// The weight.
        name: String,
        /// The dtype.
        dtype: &'static str,
    },
    /// The decoder of a masked language model has a table of its own.
    #[error(
        "config.json: tie_word_embeddings is false, and a decoder with a table of its own is not read; set it to \
         true to decode with the table of the words"
    )]
    Untied,
    /// A target of LoRA is no linear map of the layers.
    #[error(
        "target module `{target}`: no linear map of a layer has a name that ends so; use some of {known}, or longer \
         ends of their names"
    )]
    Target {
        /// As it was given.
        target: String,
        /// Those that there are.
        known: String,
    },
    /// A rank that no product of two matrices beside a weight can have.
    #[error("rank {rank}: a rank is from 1 to the width of the model, {limit}; 8 is usual")]
    Rank {
        /// As it was given.
        rank: usize,
        /// H.
        limit: usize,
    },
    /// The tokens that are asked about are none, out of order, or not in the batch.
    #[error("positions: {0}")]
    Positions(String),
    /// A sequence has more tokens than the model has positions.
    #[error("a sequence has {length} tokens, the model has {limit} positions; truncate it")]
    TooLong {
        /// The number of tokens.
        length: usize,
        /// The number of positions.
        limit: usize,
    },
}

/// A weight whose stored shape is not the one that the configuration asks for, or that is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The name in the file.
    pub name: String,
    /// The shape by the configuration.
    pub expected: Vec<usize>,
    /// The shape in the file; `None` if it has no such weight.
    pub found: Option<Vec<usize>>,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}: expected {:?}, found ", self.name, self.expected)?;
        match &self.found {
            Some(shape) => write!(f, "{shape:?}"),
            None => f.write_str("none"),
        }
    }
}

/// As many as a screen has room for: those of another model are hundreds.
const MOST_NAMED: usize = 20;

fn join(mismatches: &[Mismatch]) -> String {
    let named = mismatches.iter().take(MOST_NAMED).map(Mismatch::to_string);
    let named = named.collect::<Vec<_>>().join("; ");
    match mismatches.len().saturating_sub(MOST_NAMED) {
        0 => named,
        more => format!("{named}; ... and {more} more"),
    }
}

impl Error {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.display().to_string(), source }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Write { path: path.display().to_string(), source }
    }

    pub(crate) fn config(path: &Path, message: impl Into<String>) -> Self {
        Self::Config { path: path.display().to_string(), message: message.into() }
    }

    pub(crate) fn checkpoint(path: &Path, message: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.display().to_string(), message: message.into() }
    }

    pub(crate) fn tokenizer(path: &Path, message: impl Into<String>) -> Self {
        Self::Tokenizer { path: path.display().to_string(), message: message.into() }
    }

    pub(crate) fn not_found(folder: &Path, what: &'static str, looked_for: &'static str) -> Self {
        Self::NotFound { folder: folder.display().to_string(), what, looked_for }
    }
}
