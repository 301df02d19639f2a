//! How the data of a training were read, which every later file for its model is read by.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;

use crate::config_file::one_line;
use crate::data::{Columns, Format, Options, Table};
use crate::run::SETTINGS;

/// What `train.toml` says of the training that made a model; nothing of a model from elsewhere.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Trained {
    text_column: Option<Vec<String>>,
    label_column: Option<String>,
    label_delimiter: Option<char>,
    format: Option<Format>,
    literal_quotes: bool,
    max_length: Option<usize>,
    train: Option<PathBuf>,
}

impl Trained {
    /// Reads the settings of the run in a folder.
    ///
    /// # Errors
    /// When there are some that can't be read, or are none that a run notes: the model would be asked about other
    /// texts than it was trained on.
    pub fn of(folder: &Path) -> Result<Self> {
        let path = folder.join(SETTINGS);
        let wrong = || {
            format!("{}: not the settings of a training; restore it, or remove it", path.display())
        };
        let Some(text) = bert::read_text(&path).with_context(wrong)? else {
            return Ok(Self::default());
        };
        // The message of toml shows the line, in several lines.
        let parsed = toml::from_str(&text).map_err(|e| anyhow!("{}", one_line(&e.to_string())));
        let trained: Self = parsed.with_context(wrong)?;
        let columns = trained.text_column.as_ref().map_or(1, Vec::len);
        ensure!((1..=2).contains(&columns), "{}: text-column: {columns} columns", wrong());
        Ok(trained)
    }

    /// How a file is parsed: as typed; else by its extension, then as the training file. Quotes are literal if they
    /// were in a training file of the same format.
    pub fn parsing(&self, typed: &Options, file: &Path) -> Options {
        let by_name = Format::of(file).ok();
        let format = typed.format.or(by_name).or(self.format);
        let train = self.format.or_else(|| Format::of(self.train.as_deref()?).ok());
        let literal_quotes =
            typed.literal_quotes || (self.literal_quotes && format.is_some() && format == train);
        Options { format, literal_quotes, ..typed.clone() }
    }

    /// Which columns are used: the typed ones, else those of the training where the file has them. The rest is guessed.
    pub fn columns(&self, typed: &Options, table: &Table) -> Options {
        let has = |name: &String| Columns::has(table, name);
        let text = self.text_column.clone().filter(|names| names.iter().all(has));
        let label = self.label_column.clone().filter(has);
        Options {
            text_columns: typed.text_columns.clone().or(text),
            label_column: typed.label_column.clone().or(label),
            label_delimiter: typed.label_delimiter.or(self.label_delimiter),
            ..typed.clone()
        }
    }

    /// The length in tokens.
    pub fn max_length(&self) -> Option<usize> {
        self.max_length
    }

    /// What is odd about examples of `texts` texts each, one or two, where the training had another number of them.
    pub fn doubt(&self, texts: usize) -> Option<&'static str> {
        match (self.text_column.as_ref()?.len(), texts) {
            (2, 1) => Some("the model was trained on pairs of texts, and these are single ones"),
            (1, 2) => Some("the model was trained on single texts, and these are pairs"),
            _ => None,
        }
    }
}
