//! What the labels mean: the task and its classes.

use std::collections::HashSet;
use std::fmt;

use bert::MOST_LABELS;
pub use bert::ProblemType;

use super::Options;
use super::columns::{Columns, no_label};
use super::error::list;
use super::error::{Error, Result};
use super::labels::{LabelSet, number, whole};
use super::table::{Cell, Column, Table};

/// More different integers than this may be scores as well as classes, so the user has to say. The largest
/// common classification sets have about 150 classes (CLINC150 has 151).
pub const MAX_INTEGER_CLASSES: usize = 200;

/// The label of words that have none, in data that was made for a loss of PyTorch (its `ignore_index`).
pub(super) const NO_LABEL: i64 = -100;

/// A task with its classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// One of these classes per example.
    SingleLabel(LabelSet),
    /// Any of these classes per example.
    MultiLabel(LabelSet),
    /// One number per example.
    Regression,
    /// One of these classes for each word of an example.
    Tags(LabelSet),
}

impl Task {
    /// What a configuration says of it; nothing of words, whose models are of another class.
    pub fn problem_type(&self) -> Option<ProblemType> {
        match self {
            Self::SingleLabel(_) => Some(ProblemType::SingleLabel),
            Self::MultiLabel(_) => Some(ProblemType::MultiLabel),
            Self::Regression => Some(ProblemType::Regression),
            Self::Tags(_) => None,
        }
    }

    /// Its name: the problem type, or `token_classification`.
    pub fn name(&self) -> &'static str {
        self.problem_type().map_or("token_classification", ProblemType::as_str)
    }

    /// C: how many values a model gives an example, or a word.
    pub fn outputs(&self) -> usize {
        self.label_set().map_or(1, LabelSet::len)
    }

    /// Its classes; none for regression.
    pub fn label_set(&self) -> Option<&LabelSet> {
        match self {
            Self::SingleLabel(set) | Self::MultiLabel(set) | Self::Tags(set) => Some(set),
            Self::Regression => None,
        }
    }
}

/// `one of 2 classes: negative, positive`; of many names the first ten, with `{:#}` all.
impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names = |set: &LabelSet| match f.alternate() {
            true => set.names().join(", "),
            false => list(set.names().iter().cloned()),
        };
        match self {
            Self::Regression => f.write_str("regression"),
            Self::SingleLabel(set) => {
                let names = names(set);
                write!(f, "one of {} classes: {names}", set.len())
            }
            Self::MultiLabel(set) => {
                let names = names(set);
                write!(f, "any of {} labels: {names}", set.len())
            }
            Self::Tags(set) => {
                let names = names(set);
                write!(f, "one of {} labels for each word: {names}", set.len())
            }
        }
    }
}

/// How every file of a run is read: inferred from the training file, or put together from a saved model.
///
/// The task is inferred from all labels of the training file, and then holds for all files:
///
/// 0. Lists of words, each with a list of as many labels: one label a word. A word of label -100 has none.
/// 1. `--problem-type` decides; else `--label-delimiter` means multi-label.
/// 2. A JSON list, or a CSV cell that looks like one (`["a", "b"]`, `[1]`, `[]`): multi-label.
/// 3. The file lists the classes, as Parquet can: single label. What is listed are the classes of 2, too, in the order
///    of the file.
/// 4. All labels are numbers and one has a fractional part (`4`, `3.8`, `4.2`): regression.
/// 5. All labels are integers (`1`, `1.0`): single label up to [`MAX_INTEGER_CLASSES`] (200) different
///    values; with more the user has to say. `007` keeps its spelling: one such label makes all of them names.
/// 6. All others (strings, booleans): single label. Numbers of which one has a fractional part beside labels that
///    are none (`3.5` and `n/a`) are an error: that is a bad score, not a class.
///
/// Blanks around a label are cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Text and label columns.
    pub columns: Columns,
    /// The task and its classes.
    pub task: Task,
    /// What stands between the labels of one cell, for multi-label text cells that are no JSON list.
    pub label_delimiter: Option<char>,
}

