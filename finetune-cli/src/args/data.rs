//! Flags that say how data files are read.

use clap::{ArgAction, Args};
use serde::Serialize;

use crate::data::{Format, Options, ProblemType};
use crate::flags;

/// How the data of a training are read.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub file: FileArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub labels: LabelArgs,
    /// single_label_classification, multi_label_classification or regression, of texts [default: by the labels]
    #[arg(long, value_name = "TYPE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem_type: Option<ProblemType>,
    /// Tokens of a sequence, special ones included; longer ones are truncated, or if words have labels, cut into
    /// pieces [default: 128, or the positions of the model if it has fewer]
    #[arg(long, value_name = "TOKENS", value_parser = flags::length)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
}

impl DataArgs {
    /// As the data modules take them.
    pub fn options(&self) -> Options {
        let problem_type = self.problem_type;
        Options { problem_type, ..self.labels.options(self.file.options()) }
    }
}

/// How a file with texts is read, labelled or not.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileArgs {
    /// The text column, or the two columns of a pair: A,B [default: guessed from the usual names; evaluate and
    /// predict: as in training, where the file has it]
    #[arg(long, value_name = "A[,B]", value_delimiter = ',', action = ArgAction::Set)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_column: Option<Vec<String>>,
    /// csv, tsv, jsonl, json, parquet, conll or conllu [default: by extension]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Quotes in CSV and TSV are ordinary characters
    #[arg(long)]
    pub literal_quotes: bool,
}

impl FileArgs {
    /// As the data modules take them.
    pub fn options(&self) -> Options {
        Options {
            text_columns: self.text_column.clone(),
            format: self.format,
            literal_quotes: self.literal_quotes,
            ..Options::default()
        }
    }
}

/// Where the labels of a file are.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LabelArgs {
    /// The label column [default: guessed from the usual names; evaluate: as in training, where the file has it]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_column: Option<String>,
    /// What stands between the labels of one cell; makes the task of a training multi-label, of texts [default: JSON
    /// lists only; evaluate: as in training]
    #[arg(long, value_name = "CHAR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_delimiter: Option<char>,
}

impl LabelArgs {
    /// The options of a file with labels.
    pub fn options(&self, file: Options) -> Options {
        Options {
            label_column: self.label_column.clone(),
            label_delimiter: self.label_delimiter,
            ..file
        }
    }
}
