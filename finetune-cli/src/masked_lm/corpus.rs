//! Sequences of tokens on disk.
//!
//! Texts are tokenized once, as they stream by, and packed:
//!
//! ```text
//! stream       text [SEP] text [SEP] text [SEP] ...
//! packed       [CLS] and the next L - 1 tokens of the stream, again and again
//! line by line [CLS] text [SEP], a longer text in several such
//! ```
//!
//! So every packed sequence but the last has L tokens, and an epoch can visit all of them in any order while memory
//! holds some numbers of each and no text. The file is private to a run: tokens (u32, little-endian), then the length of each sequence
//! (u32), then their number and that of the texts (u64). It has its name only when it is whole.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bert::Tokenizer;

/// Bytes of a token, and of a length.
const WORD: u64 = 4;

/// Bytes of the two numbers at the end.
const END: u64 = 16;

/// How texts become sequences.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// L: tokens of a sequence at most, special ones included; 3 or more.
    pub length: usize,
    /// Each text is a sequence of its own.
    pub line_by_line: bool,
}

/// The special tokens of a sequence.
#[derive(Clone, Debug)]
pub struct Marks {
    cls: u32,
    sep: u32,
    /// The ids that are no part of a text, ascending.
    special: Vec<u32>,
}

impl Marks {
    /// Those of a tokenizer.
    ///
    /// # Errors
    /// When it has no `[CLS]` or no `[SEP]`.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self> {
        let missing =
            |name| format!("the vocabulary of the model has no {name}; use another model");
        let cls = tokenizer.cls_id().with_context(|| missing("[CLS]"))?;
        let sep = tokenizer.sep_id().with_context(|| missing("[SEP]"))?;
        Ok(Self { cls, sep, special: tokenizer.special_ids() })
    }
}

/// Packs tokens into sequences and writes them.
pub struct Writer {
    path: PathBuf,
    unfinished: PathBuf,
    file: BufWriter<File>,
    lengths: Vec<u32>,
    texts: u64,
    layout: Layout,
    marks: Marks,
    /// Tokens of the stream that do not fill a sequence yet.
    rest: Vec<u32>,
}

impl Writer {
    /// Begins a file.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn create(path: &Path, layout: Layout, marks: Marks) -> Result<Self> {
        let unfinished = path.with_extension("partial");
        let file = File::create(&unfinished).with_context(|| cannot_write(path))?;
        let (path, file) = (path.to_owned(), BufWriter::with_capacity(1 << 16, file));
        let (lengths, rest) = (Vec::new(), Vec::new());
        Ok(Self { path, unfinished, file, lengths, texts: 0, layout, marks, rest })
    }

    /// Adds a text, given as its tokens without special ones.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn push(&mut self, text: &[u32]) -> Result<()> {
        self.texts += 1;
        if self.layout.line_by_line {
            return text.chunks(self.layout.length - 2).try_for_each(|part| {
                self.write(&[&[self.marks.cls], part, &[self.marks.sep]].concat())
            });
        }
        self.rest.extend_from_slice(text);
        self.rest.push(self.marks.sep);
        let own = self.layout.length - 1;
        let whole = self.rest.len() / own * own;
        let stream: Vec<u32> = self.rest.drain(..whole).collect();
        stream.chunks(own).try_for_each(|part| self.write(&[&[self.marks.cls], part].concat()))
    }

    /// Writes a sequence, unless there is nothing in it to guess.
    fn write(&mut self, sequence: &[u32]) -> Result<()> {
        if sequence.iter().all(|id| self.marks.special.binary_search(id).is_ok()) {
            return Ok(());
        }
        self.lengths.push(sequence.len() as u32);
        self.words(sequence)
    }

    fn words(&mut self, words: &[u32]) -> Result<()> {
        let mut write = || words.iter().try_for_each(|w| self.file.write_all(&w.to_le_bytes()));
        write().with_context(|| cannot_write(&self.path))
    }

    /// Writes what is left and gives the file its name.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn finish(mut self) -> Result<Corpus> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            self.write(&[&[self.marks.cls], &rest[..]].concat())?;
        }
        let lengths = std::mem::take(&mut self.lengths);
        self.words(&lengths)?;
        let mut close = || {
            self.file.write_all(&(lengths.len() as u64).to_le_bytes())?;
            self.file.write_all(&self.texts.to_le_bytes())?;
            self.file.flush()?;
            self.file.get_ref().sync_all()?;
            fs::rename(&self.unfinished, &self.path)
        };
        close().with_context(|| cannot_write(&self.path))?;
        Corpus::open(&self.path)
    }
}

/// The sequences of a file.
pub struct Corpus {
    path: PathBuf,
    file: File,
    /// Where each sequence begins, in tokens, and where the last one ends.
    offsets: Vec<u64>,
    texts: u64,
}

