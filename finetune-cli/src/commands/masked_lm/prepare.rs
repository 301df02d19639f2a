//! From files of text to sequences on disk.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bert::Tokenizer;
use tensor::philox::Rng;

use super::Job;
use crate::args::masked_lm::TextArgs;
use crate::data::{Example, TextFiles};
use crate::masked_lm::corpus::{Corpus, Layout, Marks, Writer};
use crate::run::checkpoint::remove_folder;

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

/// The texts of a job.
pub(super) struct Texts {
    text: TextFiles,
    held_out: TextFiles,
    /// The share of the text that is held out.
    fraction: f64,
    seed: u64,
}

impl Texts {
    /// Looks at all files, without reading them.
    pub fn open(job: &Job) -> Result<Self> {
        let TextArgs { text, validation, validation_fraction, .. } = &job.args.text;
        let fraction = if validation.is_empty() { *validation_fraction } else { 0.0 };
        Ok(Self {
            text: TextFiles::open(text, job.args.text.file.options())?,
            held_out: TextFiles::open(validation, job.args.text.file.options())?,
            fraction,
            seed: job.args.optimization.seed,
        })
    }

    /// Whether there should be some text to measure on.
    fn wants_held_out(&self) -> bool {
        self.fraction > 0.0 || !self.held_out.is_empty()
    }

    /// Hands on all texts, some megabytes of one kind at a time, always in the same order.
    pub fn for_each(&self, each: &mut dyn FnMut(Split, Vec<String>) -> Result<()>) -> Result<()> {
        let mut row = 0;
        let mut is_held_out = |_: &Example| {
            row += 1;
            Rng::new(self.seed, SPLIT + row - 1).uniform() < self.fraction
        };
        self.text.for_each(&mut |rows| {
            let (held_out, train): (Vec<_>, Vec<_>) = rows.into_iter().partition(&mut is_held_out);
            each(Split::Train, texts(train))?;
            each(Split::HeldOut, texts(held_out))
        })?;
        self.held_out.for_each(&mut |rows| each(Split::HeldOut, texts(rows)))
    }
}

/// Both texts of a pair are texts of their own; blank cells are none.
fn texts(rows: Vec<Example>) -> Vec<String> {
    let of = |row: &Example| row.texts().into_iter().map(String::from).collect::<Vec<_>>();
    let all = rows.iter().flat_map(of);
    all.filter(|text| !text.trim().is_empty()).collect()
}

/// The sequences of a run.
pub(super) struct Corpora {
    pub train: Corpus,
    pub held_out: Option<Corpus>,
}

impl Corpora {
    /// Tokenizes and packs all texts into the folder of a run.
    pub fn write(texts: &Texts, run: &Path, tokenizer: &Tokenizer, layout: Layout) -> Result<Self> {
        let folder = run.join(FOLDER);
        fs::create_dir_all(&folder)
            .with_context(|| format!("{}: can't be made", folder.display()))?;
        let writer = |name| Writer::create(&folder.join(name), layout, Marks::new(tokenizer)?);
        let (mut train, mut held_out) = (writer(TRAIN)?, writer(HELD_OUT)?);
        texts.for_each(&mut |split, texts| {
            let writer = if split == Split::Train { &mut train } else { &mut held_out };
            tokenizer.encode_plain(&texts)?.iter().try_for_each(|text| writer.push(text))
        })?;
        train.finish()?;
        held_out.finish()?;
        let corpora = Self::open(run)?;
        if corpora.held_out.is_none() && texts.wants_held_out() {
            bail!(
                "--text: too few texts to hold some out; give more, --validation with other text, or \
                 --validation-fraction 0"
            );
        }
        Ok(corpora)
    }

    /// Opens what [`Corpora::write`] has written.
    pub fn open(run: &Path) -> Result<Self> {
        let open = |name| Corpus::open(&run.join(FOLDER).join(name));
        let held_out = Some(open(HELD_OUT)?).filter(|corpus| !corpus.is_empty());
        let train = open(TRAIN)?;
        match train.is_empty() {
            false => Ok(Self { train, held_out }),
            true => bail!("--text: no word that the vocabulary knows: nothing to learn from"),
        }
    }

    /// Removes them, when the run is done.
    pub fn remove(run: &Path) -> Result<()> {
        let folder = run.join(FOLDER);
        remove_folder(&folder).with_context(|| format!("{}: can't be removed", folder.display()))
    }

    /// How much there is.
    pub fn describe(&self, length: usize) -> String {
        let size = |corpus: &Corpus| {
            let [texts, tokens, sequences] = [corpus.texts(), corpus.tokens(), corpus.len() as u64];
            format!("{texts} texts, {tokens} tokens in {sequences} sequences")
        };
        let held_out = self.held_out.as_ref().map(|corpus| format!("; held out: {}", size(corpus)));
        format!("text: {} of up to {length}{}", size(&self.train), held_out.unwrap_or_default())
    }
}
