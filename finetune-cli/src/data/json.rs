//! JSON objects as rows: one per line, or all in one array.
//!
//! A key that some objects lack is [`Cell::Missing`](super::Cell::Missing) there. The order of the columns is
//! that in which the keys first appear.

use std::fmt;
use std::path::Path;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error::{Error, Place, Result, Unit};
use super::table::{Builder, Cell, MOST_COLUMNS, Table};

/// One JSON object, its keys in order.
struct Row(Vec<(String, Cell)>);

/// An array of rows under the key `data`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    data: Vec<Row>,
}

/// Parses one object per line; blank lines are skipped.
pub(super) fn parse_lines(path: &Path, text: &str) -> Result<Table> {
    let mut builder = Builder::new(path, Unit::Line);
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = Place { path: path.into(), unit: Unit::Line, number: i + 1 };
        let row =
            serde_json::from_str(line).map_err(|error| not_an_object(&place, line, &error))?;
        add(&mut builder, place, row)?;
    }
    Ok(builder.finish())
}

/// Parses an array of objects, alone or as `{"data": [..]}`.
pub(super) fn parse_array(path: &Path, text: &str) -> Result<Table> {
    let wrapped = text.trim_start().starts_with('{');
    let rows = if wrapped {
        serde_json::from_str(text).map(|Wrapped { data }| data)
    } else {
        serde_json::from_str(text)
    };
    let rows: Vec<Row> = rows.map_err(|error| not_an_array(path, wrapped, &error))?;
    let mut builder = Builder::new(path, Unit::Row);
    for (i, row) in rows.into_iter().enumerate() {
        let place = Place { path: path.into(), unit: Unit::Row, number: i + 1 };
        add(&mut builder, place, row)?;
    }
    Ok(builder.finish())
}

fn add(builder: &mut Builder, place: Place, row: Row) -> Result<()> {
    builder.begin_row(place.number);
    for (key, cell) in row.0 {
        let column = builder.column(key);
        if builder.width() > MOST_COLUMNS {
            return Err(Error::TooManyKeys { place, limit: MOST_COLUMNS });
        }
        builder.set(column, cell);
    }
    if builder.is_sparse() {
        return Err(Error::Sparse { place, keys: builder.width() });
    }
    Ok(())
}

fn not_an_object(place: &Place, line: &str, error: &serde_json::Error) -> Error {
    let array = line.trim_start().starts_with('[');
    let advice =
        if array { "a JSON array is read with --format json" } else { "write one object per line" };
    Error::Json { place: place.clone(), column: error.column(), message: reason(error), advice }
}

fn not_an_array(path: &Path, wrapped: bool, error: &serde_json::Error) -> Error {
    let place = Place { path: path.into(), unit: Unit::Line, number: error.line() };
    let advice = if wrapped {
        "one object per line is read with --format jsonl; else the only key must be `data`"
    } else {
        "write an array of objects"
    };
    Error::Json { place, column: error.column(), message: reason(error), advice }
}

/// The message without the place that serde_json adds.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(message.clone(), |(reason, _)| reason.into())
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Row, A::Error> {
        let mut row: Vec<(String, Cell)> = Vec::with_capacity(map.size_hint().unwrap_or(0));
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if row.iter().any(|(name, _)| *name == key) {
                return Err(A::Error::custom(format!("the key `{key}` stands twice")));
            }
            if row.len() == MOST_COLUMNS {
                return Err(A::Error::custom(format!("more than {MOST_COLUMNS} keys")));
            }
            row.push((key, Cell::from(value)));
        }
        Ok(Row(row))
    }
}
