//! Examples with their labels, ready for the tokenizer.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::columns::Columns;
use super::error::{Error, Result, counted};
use super::example::{Example, read_examples};
use super::labels::{LabelSet, number};
use super::schema::{LabelCells, Schema, Task};
use super::table::{Column, Table};
use crate::metrics::is_of_entities;

/// The labels of B examples, by task.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// The file has no label column: it can be predicted on.
    Absent,
    /// The class of each example, below C.
    Class(Vec<u32>),
    /// The classes of each example, ascending, below C.
    Multi(Vec<Vec<u32>>),
    /// The score of each example.
    Score(Vec<f32>),
    /// The class of each word of each example, below C; none of a word without a label.
    Tags(Vec<Vec<Option<u32>>>),
}

impl Labels {
    /// The labels of these rows, in this order. Panics when a row is not there.
    pub fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Absent => Self::Absent,
            Self::Class(labels) => Self::Class(rows.iter().map(|&row| labels[row]).collect()),
            Self::Multi(labels) => {
                Self::Multi(rows.iter().map(|&row| labels[row].clone()).collect())
            }
            Self::Score(labels) => Self::Score(rows.iter().map(|&row| labels[row]).collect()),
            Self::Tags(labels) => Self::Tags(rows.iter().map(|&row| labels[row].clone()).collect()),
        }
    }

    fn truncate(&mut self, rows: usize) {
        match self {
            Self::Absent => {}
            Self::Class(labels) => labels.truncate(rows),
            Self::Multi(labels) => labels.truncate(rows),
            Self::Score(labels) => labels.truncate(rows),
            Self::Tags(labels) => labels.truncate(rows),
        }
    }
}

/// A file as examples.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The file.
    pub path: PathBuf,
    /// Its rows.
    pub examples: Vec<Example>,
    /// Their labels.
    pub labels: Labels,
    /// All other columns (identifiers, say), in the order of the file, so that predictions can repeat them.
    pub other: Vec<Column>,
}

impl Dataset {
    /// Reads a table by a schema. The texts are moved, not copied.
    ///
    /// A table that lacks the label column gives [`Labels::Absent`]. To predict on a file whose label column
    /// holds something else (the -1 of GLUE test files), set `schema.columns.label` to `None`.
    ///
    /// # Errors
    /// When a text column is not there, a text or label is missing or malformed, classes are unknown, or words and
    /// their labels differ in number.
    pub fn new(mut table: Table, schema: &Schema) -> Result<Self> {
        let columns = schema.columns.within(&table)?;
        let of_words = matches!(schema.task, Task::Tags(_));
        if of_words && columns.text.len() > 1 {
            return Err(Error::PairOfWords);
        }
        let examples = read_examples(&mut table, &columns, of_words)?;
        let labels = match &columns.label {
            Some(name) => {
                check_words(&table, &columns, schema, &examples)?;
                read_labels(&table, name, schema)?
            }
            None => Labels::Absent,
        };
        check_tags(&table, &examples, &labels)?;
        columns.label.and_then(|name| table.take(&name));
        let path = table.path().into();
        Self { path, examples, labels, other: table.into_columns() }.with_words()
    }

    /// Without the rows of which no word has a label, where words have labels: there is nothing to learn from them, or
    /// to measure.
    fn with_words(self) -> Result<Self> {
        let Labels::Tags(tags) = &self.labels else { return Ok(self) };
        let has_label = |row: &usize| tags[*row].iter().any(Option::is_some);
        let empty: Vec<usize> = (0..tags.len()).filter(|row| !has_label(row)).collect();
        match empty.len() {
            0 => Ok(self),
            n if n == self.len() => Err(match tags.iter().all(Vec::is_empty) {
                true => Error::NoText { path: self.path },
                false => Error::NoLabelOfWords { path: self.path },
            }),
            _ => Ok(self.divide(&empty).0),
        }
    }

