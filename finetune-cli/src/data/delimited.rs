//! CSV and TSV: a header, then rows of as many fields.
//!
//! A field that begins with `"` goes on to the closing quote, over delimiters and line breaks; `""` within
//! is one quote. That holds for TSV too, as in pandas and Python's `csv.DictReader(delimiter="\t")`; the
//! files of GLUE are written without quoting and want `literal_quotes`. Blank lines are skipped. Two things
//! that those readers let pass are errors, because rows vanish in them without a word: a quote that is never
//! closed, and text after the closing quote of a field that spans lines (two stray quotes, far apart).

use std::path::Path;

use csv::StringRecord;

use super::error::{Error, Place, Result, Unit};
use super::table::{Builder, Cell, Table};

/// Parses `text`; `path` is for messages.
pub(super) fn parse(path: &Path, text: &str, delimiter: u8, quotes: bool) -> Result<Table> {
    let mut records = Records::new(path, text, delimiter, quotes);
    let mut builder = Builder::new(path, Unit::Line);
    let Some(header) = records.next()? else { return Ok(builder.finish()) };
    for name in &header {
        let name = name.trim();
        let columns = builder.width();
        if builder.column(name.into()) < columns {
            return Err(Error::DuplicateColumn { place: records.place(), name: name.into() });
        }
    }
    while let Some(record) = records.next()? {
        if record.len() != header.len() {
            let (expected, found) = (header.len(), record.len());
            return Err(Error::Ragged { place: records.place(), expected, found });
        }
        builder.begin_row(records.line);
        for (column, field) in record.iter().enumerate() {
            builder.set(column, Cell::Text(field.into()));
        }
    }
    Ok(builder.finish())
}

/// The records of a text, with the line that each begins on.
struct Records<'a> {
    path: &'a Path,
    text: &'a str,
    delimiter: u8,
    quotes: bool,
    reader: csv::Reader<&'a [u8]>,
    /// The line that the current record begins on, from 1.
    line: usize,
    /// The byte up to which line breaks are counted.
    counted: usize,
}

impl<'a> Records<'a> {
    fn new(path: &'a Path, text: &'a str, delimiter: u8, quotes: bool) -> Self {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .quoting(quotes)
            .from_reader(text.as_bytes());
        Self { path, text, delimiter, quotes, reader, line: 1, counted: 0 }
    }

    /// The next record, or none at the end.
    fn next(&mut self) -> Result<Option<StringRecord>> {
        let mut record = StringRecord::new();
        let start = self.reader.position().byte() as usize;
        let more = self.reader.read_record(&mut record).expect("reading UTF-8 from memory");
        if !more {
            return Ok(None);
        }
        let end = self.reader.position().byte() as usize;
        let source = self.text[start..end].trim_start_matches(['\r', '\n']);
        self.count_lines(end - source.len());
        if self.quotes && source.contains('"') {
            self.check_quotes(source)?;
        }
        Ok(Some(record))
    }

    fn count_lines(&mut self, start: usize) {
        self.line += line_breaks(&self.text.as_bytes()[self.counted..start]);
        self.counted = start;
    }

    fn check_quotes(&self, source: &str) -> Result<()> {
        match last_quote(source.as_bytes(), self.delimiter) {
            Quote::Balanced => Ok(()),
            Quote::Open(at) => {
                let line = self.line + line_breaks(&source.as_bytes()[..at]);
                Err(Error::OpenQuote { place: Place { number: line, ..self.place() } })
            }
            Quote::TextAfter(at) => {
                let line = self.line + line_breaks(&source.as_bytes()[..at]);
                Err(Error::TextAfterQuote { place: self.place(), line })
            }
        }
    }

    fn place(&self) -> Place {
        Place { path: self.path.into(), unit: Unit::Line, number: self.line }
    }
}

/// What is wrong with the quotes of a record, and at which byte.
enum Quote {
    Balanced,
    Open(usize),
    TextAfter(usize),
}

/// Walks over the fields of one record as the CSV reader does.
fn last_quote(record: &[u8], delimiter: u8) -> Quote {
    let mut at = 0;
    while at < record.len() {
        if record[at] == b'"' {
            let Some(close) = closing_quote(record, at) else { return Quote::Open(at) };
            let ends = record.get(close + 1).is_none_or(|b| [delimiter, b'\r', b'\n'].contains(b));
            if !ends && line_breaks(&record[at..close]) > 0 {
                return Quote::TextAfter(close);
            }
            at = close + 1;
        }
        let rest = &record[at..];
        at += rest.iter().position(|&b| b == delimiter).map_or(rest.len(), |found| found + 1);
    }
    Quote::Balanced
}

/// The quote that closes the one at `open`; a doubled quote closes nothing.
fn closing_quote(record: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        at += record[at..].iter().position(|&b| b == b'"')?;
        if record.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Line breaks in `bytes`: `\n`, `\r\n`, or `\r` alone.
fn line_breaks(bytes: &[u8]) -> usize {
    let ends =
        |i: usize| bytes[i] == b'\n' || (bytes[i] == b'\r' && bytes.get(i + 1) != Some(&b'\n'));
    (0..bytes.len()).filter(|&i| ends(i)).count()
}
