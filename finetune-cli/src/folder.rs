//! A model folder, opened and checked.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bert::{Checkpoint, Config, Encoding, LoadReport, ProblemType, SequenceClassifier, Tokenizer};
use nn::{Module, to_device};
use tensor::Device;

use crate::data::{Columns, Example, LabelSet, Options, Schema, Table, Task};
use crate::hub;
use crate::trained::Trained;

/// Tokens of a sequence where nothing else is said: enough for most sentences, a quarter of BERT's.
pub const DEFAULT_LENGTH: usize = 128;

/// The weight without which a model is not fine-tuned.
const HEAD: &str = "classifier.weight";

/// What every command needs of a model before its weights.
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// `config.json`.
    pub config: Config,
    /// The tokenizer, whose ids all have a row in the embedding table.
    pub tokenizer: Tokenizer,
    /// Where its models go.
    pub device: Device,
    /// How it was trained, if this is the output of a run.
    pub trained: Trained,
}

impl Folder {
    /// Opens the folder, or the one that this is the name of in the Hugging Face cache.
    ///
    /// # Errors
    /// When configuration or tokenizer are missing or not valid, or do not fit each other.
    pub fn open(path: &Path) -> Result<Self> {
        let path = &hub::resolve(path);
        Self::new(path, config(path)?, Tokenizer::load(path)?)
    }

    /// The same folder with models on `device`.
    pub fn on(self, device: &Device) -> Self {
        Self { device: device.clone(), ..self }
    }

    /// Opens the folder of a fine-tuned model with its weights, on `device`, its task, and what of the weights was not
    /// used.
    ///
    /// # Errors
    /// Those of [`Folder::open`], and when the folder holds no head, or one of another size than the
    /// configuration says, or a GPU is full.
    pub fn open_fine_tuned(
        path: &Path,
        device: &Device,
    ) -> Result<(Self, SequenceClassifier, Task, LoadReport)> {
        let config = config(path)?;
        // Each is half of the time from start to first answer.
        let (tokenizer, tuned) =
            rayon::join(|| Tokenizer::load(path), || fine_tuned(path, &config));
        let folder = Self::new(path, config, tokenizer?)?.on(device);
        let (model, task, report) = tuned?;
        to_device(&model.params(), device)?;
        Ok((folder, model, task, report))
    }

    fn new(path: &Path, config: Config, tokenizer: Tokenizer) -> Result<Self> {
        if tokenizer.vocab_size() > config.vocab_size {
            bail!(
                "{}: the tokenizer has {} tokens, the embedding table {} rows (vocab_size); \
                 they belong to different models",
                path.display(),
                tokenizer.vocab_size(),
                config.vocab_size
            );
        }
        let (path, trained) = (path.to_owned(), Trained::of(path));
        Ok(Self { path, config, tokenizer, device: Device::Cpu, trained })
    }

    /// Leaves out all layers but the first `layers`.
    ///
    /// # Errors
    /// When the model has fewer.
    pub fn truncate(&mut self, layers: usize) -> Result<()> {
        let all = self.config.num_hidden_layers;
        if layers > all {
            bail!("--truncate {layers}: the model has {all} layers; use {all} or less");
        }
        self.config.num_hidden_layers = layers;
        Ok(())
    }

    /// The name in its files of the weight by which a head is known.
    pub fn head_name(&self) -> String {
        self.config.family.stored_name(HEAD)
    }

