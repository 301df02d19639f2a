//! Parquet files, as pandas, polars, Spark and the Hugging Face Hub write them.
//!
//! Rows are read one after the other by the `parquet` library. A column of numbers that the library `datasets` wrote as
//! a `ClassLabel` becomes one of names, which stand in the metadata of the file; -1 is its way to say that there is no
//! label:
//!
//! ```text
//! metadata["huggingface"] = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["no", "yes"]}}}}
//! ```
//!
//! Sources: <https://parquet.apache.org/docs/file-format/>,
//! <https://huggingface.co/docs/datasets/about_dataset_features>.

use std::cell;
use std::collections::{HashMap, HashSet};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::FileMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Number, Value};

use super::error::{Error, Place, Result, Unit};
use super::nesting;
use super::schema::NO_LABEL;
use super::table::{Builder, Cell, MOST_COLUMNS, Table};

/// Characters of a message of the library.
const LONGEST_MESSAGE: usize = 200;

/// Digits behind the point of a decimal. The library writes each of as many as a file claims, two thousand million say.
const MOST_DIGITS: i32 = 100;

/// Under this key `datasets` says what the columns mean.
const FEATURES: &str = "huggingface";

thread_local! {
    /// Whether a panic of this thread is expected, and caught.
    static CAUGHT: cell::Cell<bool> = const { cell::Cell::new(false) };
}

/// The rows of a file.
pub(super) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Table> {
    quietly(|| read(path, bytes)).unwrap_or_else(|| {
        let message = "its pages do not fit its schema".to_owned();
        Err(Error::Parquet { path: path.into(), message })
    })
}

/// What `work` gives; none if it panics, as the library does over some damaged files. The hook that prints panics is
/// the process's: it stays, and is silent on a thread that catches them.
fn quietly<T>(work: impl FnOnce() -> T + panic::UnwindSafe) -> Option<T> {
    static SILENCED: Once = Once::new();
    SILENCED.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| match CAUGHT.get() {
            true => {}
            false => usual(panic),
        }));
    });
    let outer = CAUGHT.replace(true);
    let result = panic::catch_unwind(work);
    CAUGHT.set(outer);
    result.ok()
}

fn read(path: &Path, bytes: Vec<u8>) -> Result<Table> {
    let unreadable = |error: ParquetError| {
        // It may quote a whole cell.
        let message = error.to_string().chars().take(LONGEST_MESSAGE).collect();
        Error::Parquet { path: path.into(), message }
    };
    nesting::check(&bytes).map_err(|message| Error::Parquet { path: path.into(), message })?;
    let reader = SerializedFileReader::new(Bytes::from(bytes)).map_err(unreadable)?;
    let mut builder = Builder::new(path, Unit::Row);
    let classes = classes(reader.metadata().file_metadata());
    add_columns(&mut builder, path, reader.metadata().file_metadata(), &classes)?;
    let rows = reader.get_row_iter(None).map_err(unreadable)?;
    for (number, row) in rows.enumerate() {
        let place = Place { path: path.into(), unit: Unit::Row, number: number + 1 };
        add(&mut builder, &classes, place, row.map_err(unreadable)?)?;
    }
    Ok(builder.finish())
}

fn add_columns(
    builder: &mut Builder,
    path: &Path,
    file: &FileMetaData,
    classes: &HashMap<String, Vec<String>>,
) -> Result<()> {
    let refused = |message: String| Err(Error::Parquet { path: path.into(), message });
    let fields = file.schema().get_fields();
    if fields.len() > MOST_COLUMNS {
        return refused(format!("it has more than {MOST_COLUMNS} columns"));
    }
    for field in fields {
        let (name, width) = (field.name(), builder.width());
        let column = builder.column(name.to_owned());
        if column < width {
            return refused(format!("two columns are called `{name}`"));
        }
        let listed = classes.get(name).cloned().unwrap_or_default();
        let mut seen = HashSet::new();
        if let Some(twice) = listed.iter().find(|class| !seen.insert(*class)) {
            return refused(format!("class `{twice}` of column `{name}` stands twice"));
        }
        builder.set_classes(column, listed);
    }
    Ok(())
}

