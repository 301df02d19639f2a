//! Texts without labels, from files of any size.
//!
//! A `.txt` file is read line by line and is never in memory as a whole: each line that is not blank is a text. Files
//! in the [formats](Format) with columns are read as they are for training, one file at a time; the second text of a
//! pair is a text, too, and words are one text together.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::columns::Columns;
use super::error::{Error, Result};
use super::example::read_examples;
use super::format::{self, Format};
use super::{Example, Options, read_table};

/// Bytes of a line at most: a chapter has fewer, a file that is no text has no lines. Its tokens take a hundred times
/// as much.
const LONGEST_LINE: u64 = 1 << 20;

/// Bytes of text, and texts, that are handed on at a time: enough to keep all threads busy.
const CHUNK: usize = 1 << 20;
const ROWS: usize = 1 << 14;

/// Files with texts, in the order in which they were given.
#[derive(Clone, Debug)]
pub struct TextFiles {
    files: Vec<PathBuf>,
    options: Options,
}

impl TextFiles {
    /// Looks at each file, without reading it.
    ///
    /// # Errors
    /// When one is not there, or is no regular file.
    pub fn open(files: &[PathBuf], options: Options) -> Result<Self> {
        for path in files {
            format::check(path)?;
            if !path.is_file() {
                return Err(Error::NotRegular { path: path.clone() });
            }
        }
        Ok(Self { files: files.to_vec(), options })
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Hands all texts to `each`, in their order, some megabytes at a time.
    ///
    /// # Errors
    /// Those of `each`; when a file can't be read, is not UTF-8, holds a NUL byte or no text at all.
    pub fn for_each(
        &self,
        each: &mut dyn FnMut(Vec<Example>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for path in &self.files {
            let is_text = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("txt"));
            match is_text && self.options.format.is_none() {
                true => lines(path, each)?,
                false => in_chunks(self.table(path)?, each)?,
            }
        }
        Ok(())
    }

    /// The texts of a file with columns.
    fn table(&self, path: &Path) -> Result<Vec<Example>> {
        if self.options.format.is_none() && Format::of(path).is_err() {
            return Err(Error::NoTextExtension { path: path.into() });
        }
        let mut table = read_table(path, &self.options)?;
        let columns = Columns::of_text(&table, &self.options)?;
        read_examples(&mut table, &columns, true)
    }
}

/// Rows that are there already, in chunks.
fn in_chunks(
    rows: Vec<Example>,
    each: &mut dyn FnMut(Vec<Example>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut rows = rows.into_iter();
    loop {
        let chunk: Vec<Example> = rows.by_ref().take(ROWS).collect();
        if chunk.is_empty() {
            return Ok(());
        }
        each(chunk)?;
    }
}

/// The lines of a file, in chunks.
fn lines(
    path: &Path,
    each: &mut dyn FnMut(Vec<Example>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let io = |source| Error::Io { path: path.into(), source };
    let mut input = BufReader::with_capacity(1 << 16, File::open(path).map_err(io)?);
    let (mut texts, mut size, mut any, mut number) = (Vec::new(), 0, false, 0);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        number += 1;
        let read = input.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut bytes);
        if read.map_err(io)? == 0 {
            break;
        }
        let text = text_of(path, number, &bytes)?;
        if text.is_empty() {
            continue;
        }
        size += text.len();
        any = true;
        texts.push(Example::Text(text.to_owned()));
        if size >= CHUNK || texts.len() == ROWS {
            size = 0;
            each(std::mem::take(&mut texts))?;
        }
    }
    match any {
        true => each(texts),
        false => Err(Error::NoText { path: path.into() }.into()),
    }
}

/// A line without the white space around it.
fn text_of<'a>(path: &Path, line: usize, bytes: &'a [u8]) -> Result<&'a str> {
    if bytes.len() as u64 > LONGEST_LINE {
        return Err(Error::LongLine { path: path.into(), line });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Error::NotUtf8 {
        path: path.into(),
        line,
        byte: error.valid_up_to(),
        guess: "",
    })?;
    if text.contains('\0') {
        return Err(Error::Binary { path: path.into(), line });
    }
    let text = if line == 1 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
    Ok(text.trim())
}
