//! From a data file to examples with labels.
//!
//! ```text
//! read_table(path)          -> Table     the file's columns and cells, nothing guessed
//! Schema::infer(&table)     -> Schema    which columns are text and label; the task; the class names
//! Dataset::new(table, &s)   -> Dataset   texts moved out of the table, labels as numbers
//! split::stratified(..)     -> rows      a validation part, where there is no validation file
//! ```
//!
//! The schema is made once, from the training file (or from a saved model), and every other file is read by
//! it. What is guessed, and by which rule, stands in [`Columns`] (the columns) and [`Schema`] (the task).
//!
//! Memory: while a file is parsed its text is there twice (the file and the cells), afterwards once; a
//! [`Dataset`] takes the texts out of the table without copying them.

mod columns;
mod conll;
mod dataset;
mod delimited;
mod error;
mod example;
mod format;
mod guess;
mod json;
mod labels;
mod nesting;
mod parquet;
mod schema;
pub mod split;
mod table;
mod texts;
mod words;

use std::path::Path;

pub use columns::Columns;
pub use dataset::{Dataset, Labels};
pub use error::{Error, Place, Result, Unit};
pub use example::Example;
pub use format::Format;
pub use labels::LabelSet;
pub use schema::{MAX_INTEGER_CLASSES, ProblemType, Schema, Task};
pub use table::{Cell, Column, Table};
pub use texts::TextFiles;
pub use words::spans;

/// What the user said about the data; everything that is left out is guessed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The text column, or the two columns of a pair (`--text-column A[,B]`).
    pub text_columns: Option<Vec<String>>,
    /// The label column (`--label-column`).
    pub label_column: Option<String>,
    /// The format, whatever the file is called (`--format`).
    pub format: Option<Format>,
    /// The task, whatever the labels look like (`--problem-type`).
    pub problem_type: Option<ProblemType>,
    /// What stands between the labels of one cell (`--label-delimiter`); makes the task multi-label.
    pub label_delimiter: Option<char>,
    /// Quotes in CSV and TSV are ordinary characters (`--literal-quotes`), as in the GLUE downloads.
    pub literal_quotes: bool,
}

/// Reads a whole data file, in the format of its extension unless `options.format` names one.
///
/// # Errors
/// When the file cannot be read, text in it is not UTF-8, it has no rows or breaks the rules of its format.
pub fn read_table(path: &Path, options: &Options) -> Result<Table> {
    format::check(path)?;
    let format = options.format.map_or_else(|| Format::of(path), Ok)?;
    parse_table(path, format::read_bytes(path)?, format, !options.literal_quotes)
}

/// The table that these bytes are, from standard input say; `name` is for messages. In CSV and TSV, `quotes` may
/// surround a cell.
///
/// # Errors
/// When text is not UTF-8, there are no rows, or the rules of the format are broken.
pub fn parse_table(name: &Path, bytes: Vec<u8>, format: Format, quotes: bool) -> Result<Table> {
    let table = match format {
        Format::Parquet => parquet::parse(name, bytes),
        Format::Csv => delimited::parse(name, &text_of(name, bytes)?, b',', quotes),
        Format::Tsv => delimited::parse(name, &text_of(name, bytes)?, b'\t', quotes),
        Format::Conll => conll::parse(name, &text_of(name, bytes)?),
        Format::Conllu => conll::parse_universal(name, &text_of(name, bytes)?),
        Format::Jsonl => json::parse_lines(name, &text_of(name, bytes)?),
        Format::Json => json::parse_array(name, &text_of(name, bytes)?),
    }?;
    if table.rows() == 0 {
        return Err(Error::NoRows { path: name.into() });
    }
    Ok(table)
}

/// A file of text, which is not blank, without its byte order mark.
fn text_of(name: &Path, bytes: Vec<u8>) -> Result<String> {
    let mut text = format::text_of(name, bytes)?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    match text.trim().is_empty() {
        true => Err(Error::Empty { path: name.into() }),
        false => Ok(text),
    }
}
