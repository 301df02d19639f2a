//! Examples with their labels, ready for the tokenizer.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::{Error, Result, counted};
use super::labels::{LabelSet, number};
use super::schema::{LabelCells, Schema, Task};
use super::table::{Cell, Column, Table};

/// One text, or a pair of texts; either may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The text, or the first of the pair.
    pub text: String,
    /// The second of the pair.
    pub pair: Option<String>,
}

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
        }
    }

    fn truncate(&mut self, rows: usize) {
        match self {
            Self::Absent => {}
            Self::Class(labels) => labels.truncate(rows),
            Self::Multi(labels) => labels.truncate(rows),
            Self::Score(labels) => labels.truncate(rows),
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
    /// When a text column is not there, a text or label is missing or malformed, or classes are unknown.
    pub fn new(mut table: Table, schema: &Schema) -> Result<Self> {
        let columns = schema.columns.within(&table)?;
        let labels = match &columns.label {
            Some(name) => read_labels(&table, name, schema)?,
            None => Labels::Absent,
        };
        let mut texts = columns.text.iter().map(|name| take_texts(&mut table, name));
        let first = texts.next().expect("one or two text columns")?;
        let examples = match texts.next().transpose()? {
            None => first.into_iter().map(|text| Example { text, pair: None }).collect(),
            Some(second) => {
                let pairs = first.into_iter().zip(second);
                pairs.map(|(text, pair)| Example { text, pair: Some(pair) }).collect()
            }
        };
        columns.label.and_then(|name| table.take(&name));
        let path = table.path().into();
        Ok(Self { path, examples, labels, other: table.into_columns() })
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
        let (Labels::Class(ids), Some(set)) = (&self.labels, set) else { return Ok(()) };
        match ids.first() {
            Some(&first) if ids.iter().all(|&id| id == first) => {
                let label = set.name(first).to_owned();
                Err(Error::OneClass { path: self.path.clone(), label })
            }
            _ => Ok(()),
        }
    }

    /// Says how many rows have a text without a letter: in CSV nobody can tell whether it is missing.
    pub fn empty_texts(&self) -> Option<String> {
        let blank = |text: &String| text.trim().is_empty();
        let is_empty = |e: &&Example| blank(&e.text) || e.pair.as_ref().is_some_and(blank);
        let count = self.examples.iter().filter(is_empty).count();
        let rows = if count == 1 { "row has" } else { "rows have" };
        (count > 0).then(|| format!("{}: {count} {rows} an empty text", self.path.display()))
    }

    /// Says which labels are no numbers where most are: `N/A` among `0` and `1` is hardly meant as a class.
    pub fn odd_labels(&self, set: Option<&LabelSet>) -> Option<String> {
        let (Labels::Class(ids), Some(set)) = (&self.labels, set) else { return None };
        let mut rows = vec![0; set.len()];
        ids.iter().for_each(|&id| rows[id as usize] += 1);
        let counts = set.names().iter().cloned().zip(rows).filter(|(_, rows)| *rows > 0);
        let (numbers, odd): (Vec<_>, Vec<_>) = counts.partition(|(name, _)| number(name).is_some());
        let rows = |labels: &[(String, usize)]| labels.iter().map(|(_, rows)| rows).sum::<usize>();
        (!odd.is_empty() && rows(&numbers) > rows(&odd)).then(|| {
            let (path, odd) = (self.path.display(), counted(&odd));
            format!(
                "{path}: most labels are numbers, but not {odd}, which count as classes of their own; remove such rows \
                 if they have no label"
            )
        })
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

/// The items that are not taken, and those that are.
fn divide<T>(items: Vec<T>, taken: &[bool]) -> [Vec<T>; 2] {
    let mut parts = [Vec::new(), Vec::new()];
    for (item, &taken) in items.into_iter().zip(taken) {
        parts[usize::from(taken)].push(item);
    }
    parts
}

fn take_texts(table: &mut Table, name: &str) -> Result<Vec<String>> {
    let column = table.take(name).expect("found in this table");
    let text = |(row, cell): (usize, Cell)| {
        let (place, column) = (|| table.place(row), || name.to_string());
        match cell {
            Cell::Text(text) => Ok(text),
            Cell::Number(_) | Cell::Bool(_) => Ok(cell.to_string()),
            Cell::Missing => Err(Error::MissingText { place: place(), column: column() }),
            Cell::List(_) | Cell::Object(_) => {
                Err(Error::NotText { place: place(), column: column(), kind: cell.kind() })
            }
        }
    };
    column.cells.into_iter().enumerate().map(text).collect()
}

fn read_labels(table: &Table, name: &str, schema: &Schema) -> Result<Labels> {
    let column = table.column(name).expect("found in this table");
    let cells = LabelCells { table, column, delimiter: schema.label_delimiter };
    match &schema.task {
        Task::Regression => Ok(Labels::Score(cells.scores()?)),
        Task::SingleLabel(set) => {
            let ids = numbered(table, set, cells.singles()?.into_iter().map(|label| vec![label]))?;
            Ok(Labels::Class(ids.into_iter().flatten().collect()))
        }
        Task::MultiLabel(set) => {
            Ok(Labels::Multi(numbered(table, set, cells.lists()?.into_iter())?))
        }
    }
}

/// The class numbers of each row, ascending; all unknown labels are reported at once.
fn numbered(
    table: &Table,
    set: &LabelSet,
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<Vec<Vec<u32>>> {
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    let mut number = |label: String| {
        let id = set.id(&label);
        if id.is_none() {
            *unknown.entry(label).or_default() += 1;
        }
        id
    };
    let ids = rows.map(|labels| {
        let mut ids: Vec<u32> = labels.into_iter().filter_map(&mut number).collect();
        ids.sort_unstable();
        ids
    });
    let ids: Vec<Vec<u32>> = ids.collect();
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
