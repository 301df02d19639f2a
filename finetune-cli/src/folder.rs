//! A model folder, opened and checked.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bert::{Checkpoint, Config, Encoding, LoadReport, ProblemType, Tokenizer};
use nn::{Module, to_device};
use tensor::Device;

use crate::batches::Examples;
use crate::classifier::Classifier;
use crate::data::{Columns, Example, LabelSet, Labels, Options, Schema, Table, Task};
use crate::hub;
use crate::run::SETTINGS;
use crate::trained::Trained;

/// Tokens of a sequence where nothing else is said: enough for most sentences, a quarter of BERT's.
pub const DEFAULT_LENGTH: usize = 128;

/// The last map of a fine-tuned model.
fn head(of_words: bool) -> &'static str {
    if of_words { "token_classifier" } else { "classifier" }
}

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
    ) -> Result<(Self, Classifier, Task, LoadReport)> {
        let config = config(path)?;
        // Each is half of the time from start to first answer.
        let (tokenizer, tuned) =
            rayon::join(|| Tokenizer::load(path), || fine_tuned(path, &config));
        let folder = Self::new(path, config, tokenizer?)?.on(device);
        let (model, task, report) = tuned?;
        let folder = folder.of_task(&task);
        to_device(&model.params(), device)?;
        Ok((folder, model, task, report))
    }

    fn new(path: &Path, config: Config, tokenizer: Tokenizer) -> Result<Self> {
        tokenizer.check_fit(&config)?;
        let (path, trained, limit) = (path.to_owned(), Trained::of(path)?, config.max_length());
        if let Some(length) = trained.max_length().filter(|length| !(3..=limit).contains(length)) {
            bail!(
                "{}: max-length {length}: expected from 3 to the {limit} positions of the model; correct it",
                path.join(SETTINGS).display()
            );
        }
        Ok(Self { path, config, tokenizer, device: Device::Cpu, trained })
    }

    /// The same folder for a task: where words have labels, texts are encoded word by word.
    pub fn of_task(mut self, task: &Task) -> Self {
        if is_of_words(task) {
            self.tokenizer = self.tokenizer.of_words();
        }
        self
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

    /// The name in its files of the weight by which a head for `task` is known.
    pub fn head_name(&self, task: &Task) -> String {
        self.config.family.stored_name(&format!("{}.weight", head(is_of_words(task))))
    }

    /// The weights.
    ///
    /// # Errors
    /// When they are missing or not valid.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        Ok(Checkpoint::open(&self.path, &self.config.family)?)
    }

    /// A model for `task` on the encoder of this folder, and which weights start fresh. The head's last map starts
    /// fresh unless it is of this task, by [`head_fits`](Self::head_fits) and its size.
    ///
    /// # Errors
    /// When the weights are missing, mis-shaped or not finite, or a GPU is full.
    pub fn classifier(&self, task: &Task, seed: u64) -> Result<(Classifier, LoadReport)> {
        let mut checkpoint = self.checkpoint()?;
        if !self.head_fits(task) {
            checkpoint.leave_out(head(is_of_words(task)));
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
    ) -> Result<(Classifier, LoadReport)> {
        let loaded = Classifier::load(checkpoint, &self.config, task, seed)?;
        to_device(&loaded.0.params(), &self.device)?;
        Ok(loaded)
    }

    /// Whether a head in this folder may be one of `task`: it has the same labels in the same order, as a
    /// [`LabelSet`] finds them (case may differ), or none that say anything.
    pub fn head_fits(&self, task: &Task) -> bool {
        let of_words = is_of_words(task);
        let known = self.config.problem_type.filter(|_| !of_words);
        if self.config.is_token_classifier() != of_words
            || known.is_some_and(|kind| task.problem_type() != Some(kind))
        {
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

    /// The length for a fine-tuned model: as typed, or as in training; of a model that was trained elsewhere, the
    /// tokenizer's `model_max_length`, as in transformers' pipelines, or all positions.
    pub fn trained_length(&self, typed: Option<usize>) -> usize {
        let positions = self.config.max_length();
        typed.or(self.trained.max_length()).unwrap_or_else(|| {
            self.tokenizer.model_max_length().map_or(positions, |length| length.min(positions))
        })
    }

    /// The examples of a task as tokens, with their labels. Where words have labels, one that is too long has several
    /// rows; for other tasks it is truncated.
    ///
    /// # Errors
    /// When `max_length` is more than the model has positions, or too small for the special tokens.
    pub fn examples(
        &self,
        task: &Task,
        examples: &[Example],
        labels: Labels,
        max_length: usize,
    ) -> Result<Examples> {
        let limit = self.config.max_length();
        if max_length > limit {
            bail!(
                "--max-length {max_length}: the model has {limit} positions; use {limit} or less"
            );
        }
        let outputs = task.outputs();
        if !is_of_words(task) {
            return Ok(Examples::new(self.encode(examples, max_length)?, labels, outputs));
        }
        let words: Vec<Cow<[String]>> = examples.iter().map(Example::words).collect();
        let words: Vec<&[String]> = words.iter().map(Cow::as_ref).collect();
        Ok(Examples::of_words(self.tokenizer.encode_words(&words, max_length)?, labels, outputs))
    }

    /// The tokens of texts and pairs of them.
    fn encode(&self, examples: &[Example], max_length: usize) -> Result<Vec<Encoding>> {
        let texts = examples.iter().map(|example| match example.parts() {
            [first, second] => (first.as_str(), Some(second.as_str())),
            parts => (parts.first().map_or("", String::as_str), None),
        });
        Ok(self.tokenizer.encode_batch(&texts.collect::<Vec<_>>(), max_length)?)
    }
}

fn is_of_words(task: &Task) -> bool {
    matches!(task, Task::Tags(_))
}

fn config(path: &Path) -> Result<Config> {
    match path.is_dir() {
        true => Ok(Config::load(path)?),
        false => bail!(hub::not_found(path)),
    }
}

fn fine_tuned(path: &Path, config: &Config) -> Result<(Classifier, Task, LoadReport)> {
    let mut checkpoint = Checkpoint::open(path, &config.family)?;
    let task = task(path, config, &checkpoint)?;
    let (model, report) = Classifier::load(&mut checkpoint, config, &task, 0)?;
    match report.missing.is_empty() {
        true => Ok((model, task, report)),
        false => bail!(not_fine_tuned(path, &report.missing.join(", "))),
    }
}

fn task(path: &Path, config: &Config, checkpoint: &Checkpoint) -> Result<Task> {
    let weight = format!("{}.weight", head(config.is_token_classifier()));
    let head = config.family.stored_name(&weight);
    let Some(&[rows, ..]) = checkpoint.shape(&weight) else {
        bail!(not_fine_tuned(path, &head));
    };
    if rows == 0 {
        bail!("{}: {head} has no rows; a head answers with a label at least", path.display());
    }
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
    if config.is_token_classifier() {
        return Ok(Task::Tags(LabelSet::from_names(labels)?));
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
