//! A model folder, opened and checked.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bert::{Checkpoint, Config, Encoding, LoadReport, SequenceClassifier, Tokenizer};

use crate::data::{Columns, Example, LabelSet, Options, ProblemType, Schema, Table, Task};

/// What every command needs of a model before its weights.
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// `config.json`.
    pub config: Config,
    /// The tokenizer, whose ids all have a row in the embedding table.
    pub tokenizer: Tokenizer,
}

impl Folder {
    /// Opens the folder.
    ///
    /// # Errors
    /// When configuration or tokenizer are missing or not valid, or do not fit each other.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            bail!("{}: no such folder; --model takes the folder of a model", path.display());
        }
        let (config, tokenizer) = (Config::load(path)?, Tokenizer::load(path)?);
        if tokenizer.vocab_size() > config.vocab_size {
            bail!(
                "{}: the tokenizer has {} tokens, the embedding table {} rows (vocab_size); \
                 they belong to different models",
                path.display(),
                tokenizer.vocab_size(),
                config.vocab_size
            );
        }
        Ok(Self { path: path.to_owned(), config, tokenizer })
    }

    /// A model for `task` on the encoder of this folder, and which weights start fresh.
    ///
    /// # Errors
    /// When the weights are missing, mis-shaped or not finite.
    pub fn classifier(&self, task: &Task, seed: u64) -> Result<(SequenceClassifier, LoadReport)> {
        let mut checkpoint = Checkpoint::open(&self.path)?;
        Ok(SequenceClassifier::load(&mut checkpoint, &self.config, outputs(task), seed)?)
    }

    /// The fine-tuned model of this folder and its task.
    ///
    /// # Errors
    /// When the folder holds no head.
    pub fn fine_tuned(&self) -> Result<(SequenceClassifier, Task)> {
        let task = self.task()?;
        let (model, report) = self.classifier(&task, 0)?;
        if !report.missing.is_empty() {
            bail!(
                "{}: not fine-tuned: no {}; run `finetune train --model {} ...` first",
                self.path.display(),
                report.missing.join(", "),
                self.path.display()
            );
        }
        Ok((model, task))
    }

    /// The task of a fine-tuned model, by its configuration.
    ///
    /// # Errors
    /// When the labels are not valid.
    pub fn task(&self) -> Result<Task> {
        let labels = &self.config.labels;
        let kind = self.config.problem_type.unwrap_or(match labels.len() {
            1 => ProblemType::Regression,
            _ => ProblemType::SingleLabel,
        });
        Ok(match kind {
            ProblemType::Regression => Task::Regression,
            ProblemType::SingleLabel => Task::SingleLabel(LabelSet::from_names(labels.clone())?),
            ProblemType::MultiLabel => Task::MultiLabel(LabelSet::from_names(labels.clone())?),
        })
    }

    /// How to read a file for this fine-tuned model.
    ///
    /// # Errors
    /// When the columns can't be found.
    pub fn schema(&self, table: &Table, options: &Options) -> Result<Schema> {
        let columns = Columns::choose(table, options)?;
        Ok(Schema { columns, task: self.task()?, label_delimiter: options.label_delimiter })
    }

    /// The tokens of every example.
    ///
    /// # Errors
    /// When `max_length` is more than the model has positions, or too small for the special tokens.
    pub fn encode(&self, examples: &[Example], max_length: usize) -> Result<Vec<Encoding>> {
        let limit = self.config.max_position_embeddings;
        if max_length > limit {
            bail!(
                "--max-length {max_length}: the model has {limit} positions; use {limit} or less"
            );
        }
        let texts: Vec<_> = examples.iter().map(|e| (e.text.as_str(), e.pair.as_deref())).collect();
        Ok(self.tokenizer.encode_batch(&texts, max_length)?)
    }
}

/// C: the columns of the logits.
pub fn outputs(task: &Task) -> usize {
    task.label_set().map_or(1, LabelSet::len)
}
