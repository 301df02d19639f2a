//! File formats, and a file as text.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::str::FromStr;

use super::error::{Error, Result};

/// How rows are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated with a header (`.csv`).
    Csv,
    /// Tab-separated with a header (`.tsv`); quotes are read as in CSV, as pandas and `csv.DictReader` do.
    Tsv,
    /// One JSON object per line (`.jsonl`, `.ndjson`).
    Jsonl,
    /// One JSON array of objects, alone or under the only key `data` (`.json`).
    Json,
    /// A word and its tags a line, a blank line between sentences (`.conll`, `.iob`, `.iob2`, `.bio`).
    Conll,
    /// Universal Dependencies (`.conllu`): ten columns, of which `form` and `upos` are words and parts of speech.
    Conllu,
    /// Apache Parquet (`.parquet`), plain or by snappy, gzip or zstd; groups are read as objects.
    Parquet,
}

impl Format {
    /// The format that the extension of `path` names, in either case.
    ///
    /// # Errors
    /// When there is no extension or no format has it.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        extension.parse().map_err(|_| Error::UnknownExtension { path: path.into() })
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name.to_lowercase().as_str() {
            "csv" => Ok(Self::Csv),
            "tsv" => Ok(Self::Tsv),
            "jsonl" | "ndjson" => Ok(Self::Jsonl),
            "json" => Ok(Self::Json),
            "parquet" => Ok(Self::Parquet),
            "conll" | "iob" | "iob2" | "bio" => Ok(Self::Conll),
            "conllu" => Ok(Self::Conllu),
            _ => Err(Error::UnknownFormat { name: name.into() }),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Conll => "conll",
            Self::Conllu => "conllu",
        })
    }
}

/// That `path` is there and is no directory.
pub(super) fn check(path: &Path) -> Result<()> {
    let found = std::fs::metadata(path).map_err(|source| unreadable(path, source))?;
    if found.is_dir() {
        return Err(Error::Directory { path: path.into() });
    }
    Ok(())
}

/// The bytes of the whole file.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| unreadable(path, source))
}

/// Bytes as text; a byte order mark is still in front. `path` is for messages.
pub(super) fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let byte = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let line = 1 + bytes[..byte].iter().filter(|&&b| b == b'\n').count();
        let utf16 = bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]);
        let guess = if utf16 { " (it looks like UTF-16)" } else { "" };
        Error::NotUtf8 { path: path.into(), line, byte, guess }
    })
}

fn unreadable(path: &Path, source: std::io::Error) -> Error {
    match source.kind() {
        ErrorKind::NotFound => Error::NotFound { path: path.into() },
        _ => Error::Io { path: path.into(), source },
    }
}
