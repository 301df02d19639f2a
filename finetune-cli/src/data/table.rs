//! A file as named columns of cells.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use serde_json::{Map, Number, Value};

use super::error::{Place, Unit};

/// Different columns that a file may have. A dictionary that was saved as data (each row its own keys) would else fill
/// the memory with missing cells.
pub(super) const MOST_COLUMNS: usize = 1000;

/// Of a file of more cells than [`FEW_CELLS`], one in [`SPARSE`] has to be there, for the same reason: a row of a
/// thousand keys would make as many cells of every short row.
pub(super) const SPARSE: usize = 64;
const FEW_CELLS: usize = 1 << 22;

/// One value of a row. A cell of CSV or TSV is always [`Cell::Text`].
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// JSON `null`, or a key that this object lacks.
    Missing,
    /// A string, untrimmed; may be empty.
    Text(String),
    /// A JSON number.
    Number(Number),
    /// A JSON boolean.
    Bool(bool),
    /// A JSON array.
    List(Vec<Cell>),
    /// A JSON object; only carried along.
    Object(Box<Map<String, Value>>),
}

impl Cell {
    /// What the cell holds, in words for an error message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "nothing",
            Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Missing,
            Value::String(text) => Self::Text(text),
            Value::Number(number) => Self::Number(number),
            Value::Bool(value) => Self::Bool(value),
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Object(object) => Self::Object(Box::new(object)),
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Missing => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => number.serialize(serializer),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::List(items) => items.serialize(serializer),
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

/// The cell as CSV holds it: text as it is, nothing as the empty string, lists and objects as JSON.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Missing => Ok(()),
            Self::Text(text) => f.write_str(text),
            _ => f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?),
        }
    }
}

/// A named column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The name in the header, or the JSON key.
    pub name: String,
    /// One cell per row.
    pub cells: Vec<Cell>,
    /// The names of the classes, in the order of their numbers, if the file lists them; else empty.
    pub classes: Vec<String>,
}

/// A data file as it was read: columns of equal length, in the order of the file.
#[derive(Clone, Debug)]
pub struct Table {
    path: PathBuf,
    columns: Vec<Column>,
    unit: Unit,
    /// Where each row begins, counted in `unit` from 1.
    places: Vec<usize>,
}

impl Table {
    /// The file that it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The columns, in the order of the file.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// The column of exactly this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Where row `row` (from 0) stands in the file, for a message.
    pub fn place(&self, row: usize) -> Place {
        Place { path: self.path.clone(), unit: self.unit, number: self.places[row] }
    }

    /// Takes the column of exactly this name out; the others keep their order.
    pub(super) fn take(&mut self, name: &str) -> Option<Column> {
        let at = self.columns.iter().position(|column| column.name == name)?;
        Some(self.columns.remove(at))
    }

    /// All columns, by value.
    pub(super) fn into_columns(self) -> Vec<Column> {
        self.columns
    }
}

/// A table that grows row by row; columns may appear late.
pub(super) struct Builder {
    table: Table,
    index: HashMap<String, usize>,
    /// The cells that were put in.
    filled: usize,
}

impl Builder {
    pub(super) fn new(path: &Path, unit: Unit) -> Self {
        let table = Table { path: path.into(), columns: Vec::new(), unit, places: Vec::new() };
        Self { table, index: HashMap::new(), filled: 0 }
    }

    /// The number of the column `name`, which is added if it is new.
    pub(super) fn column(&mut self, name: String) -> usize {
        let columns = &mut self.table.columns;
        *self.index.entry(name).or_insert_with_key(|name| {
            columns.push(Column { name: name.clone(), cells: Vec::new(), classes: Vec::new() });
            columns.len() - 1
        })
    }

    /// Begins the row that stands at `place`.
    pub(super) fn begin_row(&mut self, place: usize) {
        self.table.places.push(place);
    }

    /// Puts a cell into the row begun last; rows that lack it in between become [`Cell::Missing`].
    pub(super) fn set(&mut self, column: usize, cell: Cell) {
        let cells = &mut self.table.columns[column].cells;
        cells.resize(self.table.places.len() - 1, Cell::Missing);
        cells.push(cell);
        self.filled += 1;
    }

    /// Lists the classes of a column.
    pub(super) fn set_classes(&mut self, column: usize, classes: Vec<String>) {
        self.table.columns[column].classes = classes;
    }

    /// Whether nearly all cells would be missing: far more than were put in would be kept.
    pub(super) fn is_sparse(&self) -> bool {
        let cells = self.table.columns.len() * self.table.places.len();
        cells > FEW_CELLS.max(SPARSE * self.filled)
    }

    /// The number of columns so far.
    pub(super) fn width(&self) -> usize {
        self.table.columns.len()
    }

    pub(super) fn finish(mut self) -> Table {
        let rows = self.table.rows();
        for column in &mut self.table.columns {
            column.cells.resize(rows, Cell::Missing);
            column.cells.shrink_to_fit();
        }
        self.table
    }
}
