//! From files of text to sequences on disk.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bert::Tokenizer;
use tensor::philox::Rng;

use super::Job;
use crate::data::{Example, TextFiles};
use crate::masked_lm::corpus::{Corpus, Layout, Marks, Writer};
use crate::progress::remark;

/// The random stream that chooses the texts that are held out: text i of a seed uses stream SPLIT + i.
const SPLIT: u64 = 0x5350_4c49_0000_0000;

/// The folder of the sequences in that of the run.
const FOLDER: &str = "corpus";
const TRAIN: &str = "train.bin";
const HELD_OUT: &str = "held-out.bin";

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    Train,
    HeldOut,
}

/// Hands on all texts of a job, some megabytes of one kind at a time, always in the same order.
pub(super) fn for_each_text(
    job: &Job,
    each: &mut dyn FnMut(Split, Vec<String>) -> Result<()>,
) -> Result<()> {
    let text = job.text;
    let fraction = if text.validation.is_empty() { text.validation_fraction } else { 0.0 };
    let mut row = 0;
    let mut is_held_out = |_: &Example| {
        row += 1;
        Rng::new(job.optimization.seed, SPLIT + row - 1).uniform() < fraction
    };
    TextFiles::open(&text.text, text.options())?.for_each(&mut |rows| {
        let (held_out, train): (Vec<_>, Vec<_>) = rows.into_iter().partition(&mut is_held_out);
        each(Split::Train, texts(train))?;
        each(Split::HeldOut, texts(held_out))
    })?;
    let held_out = TextFiles::open(&text.validation, text.options())?;
    held_out.for_each(&mut |rows| each(Split::HeldOut, texts(rows)))
}

/// Both texts of a pair are texts of their own.
fn texts(rows: Vec<Example>) -> Vec<String> {
    rows.into_iter().flat_map(|row| std::iter::once(row.text).chain(row.pair)).collect()
}

/// The sequences of a run.
pub(super) struct Corpora {
    pub train: Corpus,
    pub held_out: Option<Corpus>,
}

impl Corpora {
    /// Tokenizes and packs all texts into the folder of a run, and says how much there is.
    pub fn write(job: &Job, run: &Path, tokenizer: &Tokenizer, length: usize) -> Result<Self> {
        let folder = run.join(FOLDER);
        fs::create_dir_all(&folder)
            .with_context(|| format!("{}: can't be made", folder.display()))?;
        let layout = Layout { length, line_by_line: job.text.line_by_line };
        let writer = |name| Writer::create(&folder.join(name), layout, Marks::new(tokenizer)?);
        let (mut train, mut held_out) = (writer(TRAIN)?, writer(HELD_OUT)?);
        let (mut texts_train, mut texts_held_out) = (0, 0);
        for_each_text(job, &mut |split, texts| {
            let (writer, count) = match split {
                Split::Train => (&mut train, &mut texts_train),
                Split::HeldOut => (&mut held_out, &mut texts_held_out),
            };
            *count += texts.len();
            tokenizer.encode_plain(&texts)?.iter().try_for_each(|text| writer.push(text))
        })?;
        train.finish()?;
        held_out.finish()?;
        let corpora = Self::open(run)?;
        corpora.check(job)?;
        corpora.describe(job, length, (texts_train, texts_held_out));
        Ok(corpora)
    }

    /// Opens what [`Corpora::write`] has written.
    pub fn open(run: &Path) -> Result<Self> {
        let open = |name| Corpus::open(&run.join(FOLDER).join(name));
        let held_out = Some(open(HELD_OUT)?).filter(|corpus| !corpus.is_empty());
        Ok(Self { train: open(TRAIN)?, held_out })
    }

    /// Removes them, when the run is done.
    pub fn remove(run: &Path) -> Result<()> {
        let folder = run.join(FOLDER);
        fs::remove_dir_all(&folder)
            .with_context(|| format!("{}: can't be removed", folder.display()))
    }

    fn check(&self, job: &Job) -> Result<()> {
        let wants = !job.text.validation.is_empty() || job.text.validation_fraction > 0.0;
        match (self.train.is_empty(), self.held_out.is_none() && wants) {
            (true, _) => bail!(
                "--text: there is nothing to learn from in it: no word that the vocabulary knows"
            ),
            (_, true) => bail!(
                "--text: too few texts to hold some out; give more, --validation with other text, or \
                 --validation-fraction 0"
            ),
            _ => Ok(()),
        }
    }

    fn describe(&self, job: &Job, length: usize, (train, held_out): (usize, usize)) {
        let tokens =
            |corpus: &Corpus| format!("{} tokens in {} sequences", corpus.tokens(), corpus.len());
        let mut line = format!("text: {train} texts, {} of up to {length}", tokens(&self.train));
        if let Some(corpus) = &self.held_out {
            line += &format!("; held out: {held_out} texts, {}", tokens(corpus));
        }
        remark(job.machine.quiet, &line);
    }
}
