//! Which columns hold the text and the label.

use std::collections::HashSet;

use super::Options;
use super::error::{Error, Result};
use super::guess::Guess;
use super::schema::{is_of_lists, list_of};
use super::table::{Cell, Table};

/// The columns that are used, the same in every file of a run.
///
/// Guessing takes the first of these groups of which the file has a member, whatever the case of its letters;
/// two members of the same group are ambiguous, and an error.
///
/// | what | groups, in order |
/// |---|---|
/// | text | the pairs `sentence1`+`sentence2`, `question1`+`question2`, `premise`+`hypothesis`, `question`+`sentence`, `text1`+`text2`, `text_a`+`text_b` |
/// |  | `text` |
/// |  | `sentence`, `content`, `review`, `question`, `premise`, `comment`, `message`, `tweet`, `document`, `body`, `utterance`, `query`, and the first names of the pairs |
/// | its label | `label`, `labels` |
/// |  | `score`, `target`, `class`, `category`, `stars`, `rating`, `sentiment`, `intent`, `topic`, `similarity` |
/// | words, lists | `tokens`, `words`, `form` |
/// | their labels, lists | `ner_tags`; `tags`; `pos_tags`; `upos`; `chunk_tags`; `label`, `labels` |
///
/// A file with both lists is about words, unless it has a text and a label of that, or a text and lists that differ in
/// length: they might be any labels of the text. `--problem-type` and `--label-delimiter` are about texts. Lists that
/// are ambiguous are an error only where there is not a text with its label.
///
/// A column that the user named is no candidate for anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The text column, or the two columns of a pair.
    pub text: Vec<String>,
    /// The label column, if there is one. Without, every data set has
    /// [`Labels::Absent`](super::Labels::Absent).
    pub label: Option<String>,
}

/// What a column is for, and the flag that names it.
#[derive(Clone, Copy)]
pub(super) struct Role {
    what: &'static str,
    flag: &'static str,
}

pub(super) const TEXT: Role = Role { what: "text", flag: "--text-column" };
pub(super) const LABEL: Role = Role { what: "label", flag: "--label-column" };

impl Columns {
    /// The columns that `options` names, and guesses for those that it does not.
    ///
    /// # Errors
    /// When a named column is not there, or nothing or more than one thing could be the text or the label. A
    /// label that cannot be found is left out; [`Schema::infer`](super::Schema::infer) insists on it.
    pub fn choose(table: &Table, options: &Options) -> Result<Self> {
        let label = options.label_column.as_deref();
        let label = label.map(|name| find(table, name, LABEL)).transpose()?;
        let guess = Guess { table, text: named_texts(table, options)?, label };
        match options.problem_type.is_some() || options.label_delimiter.is_some() {
            true => guess.texts()?.distinct(),
            false => guess.words_or_texts()?.distinct(),
        }
    }

    /// The text columns alone, for a file that is to be labelled: whatever else is in it does not matter.
    ///
    /// # Errors
    /// When a named column is not there, or nothing or more than one thing could be the text.
    pub fn of_text(table: &Table, options: &Options) -> Result<Self> {
        let guess = Guess { table, text: named_texts(table, options)?, label: None };
        Self { text: guess.text()?, label: None }.distinct()
    }

    /// The same columns under the names that `table` has for them (the case may differ).
    ///
    /// # Errors
    /// When a text column is not there, or two names that differ in case alone are one column here. A missing label
    /// column becomes `None`: a file to predict on.
    pub fn within(&self, table: &Table) -> Result<Self> {
        let text = find_texts(table, &self.text)?;
        let label = self.label.as_deref().and_then(|name| find(table, name, LABEL).ok());
        Self { text, label }.distinct()
    }

    /// Whether `table` has the column `name` (the case may differ).
    pub fn has(table: &Table, name: &str) -> bool {
        find(table, name, TEXT).is_ok()
    }

    /// Checks that `table` has the label column.
    pub(super) fn require_label(&self, table: &Table) -> Result<()> {
        match &self.label {
            Some(name) => find(table, name, LABEL).map(drop),
            None => Err(no_label(table)),
        }
    }

    /// Whether these are words and their labels: both columns hold lists.
    pub(super) fn are_words(&self, table: &Table) -> bool {
        match (&self.text[..], &self.label) {
            ([words], Some(label)) => holds_lists(table, words) && holds_lists(table, label),
            _ => false,
        }
    }

    /// Of words and their labels, whether the lists of each row are as long as each other.
    pub(super) fn are_of_one_length(&self, table: &Table) -> bool {
        let ([words], Some(label)) = (&self.text[..], &self.label) else { return false };
        let length = |cell: &Cell| list_of(cell).map(|items| items.len());
        let mut rows = cells(table, words).iter().zip(cells(table, label));
        rows.all(|(words, labels)| length(words) == length(labels))
    }

    /// Checks that no column has two roles.
    fn distinct(self) -> Result<Self> {
        let mut used = HashSet::new();
        match self.text.iter().chain(&self.label).find(|&name| !used.insert(name)) {
            Some(name) => Err(Error::SameColumn { name: name.clone() }),
            None => Ok(self),
        }
    }
}

/// Whether a column holds lists, in every row that has something in it.
pub(super) fn holds_lists(table: &Table, name: &str) -> bool {
    is_of_lists(cells(table, name))
}

/// The cells of a column; none if it is not there.
fn cells<'a>(table: &'a Table, name: &str) -> &'a [Cell] {
    table.column(name).map_or(&[], |column| &column.cells)
}

/// The text columns that the user named, by their names in the table.
fn named_texts(table: &Table, options: &Options) -> Result<Option<Vec<String>>> {
    options.text_columns.as_ref().map(|names| find_texts(table, names)).transpose()
}

fn find_texts(table: &Table, names: &[String]) -> Result<Vec<String>> {
    if names.is_empty() || names.len() > 2 {
        return Err(Error::TextColumnCount { found: names.len() });
    }
    names.iter().map(|name| find(table, name, TEXT)).collect()
}

/// The column of this name: exactly, or the only one that differs in case alone.
fn find(table: &Table, name: &str, role: Role) -> Result<String> {
    if table.column(name).is_some() {
        return Ok(name.into());
    }
    let columns = names_of(table);
    let same: Vec<&String> = columns.iter().filter(|other| same_name(other, name)).collect();
    if let [only] = same[..] {
        return Ok(only.clone());
    }
    let (path, name) = (table.path().into(), name.into());
    Err(Error::NoSuchColumn { path, name, flag: role.flag, columns })
}

/// Whether two names differ in case at most.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// The error of a file without labels where there must be some.
pub(super) fn no_label(table: &Table) -> Error {
    not_found(table, LABEL)
}

/// The error of a file in which nothing could have this role.
pub(super) fn not_found(table: &Table, Role { what, flag }: Role) -> Error {
    Error::NoColumn { path: table.path().into(), what, flag, columns: names_of(table) }
}

/// The error of a file in which each of several could have this role.
pub(super) fn ambiguous(
    table: &Table,
    Role { what, flag }: Role,
    candidates: Vec<String>,
) -> Error {
    Error::Ambiguous { path: table.path().into(), what, flag, candidates, columns: names_of(table) }
}

fn names_of(table: &Table) -> Vec<String> {
    table.columns().iter().map(|column| column.name.clone()).collect()
}