    /// The weights.
    ///
    /// # Errors
    /// When they are missing or not valid.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        Ok(Checkpoint::open(&self.path, self.config.family)?)
    }

    /// A model for `task` on the encoder of this folder, and which weights start fresh. The head's last map starts
    /// fresh unless it is of this task, by [`head_fits`](Self::head_fits) and its size.
    ///
    /// # Errors
    /// When the weights are missing, mis-shaped or not finite, or a GPU is full.
    pub fn classifier(&self, task: &Task, seed: u64) -> Result<(SequenceClassifier, LoadReport)> {
        let mut checkpoint = self.checkpoint()?;
        if !self.head_fits(task) {
            checkpoint.leave_out("classifier.");
        }
        self.load(&mut checkpoint, task, seed)
    }

    /// A model with the encoder, and the head if it has one, of a checkpoint with this folder's configuration.
    ///
    /// # Errors
    /// As [`classifier`](Self::classifier).
    pub fn load(
        &self,
        checkpoint: &mut Checkpoint,
        task: &Task,
        seed: u64,
    ) -> Result<(SequenceClassifier, LoadReport)> {
        let loaded = SequenceClassifier::load(checkpoint, &self.config, outputs(task), seed)?;
        to_device(&loaded.0.params(), &self.device)?;
        Ok(loaded)
    }

    /// Whether a head in this folder may be one of `task`: it has the same labels in the same order, as a
    /// [`LabelSet`] finds them (case may differ), or none that say anything.
    pub fn head_fits(&self, task: &Task) -> bool {
        if self.config.problem_type.is_some_and(|kind| kind != task.problem_type()) {
            return false;
        }
        let unnamed = |(i, name): (usize, &String)| *name == format!("LABEL_{i}");
        if self.config.labels.iter().enumerate().all(unnamed) {
            return true;
        }
        let names = task.label_set().map_or(&[][..], LabelSet::names);
        LabelSet::from_names(self.config.labels.clone()).is_ok_and(|known| {
            let same = |(name, id): (&String, u32)| known.id(name) == Some(id);
            names.len() == known.len() && names.iter().zip(0..).all(same)
        })
    }

    /// The task of a fine-tuned model, by its configuration and its head.
    ///
    /// # Errors
    /// When there is no head, or the labels do not fit it.
    pub fn task(&self, checkpoint: &Checkpoint) -> Result<Task> {
        task(&self.path, &self.config, checkpoint)
    }

    /// How to read a file for this fine-tuned model and its task: as in training, unless flags or the file say
    /// otherwise.
    ///
    /// # Errors
    /// When the columns can't be found.
    pub fn schema(&self, table: &Table, options: &Options, task: &Task) -> Result<Schema> {
        let options = self.trained.columns(options, table);
        Ok(Schema {
            columns: Columns::choose(table, &options)?,
            task: task.clone(),
            label_delimiter: options.label_delimiter,
        })
    }

    /// How to read a file that is to be labelled. Labels in it are not read: they may be placeholders.
    ///
    /// # Errors
    /// When the text column can't be found.
    pub fn unlabelled(&self, table: &Table, options: &Options, task: &Task) -> Result<Schema> {
        let columns = Columns::of_text(table, &self.trained.columns(options, table))?;
        Ok(Schema { columns, task: task.clone(), label_delimiter: None })
    }

    /// The length in tokens for a model in training: as typed, or as many as usual and possible.
    pub fn max_length(&self, typed: Option<usize>) -> usize {
        typed.unwrap_or(DEFAULT_LENGTH.min(self.config.max_length()))
    }

    /// The length for a fine-tuned model: as typed, or as in training, or the usual one.
    pub fn trained_length(&self, typed: Option<usize>) -> usize {
        self.max_length(typed.or(self.trained.max_length()))
    }

    /// The tokens of every example.
    ///
    /// # Errors
    /// When `max_length` is more than the model has positions, or too small for the special tokens.
    pub fn encode(&self, examples: &[Example], max_length: usize) -> Result<Vec<Encoding>> {
        let limit = self.config.max_length();
        if max_length > limit {
            bail!(
                "--max-length {max_length}: the model has {limit} positions; use {limit} or less"
            );
        }
        let texts: Vec<_> = examples.iter().map(|e| (e.text.as_str(), e.pair.as_deref())).collect();
        Ok(self.tokenizer.encode_batch(&texts, max_length)?)
    }
}

fn config(path: &Path) -> Result<Config> {
    match path.is_dir() {
        true => Ok(Config::load(path)?),
        false => bail!(hub::not_found(path)),
    }
}

fn fine_tuned(path: &Path, config: &Config) -> Result<(SequenceClassifier, Task, LoadReport)> {
    let mut checkpoint = Checkpoint::open(path, config.family)?;
    let task = task(path, config, &checkpoint)?;
    let (model, report) = SequenceClassifier::load(&mut checkpoint, config, outputs(&task), 0)?;
    match report.missing.is_empty() {
        true => Ok((model, task, report)),
        false => bail!(not_fine_tuned(path, &report.missing.join(", "))),
    }
}

fn task(path: &Path, config: &Config, checkpoint: &Checkpoint) -> Result<Task> {
    let head = config.family.stored_name(HEAD);
    let Some(&[rows, ..]) = checkpoint.shape(HEAD) else {
        bail!(not_fine_tuned(path, &head));
    };
    let mut labels = config.labels.clone();
    if labels.is_empty() {
        // transformers leaves the names out where they are its own.
        labels = (0..rows).map(|i| format!("LABEL_{i}")).collect();
    }
    if labels.len() != rows {
        bail!(
            "{}: config.json names {} labels, {head} has {rows} rows; they belong to different models",
            path.display(),
            labels.len()
        );
    }
    let kind = config.problem_type.unwrap_or(match rows {
        1 => ProblemType::Regression,
        _ => ProblemType::SingleLabel,
    });
    Ok(match kind {
        ProblemType::Regression => Task::Regression,
        ProblemType::SingleLabel => Task::SingleLabel(LabelSet::from_names(labels)?),
        ProblemType::MultiLabel => Task::MultiLabel(LabelSet::from_names(labels)?),
    })
}

fn not_fine_tuned(path: &Path, missing: &str) -> String {
    let path = path.display();
    format!("{path}: not fine-tuned: no {missing}; run `finetune train --model {path} ...` first")
}

/// C: the columns of the logits.
pub fn outputs(task: &Task) -> usize {
    task.label_set().map_or(1, LabelSet::len)
}