fn add(
    builder: &mut Builder,
    classes: &HashMap<String, Vec<String>>,
    place: Place,
    row: Row,
) -> Result<()> {
    builder.begin_row(place.number);
    for (name, field) in row.into_columns() {
        let cell = match classes.get(&name) {
            Some(classes) => named(cell(field), classes).map_err(|number| {
                let (column, count) = (name.clone(), classes.len());
                Error::NoSuchClass { place: place.clone(), column, number, count }
            })?,
            None => cell(field),
        };
        let column = builder.column(name);
        builder.set(column, cell);
    }
    Ok(())
}

/// The integer that a number is, however it is stored.
fn whole(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| number.as_f64().filter(|x| x.fract() == 0.0).map(|x| x as i64))
}

/// Numbers of classes as their names; the number that there is no class of is the error.
fn named(cell: Cell, classes: &[String]) -> std::result::Result<Cell, i64> {
    match cell {
        Cell::Number(number) => match whole(&number) {
            Some(-1) => Ok(Cell::Missing),
            Some(class) => {
                let name = usize::try_from(class).ok().and_then(|class| classes.get(class));
                name.map(|name| Cell::Text(name.clone())).ok_or(class)
            }
            None => Ok(Cell::Number(number)),
        },
        Cell::List(items) => {
            let name = |item| match &item {
                // In lists of labels of words it stands for none.
                Cell::Number(number) if whole(number) == Some(NO_LABEL) => Ok(item),
                _ => named(item, classes),
            };
            let items = items.into_iter().map(name);
            Ok(Cell::List(items.collect::<std::result::Result<_, _>>()?))
        }
        other => Ok(other),
    }
}

fn cell(field: Field) -> Cell {
    match field {
        Field::Null => Cell::Missing,
        Field::Bool(value) => Cell::Bool(value),
        Field::Byte(n) => Cell::Number(n.into()),
        Field::Short(n) => Cell::Number(n.into()),
        Field::Int(n) => Cell::Number(n.into()),
        Field::Long(n) => Cell::Number(n.into()),
        Field::UByte(n) => Cell::Number(n.into()),
        Field::UShort(n) => Cell::Number(n.into()),
        Field::UInt(n) => Cell::Number(n.into()),
        Field::ULong(n) => Cell::Number(n.into()),
        Field::Float16(x) => float(&x.to_string()),
        Field::Float(x) => float(&x.to_string()),
        Field::Double(x) => float(&x.to_string()),
        Field::Str(text) => Cell::Text(text),
        // A string of a writer that does not say so.
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Text(Field::Bytes(bytes).to_string()),
        },
        Field::ListInternal(list) => {
            Cell::List(list.elements().iter().cloned().map(cell).collect())
        }
        Field::Group(row) => Cell::Object(Box::new(object(row))),
        Field::Decimal(x) if x.scale() > MOST_DIGITS => Cell::Missing,
        // Dates, times, decimals and maps: nobody's text or label, but they are carried along. Of a year that the
        // library does not know it panics.
        other => quietly(AssertUnwindSafe(|| other.to_string())).map_or(Cell::Missing, Cell::Text),
    }
}

/// A number from its shortest decimal, so that 0.1 in 32 bits does not become 0.10000000149; what JSON has no number
/// for is text, as it is in CSV.
fn float(text: &str) -> Cell {
    let number = text.parse().ok().and_then(Number::from_f64);
    number.map_or(Cell::Text(text.to_owned()), Cell::Number)
}

fn object(row: Row) -> Map<String, Value> {
    let value = |field| serde_json::to_value(cell(field)).unwrap_or_default();
    row.into_columns().into_iter().map(|(name, field)| (name, value(field))).collect()
}

/// The names of classes by column.
fn classes(file: &FileMetaData) -> HashMap<String, Vec<String>> {
    let metadata = file.key_value_metadata();
    let entry = metadata.and_then(|all| all.iter().find(|entry| entry.key == FEATURES));
    let text = entry.and_then(|entry| entry.value.as_deref()).unwrap_or_default();
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let features = json.pointer("/info/features").and_then(Value::as_object);
    let listed = |(name, feature): (&String, &Value)| Some((name.clone(), class_names(feature)?));
    features.into_iter().flatten().filter_map(listed).collect()
}

/// Those of a `ClassLabel`, or of a list of such, without the blanks around them, like all labels.
fn class_names(feature: &Value) -> Option<Vec<String>> {
    let feature = feature.get("feature").unwrap_or(feature);
    if feature.get("_type")? != "ClassLabel" {
        return None;
    }
    let names = feature.get("names")?.as_array()?;
    names.iter().map(|name| Some(name.as_str()?.trim().to_owned())).collect()
}
