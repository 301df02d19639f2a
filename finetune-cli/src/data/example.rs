//! What the rows of a file are about.

use std::borrow::Cow;

use super::columns::Columns;
use super::error::{Error, Place, Result};
use super::schema::{is_of_lists, list_of};
use super::table::{Cell, Table};
use super::words::spans;

/// What a row is about; texts may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Example {
    /// A text.
    Text(String),
    /// A pair of texts.
    Pair([String; 2]),
    /// A text that is split into words.
    Words(Vec<String>),
}

impl Example {
    /// Its parts: the text, both texts, or the words.
    pub fn parts(&self) -> &[String] {
        match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::Pair(texts) => texts,
            Self::Words(words) => words,
        }
    }

    /// Its words; a text, or a pair of them, is split by [`spans`].
    pub fn words(&self) -> Cow<'_, [String]> {
        let split = |text: &String| -> Vec<String> {
            spans(text).into_iter().map(|span| text[span].to_owned()).collect()
        };
        match self {
            Self::Words(words) => words.into(),
            texts => texts.parts().iter().flat_map(split).collect(),
        }
    }

    /// Its texts: one or two; words with blanks between them.
    pub fn texts(&self) -> Vec<Cow<'_, str>> {
        match self {
            Self::Words(words) => vec![words.join(" ").into()],
            texts => texts.parts().iter().map(|text| text.as_str().into()).collect(),
        }
    }
}

/// What the text columns hold: texts, pairs, or where `words` may be, lists of them.
pub(super) fn read_examples(
    table: &mut Table,
    columns: &Columns,
    words: bool,
) -> Result<Vec<Example>> {
    match &columns.text[..] {
        [name] if words => take_words(table, name),
        [name] => Ok(take_texts(table, name)?.into_iter().map(Example::Text).collect()),
        names => {
            let (first, second) = (take_texts(table, &names[0])?, take_texts(table, &names[1])?);
            Ok(first.into_iter().zip(second).map(|(a, b)| Example::Pair([a, b])).collect())
        }
    }
}

fn take_texts(table: &mut Table, name: &str) -> Result<Vec<String>> {
    let column = table.take(name).expect("found in this table");
    let cells = column.cells.into_iter().enumerate();
    cells.map(|(row, cell)| text(table.place(row), name, cell)).collect()
}

/// Words, where every cell is a list of them, else texts.
fn take_words(table: &mut Table, name: &str) -> Result<Vec<Example>> {
    if !table.column(name).is_some_and(|column| is_of_lists(&column.cells)) {
        return Ok(take_texts(table, name)?.into_iter().map(Example::Text).collect());
    }
    let column = table.take(name).expect("found in this table");
    let words = |(row, cell): (usize, Cell)| {
        let (place, column) = (|| table.place(row), || name.to_owned());
        if cell == Cell::Missing {
            return Err(Error::MissingText { place: place(), column: column() });
        }
        let items = list_of(&cell);
        let items =
            items.ok_or_else(|| Error::NotList { place: place(), label: cell.to_string() })?;
        let word = |(i, item)| word(place(), name, i, item);
        Ok(Example::Words(items.into_iter().enumerate().map(word).collect::<Result<_>>()?))
    };
    column.cells.into_iter().enumerate().map(words).collect()
}

fn text(place: Place, column: &str, cell: Cell) -> Result<String> {
    let column = || column.to_owned();
    match cell {
        Cell::Text(text) => Ok(text),
        Cell::Number(_) | Cell::Bool(_) => Ok(cell.to_string()),
        Cell::Missing => Err(Error::MissingText { place, column: column() }),
        Cell::List(_) => Err(Error::ListOfWords { place, column: column() }),
        Cell::Object(_) => Err(Error::NotText { place, column: column(), kind: cell.kind() }),
    }
}

/// Word `i`, from 0, of a list.
fn word(place: Place, column: &str, i: usize, cell: Cell) -> Result<String> {
    match cell {
        Cell::Text(text) => Ok(text),
        Cell::Number(_) | Cell::Bool(_) => Ok(cell.to_string()),
        Cell::Missing | Cell::List(_) | Cell::Object(_) => {
            let (column, kind) = (column.to_owned(), cell.kind());
            Err(Error::NotWord { place, column, word: i + 1, kind })
        }
    }
}
