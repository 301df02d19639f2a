//! CoNLL files, in which data of tagged words is traditionally kept.
//!
//! ```text
//! Empire    B-location        a word, and in the last column its tag
//! State     I-location
//!                             a blank line ends a sentence
//! ```
//!
//! Columns stand apart by tabs if a line has one, else by blanks. A sentence, or what is left of one where a document
//! begins (`-DOCSTART-`), becomes a row, each column a list: the first is called `tokens`, the last `tags`, and those
//! between, such as the parts of speech and the chunks of CoNLL-2003, `column_2`, `column_3`, ....
//!
//! CoNLL-U, of Universal Dependencies, has ten columns with names of their own, comments, and lines for words that are
//! written as one (`1-2`) or not at all (`1.1`), which are passed over.
//!
//! Sources: Tjong Kim Sang and De Meulder, 2003, <https://aclanthology.org/W03-0419>;
//! <https://universaldependencies.org/format.html>.

use std::path::Path;

use super::error::{Error, Place, Result, Unit};
use super::table::{Builder, Cell, MOST_COLUMNS, Table};

/// What stands in place of a word where a document begins.
const DOCUMENT: &str = "-DOCSTART-";

/// The columns of CoNLL-U.
const UNIVERSAL: [&str; 10] =
    ["id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"];

/// Parses sentences; `path` is for messages.
pub(super) fn parse(path: &Path, text: &str) -> Result<Table> {
    sentences(path, text, Builder::new(path, Unit::Line), |_| false)
}

/// Parses sentences of CoNLL-U.
pub(super) fn parse_universal(path: &Path, text: &str) -> Result<Table> {
    let mut builder = Builder::new(path, Unit::Line);
    for name in UNIVERSAL {
        builder.column(name.to_owned());
    }
    let is_no_word = |fields: &[&str]| fields[0].starts_with('#') || fields[0].contains(['-', '.']);
    sentences(path, text, builder, is_no_word)
}

/// The sentences of a file, whose columns may have names already, without the lines that are no words.
fn sentences(
    path: &Path,
    text: &str,
    mut builder: Builder,
    is_no_word: impl Fn(&[&str]) -> bool,
) -> Result<Table> {
    let mut sentence = Sentence::default();
    // Of an old Mac, a carriage return ends a line.
    let end = if text.contains('\n') { '\n' } else { '\r' };
    for (i, line) in text.split(end).enumerate() {
        let place = Place { path: path.into(), unit: Unit::Line, number: i + 1 };
        if line.contains('\0') {
            return Err(Error::Binary { path: path.into(), line: i + 1 });
        }
        let fields = fields(line);
        if fields.is_empty() || fields[0] == DOCUMENT {
            sentence.finish(&mut builder);
        } else if !is_no_word(&fields) {
            sentence.add(&mut builder, place, fields)?;
        }
    }
    sentence.finish(&mut builder);
    Ok(builder.finish())
}

/// The words of a sentence, and what stands beside them.
#[derive(Default)]
struct Sentence {
    /// The line of the first word.
    line: usize,
    /// One list a column; empty before the first word.
    columns: Vec<Vec<Cell>>,
}

impl Sentence {
    fn add(&mut self, builder: &mut Builder, place: Place, fields: Vec<&str>) -> Result<()> {
        let (found, line) = (fields.len(), place.number);
        if builder.width() == 0 {
            name_columns(builder, &place, found)?;
        }
        let expected = builder.width();
        if found != expected {
            return Err(Error::Uneven { place, expected, found });
        }
        if self.columns.is_empty() {
            *self = Self { line, columns: vec![Vec::new(); found] };
        }
        let cells = fields.into_iter().map(|field| Cell::Text(field.to_owned()));
        self.columns.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
        Ok(())
    }

    fn finish(&mut self, builder: &mut Builder) {
        let columns = std::mem::take(&mut self.columns);
        if columns.is_empty() {
            return;
        }
        builder.begin_row(self.line);
        let cells = columns.into_iter().map(Cell::List).enumerate();
        cells.for_each(|(column, cell)| builder.set(column, cell));
    }
}

/// What stands in a line; nothing in a blank one. Only tabs and plain blanks come between fields: others may be in
/// words.
fn fields(line: &str) -> Vec<&str> {
    let line = line.trim_end_matches(['\r', '\t', ' ']);
    match line.contains('\t') {
        _ if line.is_empty() => Vec::new(),
        true => line.split('\t').map(|field| field.trim_matches(' ')).collect(),
        false => line.split(' ').filter(|field| !field.is_empty()).collect(),
    }
}

/// Names as many columns as the first line has.
fn name_columns(builder: &mut Builder, place: &Place, columns: usize) -> Result<()> {
    if columns > MOST_COLUMNS {
        return Err(Error::TooManyColumns { place: place.clone(), limit: MOST_COLUMNS });
    }
    for column in 1..=columns {
        builder.column(match column {
            1 => "tokens".to_owned(),
            _ if column == columns => "tags".to_owned(),
            _ => format!("column_{column}"),
        });
    }
    Ok(())
}
