//! What can be wrong with a data file: what, where, and what to do about it, on one line.

use std::fmt;
use std::path::PathBuf;

use super::schema::{MAX_INTEGER_CLASSES, ProblemType};
use super::table::SPARSE;

/// A result whose error is about a data file.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What rows of a file are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Lines of the file, the header included.
    Line,
    /// Objects of a JSON array, or rows of a Parquet file.
    Row,
}

/// A place in a file, counted from 1; shown as `train.csv, line 4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// What is counted.
    pub unit: Unit,
    /// The count, from 1.
    pub number: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let unit = match self.unit {
            Unit::Line => "line",
            Unit::Row => "row",
        };
        write!(f, "{}, {unit} {}", self.path.display(), self.number)
    }
}

/// Everything that can be wrong with a data file or with what was asked of it.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Error {
    // The file.
    #[error("{}: no such file; check the path", .path.display())]
    NotFound { path: PathBuf },
    #[error("{}: is a directory; name a file in it", .path.display())]
    Directory { path: PathBuf },
    #[error("{}: cannot be read", .path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "{}: no known extension; use .csv, .tsv, .jsonl, .ndjson, .json, .parquet, .conll or .conllu, or name the format with --format",
        .path.display()
    )]
    UnknownExtension { path: PathBuf },
    #[error("unknown format `{name}`; use csv, tsv, jsonl, json, parquet, conll or conllu")]
    UnknownFormat { name: String },
    #[error(
        "{}, line {line}: not UTF-8 at byte {byte}{guess}; save the file as UTF-8",
        .path.display()
    )]
    NotUtf8 { path: PathBuf, line: usize, byte: usize, guess: &'static str },
    #[error("{}: not a regular file; name one that can be read twice", .path.display())]
    NotRegular { path: PathBuf },
    #[error(
        "{}: no known extension; use .txt for one text a line, .csv, .tsv, .jsonl, .ndjson, .json, \
         .parquet, .conll or .conllu, or name the format with --format",
        .path.display()
    )]
    NoTextExtension { path: PathBuf },
    #[error("{}, line {line}: holds a NUL byte; is it a text file?", .path.display())]
    Binary { path: PathBuf, line: usize },
    #[error("{}, line {line}: longer than 1 MiB; break it into lines, one a text", .path.display())]
    LongLine { path: PathBuf, line: usize },
    #[error("{}: there is no text in it; it needs at least one line that is not blank", .path.display())]
    NoText { path: PathBuf },
    #[error("{}: the file is empty; it needs at least one row", .path.display())]
    Empty { path: PathBuf },
    #[error("{}: there are no rows; add some", .path.display())]
    NoRows { path: PathBuf },

    // Its format.
    #[error(
        "{place}: expected {expected} fields as in the header, found {found}; quote fields that hold the delimiter"
    )]
    Ragged { place: Place, expected: usize, found: usize },
    #[error(
        "{place}: expected {expected} fields, found {found}; a line is a word and its tags, all of as many, \
         a blank line ends a sentence"
    )]
    Uneven { place: Place, expected: usize, found: usize },
    #[error("{place}: more than {limit} columns; a line is one word and its tags")]
    TooManyColumns { place: Place, limit: usize },
    #[error("{place}: two columns are called `{name}`; rename one")]
    DuplicateColumn { place: Place, name: String },
    #[error(
        "{place}: a quoted field begins here and never ends; close it, or pass --literal-quotes if quotes are plain text"
    )]
    OpenQuote { place: Place },
    #[error(
        "{place}: a quoted field ends in line {line} with text after its closing quote; double the quotes inside it, or pass --literal-quotes if quotes are plain text"
    )]
    TextAfterQuote { place: Place, line: usize },
    #[error("{place}, column {column}: {message}; {advice}")]
    Json { place: Place, column: usize, message: String, advice: &'static str },
    #[error("{}: not a Parquet file that can be read: {message}; write it again, plain or by snappy, gzip or zstd", .path.display())]
    Parquet { path: PathBuf, message: String },
    #[error(
        "{place}: {number} in column `{column}` is none of the {count} classes that the file lists; correct it"
    )]
    NoSuchClass { place: Place, column: String, number: i64, count: usize },
    #[error(
        "{place}: of {keys} different keys, less than one in {SPARSE} is there in the objects so far; give every object \
         the same keys"
    )]
    Sparse { place: Place, keys: usize },
    #[error("{place}: more than {limit} different keys; give every object the same keys")]
    TooManyKeys { place: Place, limit: usize },

    // Its columns.
    #[error("{}: no column `{name}`; {flag} takes one of {}", .path.display(), quoted(.columns))]
    NoSuchColumn { path: PathBuf, name: String, flag: &'static str, columns: Vec<String> },
    #[error(
        "{}: cannot tell the {what} column among {}; name it with {flag}",
        .path.display(), quoted(.columns)
    )]
    NoColumn { path: PathBuf, what: &'static str, flag: &'static str, columns: Vec<String> },
    #[error(
        "{}: {} could each be the {what}, columns are {}; choose with {flag}",
        .path.display(), quoted(.candidates), quoted(.columns)
    )]
    Ambiguous {
        path: PathBuf,
        what: &'static str,
        flag: &'static str,
        candidates: Vec<String>,
        columns: Vec<String>,
    },
    #[error("--text-column names {found} columns; name one, or two for pairs")]
    TextColumnCount { found: usize },
    #[error("column `{name}` is named twice; text and label columns must differ")]
    SameColumn { name: String },

    // Its cells.
    #[error("{place}: no text in column `{column}`; add it or remove the row")]
    MissingText { place: Place, column: String },
    #[error("{place}: column `{column}` holds {kind}, not text; name another with --text-column")]
    NotText { place: Place, column: String, kind: &'static str },
    #[error("{place}: word {word} in column `{column}` is {kind}, not text; correct it")]
    NotWord { place: Place, column: String, word: usize, kind: &'static str },
    #[error(
        "{place}: column `{column}` holds text, but labels of words need a list of words; name another with \
         --text-column"
    )]
    NotWords { place: Place, column: String },
    #[error("labels of words need one column of words, not a pair; name it with --text-column")]
    PairOfWords,
    #[error("{place}: words and labels differ in number, {words} and {tags}; give each word one")]
    TagCount { place: Place, words: usize, tags: usize },
    #[error(
        "{place}: column `{column}` holds a list, not text, and lists of words are for labels of words; name a column of \
         text with --text-column"
    )]
    ListOfWords { place: Place, column: String },
    #[error("{place}: no label in column `{column}`; add it or remove the row")]
    MissingLabel { place: Place, column: String },
    #[error(
        "{place}: column `{column}` holds {kind}, not a label; name another with --label-column"
    )]
    NotLabel { place: Place, column: String, kind: &'static str },
    #[error(
        "{place}: label `{label}` is not a finite number; correct it, or pass --problem-type {} if these are classes",
        ProblemType::SingleLabel
    )]
    NotNumber { place: Place, label: String },
    #[error(
        "{place}: `{label}` is not a list as JSON writes it, [\"a\", \"b\"]; from pandas, write JSON or Parquet, which keep \
         lists"
    )]
    NotList { place: Place, label: String },
    #[error("{place}: label `{label}` stands twice in one list; list each label that holds once")]
    RepeatedLabel { place: Place, label: String },

    // Its labels as a whole.
    #[error(
        "{}: column `{column}` has {count} different integers, more than {MAX_INTEGER_CLASSES}; pass --problem-type {} or {}",
        .path.display(), ProblemType::SingleLabel, ProblemType::Regression
    )]
    ManyIntegers { path: PathBuf, column: String, count: usize },
    #[error(
        "{}: column `{column}` has {count} different labels, and a model may have {}; if it identifies rows, name \
         another with --label-column",
        .path.display(), bert::MOST_LABELS
    )]
    ManyLabels { path: PathBuf, column: String, count: usize },
    #[error(
        "{}: the label {label:?} has control characters; use labels without line breaks and the like",
        .path.display()
    )]
    UnprintableLabel { path: PathBuf, label: String },
    #[error("{}: every label is `{label}`; training needs at least two classes", .path.display())]
    OneClass { path: PathBuf, label: String },
    #[error("{}: every list of labels is empty; training needs at least one label", .path.display())]
    NoLabels { path: PathBuf },
    #[error(
        "{}: no word has a label, all are -100, which stands for none; give some words their labels",
        .path.display()
    )]
    NoLabelOfWords { path: PathBuf },
    #[error(
        "{}: unknown labels: {}; known are {}; correct them, or train on data that has them{hint}",
        .path.display(), counted(.labels), quoted(.known)
    )]
    UnknownLabels {
        path: PathBuf,
        labels: Vec<(String, usize)>,
        known: Vec<String>,
        hint: &'static str,
    },
    #[error("a label set needs distinct names, but `{name}` stands in it twice; correct id2label")]
    DuplicateLabel { name: String },

    // A split.
    #[error("a validation part of {fraction} is not between 0 and 1; use 0.1 for a tenth")]
    Fraction { fraction: f64 },
    #[error(
        "a validation part of {fraction} of {rows} rows leaves one side empty; add rows or give a validation file"
    )]
    EmptySplit { fraction: f64, rows: usize },
}

/// Names in a message, at most this many.
const SHOWN: usize = 10;

/// `a, b and 3 more`.
pub(super) fn list(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(SHOWN);
    let shown = items.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "no columns at all".into();
    }
    list(names.iter().map(|name| format!("`{name}`")))
}

pub(super) fn counted(labels: &[(String, usize)]) -> String {
    let rows = |count| if count == 1 { "row" } else { "rows" };
    list(labels.iter().map(|(label, count)| format!("`{label}` ({count} {})", rows(*count))))
}