impl Schema {
    /// Columns, task and classes from the training file.
    ///
    /// # Errors
    /// When a column cannot be found, a label is missing, malformed or has control characters, there is one class or
    /// more than a model may have. Whether more than one of the classes that a file lists is there,
    /// [`Dataset::check_classes`] tells.
    ///
    /// [`Dataset::check_classes`]: super::Dataset::check_classes
    pub fn infer(training: &Table, options: &Options) -> Result<Self> {
        let columns = Columns::choose(training, options)?;
        let label = columns.label.as_ref().ok_or_else(|| no_label(training))?;
        let column = training.column(label).expect("chosen from this table");
        let cells = LabelCells { table: training, column, delimiter: options.label_delimiter };
        let task = match (options.problem_type, options.label_delimiter) {
            (Some(problem), _) => cells.task(problem)?,
            (None, Some(_)) => cells.task(ProblemType::MultiLabel)?,
            (None, None) if columns.are_words(training) => cells.task_of_words()?,
            (None, None) => cells.task(cells.problem_type()?)?,
        };
        Ok(Self { columns, task, label_delimiter: options.label_delimiter })
    }
}

/// `one of 2 classes: negative, positive; text column `text`, label column `label``.
impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}; ", self.task)?;
        match &self.columns.text[..] {
            [first, second] => write!(f, "text columns `{first}` and `{second}`")?,
            names => write!(f, "text column `{}`", names.concat())?,
        }
        self.columns.label.iter().try_for_each(|label| write!(f, ", label column `{label}`"))
    }
}

/// The label column of a table, cell by cell.
pub(super) struct LabelCells<'a> {
    pub(super) table: &'a Table,
    pub(super) column: &'a Column,
    pub(super) delimiter: Option<char>,
}