    /// As [`Dataset::new`], of a table that must have the label column.
    ///
    /// # Errors
    /// When it has not, and those of [`Dataset::new`].
    pub fn labelled(table: Table, schema: &Schema) -> Result<Self> {
        schema.columns.require_label(&table)?;
        Self::new(table, schema)
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// Checks that there is something to learn: more than one class, where there are classes.
    ///
    /// # Errors
    /// When all examples are of one class; a truncated file that is sorted by label is.
    pub fn check_classes(&self, set: Option<&LabelSet>) -> Result<()> {
        let ids: Vec<u32> = match &self.labels {
            Labels::Class(ids) => ids.clone(),
            Labels::Tags(tags) => classes_of(tags),
            _ => return Ok(()),
        };
        match (ids.first(), set) {
            (Some(&first), Some(set)) if ids.iter().all(|&id| id == first) => {
                let label = set.name(first).to_owned();
                Err(Error::OneClass { path: self.path.clone(), label })
            }
            _ => Ok(()),
        }
    }

    /// Says how many rows have a text without a letter: in CSV nobody can tell whether it is missing.
    pub fn empty_texts(&self) -> Option<String> {
        let blank = |text: &String| text.trim().is_empty();
        let is_empty = |e: &&Example| match e {
            Example::Words(words) => words.iter().all(blank),
            texts => texts.parts().iter().any(blank),
        };
        let count = self.examples.iter().filter(is_empty).count();
        let rows = if count == 1 { "row has" } else { "rows have" };
        (count > 0).then(|| format!("{}: {count} {rows} an empty text", self.path.display()))
    }

    /// Says which labels are no numbers where most are: `N/A` among `0` and `1` is hardly meant as a class. Of words,
    /// which are no tags of entities where most are.
    pub fn odd_labels(&self, set: Option<&LabelSet>) -> Option<String> {
        let (path, set) = (self.path.display(), set?);
        match &self.labels {
            Labels::Class(ids) => odd(set, ids, |name| number(name).is_some()).map(|odd| {
                format!(
                    "{path}: most labels are numbers, but not {odd}, which count as classes of their own; remove such \
                     rows if they have no label"
                )
            }),
            Labels::Tags(tags) => odd(set, &classes_of(tags), is_of_entities).map(|odd| {
                format!(
                    "{path}: most labels are tags of entities, but not {odd}, so that words are measured and no \
                     entities; correct them if they are meant as such"
                )
            }),
            _ => None,
        }
    }

    /// Keeps the first `limit` examples (`--max-train-samples` and the like); the classes stay as they are.
    pub fn truncate(&mut self, limit: usize) {
        self.examples.truncate(limit);
        self.labels.truncate(limit);
        self.other.iter_mut().for_each(|column| column.cells.truncate(limit));
    }

    /// Moves the examples of these rows (ascending) out, into a data set of their own: `(the rest, those)`.
    pub fn divide(self, rows: &[usize]) -> (Self, Self) {
        let mut taken = vec![false; self.len()];
        rows.iter().for_each(|&row| taken[row] = true);
        let rest: Vec<usize> = (0..self.len()).filter(|&row| !taken[row]).collect();
        let mut other = [Vec::new(), Vec::new()];
        for Column { name, cells, classes } in self.other {
            let [kept, moved] = divide(cells, &taken);
            let column = |cells| Column { name: name.clone(), cells, classes: classes.clone() };
            other[0].push(column(kept));
            other[1].push(column(moved));
        }
        let [examples, moved] = divide(self.examples, &taken);
        let (labels, moved_labels) = (self.labels.select(&rest), self.labels.select(rows));
        let [other, moved_other] = other;
        let path = self.path.clone();
        let moved = Self { path, examples: moved, labels: moved_labels, other: moved_other };
        (Self { path: self.path, examples, labels, other }, moved)
    }
}

/// The classes of all words that have a label.
fn classes_of(tags: &[Vec<Option<u32>>]) -> Vec<u32> {
    tags.iter().flatten().flatten().copied().collect()
}

/// The labels that are not of the usual kind, with how many there are, where most are of it.
fn odd(set: &LabelSet, ids: &[u32], is_usual: impl Fn(&str) -> bool) -> Option<String> {
    let mut counts = vec![0; set.len()];
    ids.iter().for_each(|&id| counts[id as usize] += 1);
    let counts = set.names().iter().cloned().zip(counts).filter(|(_, count)| *count > 0);
    let (usual, odd): (Vec<_>, Vec<_>) = counts.partition(|(name, _)| is_usual(name));
    let sum = |labels: &[(String, usize)]| labels.iter().map(|(_, count)| count).sum::<usize>();
    (!odd.is_empty() && sum(&usual) > sum(&odd)).then(|| counted(&odd))
}

/// The items that are not taken, and those that are.
fn divide<T>(items: Vec<T>, taken: &[bool]) -> [Vec<T>; 2] {
    let mut parts = [Vec::new(), Vec::new()];
    for (item, &taken) in items.into_iter().zip(taken) {
        parts[usize::from(taken)].push(item);
    }
    parts
}

/// That texts are split where their words have labels.
fn check_words(
    table: &Table,
    columns: &Columns,
    schema: &Schema,
    examples: &[Example],
) -> Result<()> {
    let whole = examples.iter().position(|example| !matches!(example, Example::Words(_)));
    match (&schema.task, whole) {
        (Task::Tags(_), Some(row)) => {
            Err(Error::NotWords { place: table.place(row), column: columns.text.concat() })
        }
        _ => Ok(()),
    }
}

/// That there are as many labels as words.
fn check_tags(table: &Table, examples: &[Example], labels: &Labels) -> Result<()> {
    let Labels::Tags(tags) = labels else { return Ok(()) };
    for (row, (example, tags)) in examples.iter().zip(tags).enumerate() {
        let (words, tags) = (example.parts().len(), tags.len());
        if words != tags {
            return Err(Error::TagCount { place: table.place(row), words, tags });
        }
    }
    Ok(())
}

fn read_labels(table: &Table, name: &str, schema: &Schema) -> Result<Labels> {
    let column = table.column(name).expect("found in this table");
    let cells = LabelCells { table, column, delimiter: schema.label_delimiter };
    match &schema.task {
        Task::Regression => Ok(Labels::Score(cells.scores()?)),
        Task::SingleLabel(set) => {
            let labels = cells.singles()?.into_iter().map(|label| vec![Some(label)]);
            Ok(Labels::Class(
                numbered(table, set, labels)?.into_iter().flatten().flatten().collect(),
            ))
        }
        Task::MultiLabel(set) => {
            let labels = cells.sets()?.into_iter().map(|set| set.into_iter().map(Some).collect());
            let sorted = |set: Vec<Option<u32>>| {
                let mut ids: Vec<u32> = set.into_iter().flatten().collect();
                ids.sort_unstable();
                ids
            };
            let sets = numbered(table, set, labels)?;
            Ok(Labels::Multi(sets.into_iter().map(sorted).collect()))
        }
        Task::Tags(set) => Ok(Labels::Tags(numbered(table, set, cells.tags()?.into_iter())?)),
    }
}

/// The class numbers of each row, none where there is no label; all unknown labels are reported at once.
fn numbered(
    table: &Table,
    set: &LabelSet,
    rows: impl Iterator<Item = Vec<Option<String>>>,
) -> Result<Vec<Vec<Option<u32>>>> {
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    let mut number = |label: String| {
        let id = set.id(&label);
        if id.is_none() {
            *unknown.entry(label).or_default() += 1;
        }
        id
    };
    let ids = rows.map(|labels| labels.into_iter().map(|label| number(label?)).collect());
    let ids: Vec<Vec<Option<u32>>> = ids.collect();
    if unknown.is_empty() {
        return Ok(ids);
    }
    let labels: Vec<(String, usize)> = unknown.into_iter().collect();
    let (path, known) = (table.path().into(), set.names().to_vec());
    Err(Error::UnknownLabels { path, hint: hint(set, &labels), known, labels })
}

/// Numbers where the training data has integers may be scores.
fn hint(set: &LabelSet, unknown: &[(String, usize)]) -> &'static str {
    let numeric = |name: &String| number(name).is_some();
    if set.names().iter().chain(unknown.iter().map(|(label, _)| label)).all(numeric) {
        " (if these are scores, train with --problem-type regression)"
    } else {
        ""
    }
}
