//! `finetune adapt` and `finetune pretrain`: texts to sequences on disk, then a [`Session`](session::Session) over them.

mod adapt;
mod prepare;
mod pretrain;
mod sentence;
mod session;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bert::{Checkpoint, Config, MaskedLm, Tokenizer};
use nn::{Module, to_device};
use serde::Serialize;

use crate::args::masked_lm::{LearningArgs, MaskedLmArgs};
use crate::folder::{DEFAULT_LENGTH, Folder};
use crate::masked_lm::corpus::Layout;
use crate::masked_lm::masking::Masking;
use crate::optimization::check_flags;
use crate::progress::{during, remark};
use crate::run::{Earlier, Run, Settings, damaged};
use prepare::{Corpora, Texts};
use session::Session;

pub(super) use adapt::run as adapt;
pub(super) use pretrain::run as pretrain;

/// `[CLS]`, a token, `[SEP]`.
const SHORTEST: usize = 3;

/// What a run is told, by either command: they differ in their defaults.
struct Job<'a> {
    args: &'a LearningArgs,
    /// All flags of the command.
    settings: Settings<'a>,
    /// The folder of the model that goes on learning, if there is one.
    base: Option<&'a Path>,
    epochs: u32,
    batch_size: usize,
    learning_rate: f64,
}

/// What training begins with.
struct Start {
    config: Config,
    tokenizer: Tokenizer,
    model: MaskedLm,
}

impl Job<'_> {
    /// Goes on with a run that was broken off, or makes a new one from what `start` gives. Files are looked at before
    /// anything long begins.
    fn run(&self, start: impl FnOnce(&Texts) -> Result<Start>) -> Result<()> {
        check_flags(&self.args.optimization, self.learning_rate)?;
        let (output, overwrite) = (&self.args.masked_lm.output, self.args.masked_lm.overwrite);
        match Run::take_up(output, overwrite, self.settings)? {
            Earlier::Nothing => self.begin(start),
            Earlier::Unfinished(run, folder) => self.go_on(run, &folder),
            Earlier::Complete(output) => session::clean_up(&output),
        }
    }

    fn begin(&self, start: impl FnOnce(&Texts) -> Result<Start>) -> Result<()> {
        let device = self.args.machine.open_device()?;
        let texts = Texts::open(self)?;
        let start = start(&texts)?;
        to_device(&start.model.params(), &device)?;
        let (length, masking) = (self.length(&start.config)?, self.masking(&start)?);
        let layout = Layout { length, line_by_line: self.args.text.line_by_line };
        let MaskedLmArgs { output, overwrite, .. } = &self.args.masked_lm;
        let run = Run::create(output, *overwrite, self.settings)?;
        self.base.map_or(Ok(()), |base| sentence::copy(base, run.folder()))?;
        let quiet = self.args.machine.quiet;
        let corpora = during("tokenizing the text", quiet, || {
            Corpora::write(&texts, run.folder(), &start.tokenizer, layout)
        })?;
        remark(quiet, &corpora.describe(length));
        Session::new(self, run, &start, &masking, corpora).begin()
    }

    fn go_on(&self, run: Run, folder: &Path) -> Result<()> {
        let device = self.args.machine.open_device()?;
        let read = || anyhow::Ok((Start::from_checkpoint(folder)?, Corpora::open(run.folder())?));
        let (start, corpora) = read().with_context(|| damaged(folder))?;
        // A full GPU is no fault of the checkpoint.
        to_device(&start.model.params(), &device)?;
        let masking = self.masking(&start)?;
        Session::new(self, run, &start, &masking, corpora).go_on(folder)
    }

    fn masking(&self, start: &Start) -> Result<Masking> {
        let args = &self.args.masked_lm;
        Masking::new(&start.tokenizer, args.mlm_probability, args.whole_word)
    }

    /// L: as typed, or as many tokens as usual and possible.
    fn length(&self, config: &Config) -> Result<usize> {
        let limit = config.max_length();
        let length = self.args.text.max_length.unwrap_or(DEFAULT_LENGTH.min(limit));
        if length > limit {
            bail!("--max-length {length}: the model has {limit} positions; use {limit} or less");
        }
        if length < SHORTEST {
            bail!("the model has {limit} positions; a sequence takes {SHORTEST} at least");
        }
        Ok(length)
    }
}

impl Start {
    /// The state of a run that was broken off.
    fn from_checkpoint(path: &Path) -> Result<Self> {
        let Folder { config, tokenizer, .. } = Folder::open(path)?;
        let (model, report) =
            MaskedLm::load(&mut Checkpoint::open(path, &config.family)?, &config, 0)?;
        match report.missing.is_empty() {
            true => Ok(Self { config, tokenizer, model }),
            false => bail!("no {}", report.missing.join(", ")),
        }
    }
}

/// Paths that hold from any working folder.
fn make_absolute(args: &mut LearningArgs, model: &mut PathBuf) -> Result<()> {
    let files = args.text.text.iter_mut().chain(&mut args.text.validation);
    for path in files.chain([model, &mut args.masked_lm.output]) {
        *path = std::path::absolute(&*path).context("a path of the flags")?;
    }
    Ok(())
}

/// The flags as the text of `file`.
fn as_toml(args: &impl Serialize, file: &str) -> Result<String> {
    toml::to_string(args).with_context(|| format!("the flags can't be noted in {file}"))
}