impl LabelCells<'_> {
    /// One label per row, trimmed.
    pub(super) fn singles(&self) -> Result<Vec<String>> {
        let cells = self.column.cells.iter().enumerate();
        cells.map(|(row, cell)| self.single(row, cell)).collect()
    }

    /// The labels of each row, trimmed and distinct.
    pub(super) fn sets(&self) -> Result<Vec<Vec<String>>> {
        let lists = self.lists()?;
        for (row, labels) in lists.iter().enumerate() {
            let mut seen = HashSet::new();
            if let Some(label) = labels.iter().find(|&label| !seen.insert(label)) {
                let (place, label) = (self.table.place(row), label.clone());
                return Err(Error::RepeatedLabel { place, label });
            }
        }
        Ok(lists)
    }

    /// The labels of each row, trimmed.
    pub(super) fn lists(&self) -> Result<Vec<Vec<String>>> {
        let cells = self.column.cells.iter().enumerate();
        cells.map(|(row, cell)| self.list(row, cell)).collect()
    }

    /// One finite number per row.
    pub(super) fn scores(&self) -> Result<Vec<f32>> {
        let score = |(row, label): (usize, String)| {
            let score = number(&label).map(|x| x as f32).filter(|x| x.is_finite());
            score.ok_or_else(|| Error::NotNumber { place: self.table.place(row), label })
        };
        self.singles()?.into_iter().enumerate().map(score).collect()
    }

    fn single(&self, row: usize, cell: &Cell) -> Result<String> {
        let (place, column) = (|| self.table.place(row), || self.column.name.clone());
        match cell {
            Cell::Missing => {}
            Cell::Text(text) if text.trim().is_empty() => {}
            Cell::Text(text) => return Ok(text.trim().into()),
            Cell::Number(_) | Cell::Bool(_) => return Ok(cell.to_string()),
            Cell::List(_) | Cell::Object(_) => {
                return Err(Error::NotLabel {
                    place: place(),
                    column: column(),
                    kind: cell.kind(),
                });
            }
        }
        Err(Error::MissingLabel { place: place(), column: column() })
    }

    fn list(&self, row: usize, cell: &Cell) -> Result<Vec<String>> {
        match (cell, self.delimiter) {
            (Cell::List(items), _) => items.iter().map(|item| self.single(row, item)).collect(),
            (Cell::Text(text), _) if self.column.classes.is_empty() && looks_like_list(text) => {
                let not_list =
                    || Error::NotList { place: self.table.place(row), label: text.clone() };
                self.list(row, &Cell::List(list_of(cell).ok_or_else(not_list)?))
            }
            (Cell::Text(text), Some(delimiter)) => {
                let parts = text.split(delimiter).map(str::trim);
                Ok(parts.filter(|part| !part.is_empty()).map(String::from).collect())
            }
            _ => Ok(vec![self.single(row, cell)?]),
        }
    }

    /// The kind of task that these labels are of; the rule stands at [`Schema`].
    fn problem_type(&self) -> Result<ProblemType> {
        // Names of classes that look like lists are names.
        let listed = !self.column.classes.is_empty();
        let is_list = |cell: &Cell| matches!(cell, Cell::List(_)) || (!listed && is_list(cell));
        if self.column.cells.iter().any(is_list) {
            return Ok(ProblemType::MultiLabel);
        }
        if listed {
            return Ok(ProblemType::SingleLabel);
        }
        let labels = self.singles()?;
        let fractional = |label: &String| number(label).is_some() && whole(label).is_none();
        if labels.iter().any(fractional) {
            self.scores()?;
            return Ok(ProblemType::Regression);
        }
        let integers: Option<HashSet<i64>> = labels.iter().map(|label| whole(label)).collect();
        match integers.map_or(0, |integers| integers.len()) {
            count if count > MAX_INTEGER_CLASSES => {
                let (path, column) = (self.table.path().into(), self.column.name.clone());
                Err(Error::ManyIntegers { path, column, count })
            }
            _ => Ok(ProblemType::SingleLabel),
        }
    }

    /// The classes that the file lists, in its order, or those of these labels.
    fn labels<'a>(&self, labels: impl Iterator<Item = &'a str>) -> Result<LabelSet> {
        let set = match &self.column.classes[..] {
            [] => LabelSet::from_training(labels),
            listed => LabelSet::from_names(listed.to_vec())?,
        };
        let path = || self.table.path().into();
        if let Some(label) = set.unprintable() {
            return Err(Error::UnprintableLabel { path: path(), label: label.into() });
        }
        match set.len() {
            count if count > MOST_LABELS => {
                Err(Error::ManyLabels { path: path(), column: self.column.name.clone(), count })
            }
            _ => Ok(set),
        }
    }

    /// The label of each word of each row, trimmed; none of a word that has none.
    pub(super) fn tags(&self) -> Result<Vec<Vec<Option<String>>>> {
        let tag = |label: String| Some(label).filter(|label| whole(label) != Some(NO_LABEL));
        let tags = |labels: Vec<String>| labels.into_iter().map(tag).collect();
        Ok(self.lists()?.into_iter().map(tags).collect())
    }

    /// The task of labels that words have.
    fn task_of_words(&self) -> Result<Task> {
        let lists = self.tags()?;
        let set = self.labels(lists.iter().flatten().flatten().map(String::as_str))?;
        let path = || self.table.path().into();
        match set.names() {
            [] if lists.iter().all(Vec::is_empty) => Err(Error::NoLabels { path: path() }),
            [] => Err(Error::NoLabelOfWords { path: path() }),
            [only] => Err(Error::OneClass { path: path(), label: only.clone() }),
            _ => Ok(Task::Tags(set)),
        }
    }

    /// The task, its classes gathered from these labels.
    fn task(&self, problem: ProblemType) -> Result<Task> {
        let path = || self.table.path().into();
        match problem {
            ProblemType::Regression => Ok(Task::Regression),
            ProblemType::SingleLabel => {
                let singles = self.singles()?;
                let set = self.labels(singles.iter().map(String::as_str))?;
                match set.names() {
                    [only] => Err(Error::OneClass { path: path(), label: only.clone() }),
                    _ => Ok(Task::SingleLabel(set)),
                }
            }
            ProblemType::MultiLabel => {
                let lists = self.sets()?;
                let set = self.labels(lists.iter().flatten().map(String::as_str))?;
                if set.is_empty() {
                    return Err(Error::NoLabels { path: path() });
                }
                Ok(Task::MultiLabel(set))
            }
        }
    }
}

/// Whether cells are lists, but for those that are missing.
pub(super) fn is_of_lists(cells: &[Cell]) -> bool {
    let there = || cells.iter().filter(|cell| **cell != Cell::Missing);
    there().next().is_some() && there().all(is_list)
}

fn is_list(cell: &Cell) -> bool {
    match cell {
        Cell::List(_) => true,
        Cell::Text(text) => looks_like_list(text),
        _ => false,
    }
}

/// The items of a list, or of a text that is one in JSON; none of anything else.
pub(super) fn list_of(cell: &Cell) -> Option<Vec<Cell>> {
    match cell {
        Cell::List(items) => Some(items.clone()),
        Cell::Text(text) if looks_like_list(text) => {
            let items: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
            Some(items.into_iter().map(Cell::from).collect())
        }
        _ => None,
    }
}

/// Whether a text cell is meant as a list: brackets around nothing, a quote, a number or a bracket. A class that is
/// called `[UNK]` is none.
fn looks_like_list(text: &str) -> bool {
    let text = text.trim();
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).map(str::trim_start);
    let first = inner.map(|inner| inner.chars().next());
    first.is_some_and(|c| c.is_none_or(|c| matches!(c, '"' | '\'' | '[' | '-' | '0'..='9')))
}