impl Corpus {
    /// Opens a file that a [`Writer`] has finished.
    ///
    /// # Errors
    /// When it can't be read, or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).with_context(|| cannot_read(path))?;
        let size = file.metadata().with_context(|| cannot_read(path))?.len();
        let end = lengths(&mut file, size).with_context(|| cannot_read(path))?;
        let Some((lengths, texts)) = end else { bail!("{}", cannot_read(path)) };
        let mut offsets = vec![0];
        for length in lengths {
            offsets.push(offsets[offsets.len() - 1] + u64::from(length));
        }
        let expected = WORD * (offsets[offsets.len() - 1] + offsets.len() as u64 - 1) + END;
        if size != expected {
            bail!("{}", cannot_read(path));
        }
        Ok(Self { path: path.to_owned(), file, offsets, texts })
    }

    /// The number of sequences.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of texts.
    pub fn texts(&self) -> u64 {
        self.texts
    }

    /// The number of tokens, special ones included.
    pub fn tokens(&self) -> u64 {
        self.offsets[self.len()]
    }

    /// The tokens of these sequences.
    ///
    /// # Errors
    /// When the file can't be read.
    ///
    /// # Panics
    /// When a sequence is not there.
    pub fn read(&mut self, sequences: &[usize]) -> Result<Vec<Vec<u32>>> {
        sequences
            .iter()
            .map(|&i| self.sequence(i).with_context(|| cannot_read(&self.path)))
            .collect()
    }

    fn sequence(&self, i: usize) -> std::io::Result<Vec<u32>> {
        let (start, end) = (self.offsets[i], self.offsets[i + 1]);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start * WORD))?;
        let mut bytes = vec![0; ((end - start) * WORD) as usize];
        file.read_exact(&mut bytes)?;
        Ok(words(&bytes))
    }
}

/// The lengths of the sequences, and the number of texts, from the end of a file; none if there is no room for as many as
/// it says.
fn lengths(file: &mut File, size: u64) -> std::io::Result<Option<(Vec<u32>, u64)>> {
    if size < END {
        return Ok(None);
    }
    let mut end = [0; END as usize];
    file.seek(SeekFrom::Start(size - END))?;
    file.read_exact(&mut end)?;
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let (count, texts) = (number(&end[..8]), number(&end[8..]));
    let bytes = count.checked_mul(WORD).filter(|bytes| *bytes <= size - END);
    let Some(bytes) = bytes else { return Ok(None) };
    file.seek(SeekFrom::Start(size - END - bytes))?;
    let mut all = Vec::new();
    BufReader::new(file).take(bytes).read_to_end(&mut all)?;
    Ok(Some((words(&all), texts)))
}

fn words(bytes: &[u8]) -> Vec<u32> {
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    bytes.chunks_exact(WORD as usize).map(word).collect()
}

fn cannot_write(path: &Path) -> String {
    format!("{}: can't be written; is the disk full?", path.display())
}

fn cannot_read(path: &Path) -> String {
    format!(
        "{}: can't be read as the tokens of this run; remove the folder to start again",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { cls: 2, sep: 3, special: Vec::new() };

    fn sequences(layout: Layout, texts: &[Vec<u32>]) -> Vec<Vec<u32>> {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks { special: vec![0, 1, 2, 3, 4], ..MARKS };
        let mut writer = Writer::create(&folder.path().join("tokens.bin"), layout, marks).unwrap();
        texts.iter().for_each(|text| writer.push(text).unwrap());
        let mut corpus = writer.finish().unwrap();
        let all: Vec<usize> = (0..corpus.len()).collect();
        let sequences = corpus.read(&all).unwrap();
        assert_eq!(corpus.tokens(), sequences.iter().map(|s| s.len() as u64).sum::<u64>());
        sequences
    }

    #[test]
    fn packed_sequences_are_full_and_nothing_is_lost() {
        let texts: Vec<Vec<u32>> = (1..40u32).map(|n| (100..100 + n * 7 % 23).collect()).collect();
        let packed = sequences(Layout { length: 16, line_by_line: false }, &texts);
        assert!(packed[..packed.len() - 1].iter().all(|s| s.len() == 16));
        assert!(packed.iter().all(|s| s[0] == 2));
        let stream: Vec<u32> = packed.iter().flat_map(|s| s[1..].to_vec()).collect();
        let want: Vec<u32> = texts.iter().flat_map(|t| [t.as_slice(), &[3]].concat()).collect();
        assert_eq!(stream, want);
    }

    #[test]
    fn line_by_line_each_text_is_alone_and_long_ones_are_split() {
        let texts = [vec![10, 11], vec![20, 21, 22, 23, 24], vec![30]];
        let lines = sequences(Layout { length: 5, line_by_line: true }, &texts);
        let want = [vec![2, 10, 11, 3], vec![2, 20, 21, 22, 3], vec![2, 23, 24, 3], vec![2, 30, 3]];
        assert_eq!(lines, want);
    }

    #[test]
    fn sequences_without_anything_to_guess_are_left_out() {
        let texts = [vec![1, 1], vec![10], vec![]];
        assert_eq!(sequences(Layout { length: 5, line_by_line: true }, &texts), [[2, 10, 3]]);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.bin");
        let layout = Layout { length: 8, line_by_line: false };
        let mut writer = Writer::create(&path, layout, MARKS).unwrap();
        writer.push(&[10, 11, 12, 13, 14, 15, 16, 17, 18]).unwrap();
        writer.finish().unwrap();
        let whole = fs::read(&path).unwrap();
        let mut huge = whole.clone();
        let end = huge.len();
        huge[end - 16..end - 8].copy_from_slice(&u64::MAX.to_le_bytes());
        for bytes in [&whole[..end - 1], &whole[4..], &whole[..15], &[][..], &huge] {
            fs::write(&path, bytes).unwrap();
            assert!(Corpus::open(&path).is_err());
        }
    }
}
