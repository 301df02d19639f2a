//! `finetune train`: check, read, tokenize; then a [`Session`] trains, evaluates and saves, or goes on with a run that
//! was broken off.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bert::Adapter;

use super::best::best_metric;
use super::ending::clean_up;
use super::inputs::Inputs;
use super::session::Session;
use super::start::Start;

use crate::args::{RecipeArgs, TrainArgs, wrong_flags};
use crate::batches::Examples;
use crate::bundled;
use crate::classifier::Classifier;
use crate::data::{self, Columns, Dataset, Schema, Task, split};
use crate::folder::Folder;
use crate::loss;
use crate::optimization::check_flags;
use crate::predictions::metric_names;
use crate::progress::remark;
use crate::report::Texts;
use crate::run::{Earlier, Run, SETTINGS, Settings, check_destination, free_name, unfinished};
use crate::select::cache::Key;

/// The data of a run, tokenized.
pub(super) struct Splits {
    pub(super) train: Examples,
    pub(super) validation: Option<Examples>,
    pub(super) test: Option<Examples>,
}

impl Splits {
    /// A hash of all tokens and labels, by which a run that goes on knows its data.
    pub(super) fn digits(&self) -> String {
        let splits = [Some(&self.train), self.validation.as_ref(), self.test.as_ref()];
        let add = |key: Key, split: &Examples| {
            let tokens = split.encodings.iter().flat_map(|e| [&e.ids, &e.type_ids]);
            let key = tokens.fold(key, |key, ids| key.with(&bytes(ids)));
            key.with(format!("{:?}", split.labels).as_bytes())
        };
        splits.into_iter().flatten().fold(Key::of_any_version(), add).digits()
    }
}

fn bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

/// Runs the whole job. The output folder is touched only when all inputs are known to be good.
pub(super) fn run(args: &TrainArgs) -> Result<()> {
    check(args)?;
    let (job, earlier) = Job::read(args)?;
    match earlier {
        Earlier::Nothing => {
            let output = args.output.clone().unwrap_or_else(free_name);
            let settings = Settings { file: SETTINGS, text: &job.settings };
            let run = Run::create(&output, args.overwrite, settings)?;
            Session::new(args, &job, run)?.train()
        }
        Earlier::Unfinished(run, checkpoint) => {
            let mut session = Session::new(args, &job, run)?;
            session.resume(&checkpoint)?;
            session.train()
        }
        Earlier::Complete(output) => clean_up(args, &output),
    }
}

/// All that a training needs of its files.
pub(super) struct Job {
    pub(super) folder: Folder,
    pub(super) task: Task,
    pub(super) columns: Columns,
    settings: String,
    /// The settings without the paths of this machine.
    pub(super) recipe: String,
    pub(super) splits: Splits,
    /// What the report shows: the test data, else the validation data.
    pub(super) texts: Option<Texts>,
    pub(super) model: Classifier,
    /// What is trained of it with LoRA.
    pub(super) adapter: Option<Adapter>,
}

impl Job {
    /// Reads everything; gives the run with the same settings too, if one was broken off. What this unpacks is gone
    /// when it returns, so that a training that is killed leaves nothing of it.
    fn read(args: &TrainArgs) -> Result<(Self, Earlier)> {
        let inputs = Inputs::of(args)?;
        Self::of(args, &inputs).map_err(|error| inputs.renamed(error))
    }

    fn of(args: &TrainArgs, inputs: &Inputs) -> Result<(Self, Earlier)> {
        let (schema, datasets) = read(args, inputs)?;
        check_metric(&args.recipe, &schema.task)?;
        loss::check_flags(&args.recipe.loss, &schema.task)?;
        let mut folder = Folder::open(&inputs.model)?.on(&args.machine.open_device()?);
        folder = folder.of_task(&schema.task);
        args.truncate.map(|layers| folder.truncate(layers)).transpose()?;
        let start = Start::new(args, &folder, &schema.task)?;
        let filled = filled(args, &folder, &schema.columns)?;
        let (settings, recipe) = (toml(&filled)?, toml(&filled.without_paths())?);
        let earlier = earlier(args, Settings { file: SETTINGS, text: &settings })?;
        let texts = datasets[2].as_ref().or(datasets[1].as_ref()).map(Texts::of);
        let splits = tokenize(args, &folder, &schema, datasets)?;
        let (model, adapter) = match &earlier {
            Earlier::Unfinished(_, checkpoint) => start.again(checkpoint)?,
            _ => start.fresh()?,
        };
        let Schema { task, columns, .. } = schema;
        let job = Self { folder, task, columns, settings, recipe, splits, texts, model, adapter };
        Ok((job, earlier))
    }
}

/// The run with these settings that was broken off: into the output that was named, else into one of the usual names.
fn earlier(args: &TrainArgs, settings: Settings) -> Result<Earlier> {
    match args.output.clone().or_else(|| unfinished(settings)) {
        Some(output) => Run::take_up(&output, args.overwrite, settings),
        None => Ok(Earlier::Nothing),
    }
}

/// What is wrong with the flags before any file is read.
pub(super) fn check(args: &TrainArgs) -> Result<()> {
    let recipe = &args.recipe;
    let needs_validation = recipe.load_best_model_at_end
        || recipe.early_stopping_patience.is_some()
        || args.eval_steps.is_some();
    // The bundled data has a validation file.
    let has_file = args.validation.is_some() || args.train.is_none();
    if needs_validation && !has_file && args.validation_fraction == 0.0 {
        return Err(wrong_flags(
            "--eval-steps, --load-best-model-at-end and --early-stopping-patience need validation data; give \
             --validation, or a --validation-fraction above 0",
        ));
    }
    check_lora(args)?;
    check_flags(&recipe.optimization, recipe.learning_rate)?;
    let output = args.output.as_deref();
    output.map_or(Ok(()), |output| check_destination(output, args.overwrite))
}

/// Refuses adapters beside weights that would make no sense of them.
pub(super) fn check_lora(args: &TrainArgs) -> Result<()> {
    if args.lora.lora_r.is_none() {
        return Ok(());
    }
    if args.recipe.freeze_encoder {
        return Err(wrong_flags(
            "--lora-r trains adapters in the encoder, and --freeze-encoder nothing of it; give one of the two",
        ));
    }
    if args.from_scratch {
        return Err(wrong_flags(
            "--lora-r leaves the weights as they are, and those of --from-scratch are random; give one of the two",
        ));
    }
    Ok(())
}

/// That the figure that decides is one of the task.
pub(super) fn check_metric(recipe: &RecipeArgs, task: &Task) -> Result<()> {
    let (name, known) = (best_metric(recipe, task), metric_names(task));
    match name == "loss" || known.contains(&name) {
        true => Ok(()),
        false => bail!(
            "--metric-for-best-model {name}: no figure of this task; use loss, {}",
            known.join(", ")
        ),
    }
}

/// The flags of this run, from which `--config` repeats it: absolute paths, guesses filled in; nothing of the
/// bundle, which has no path.
fn filled(args: &TrainArgs, folder: &Folder, columns: &Columns) -> Result<TrainArgs> {
    let mut args = args.clone();
    // Of a name in the cache, the folder.
    args.model = args.model.map(|_| folder.path.clone());
    let mut args = args.absolute().context("a path of the flags")?;
    args.data.max_length = Some(folder.max_length(args.data.max_length));
    args.data.file.text_column = Some(columns.text.clone());
    args.data.labels.label_column = columns.label.clone();
    Ok(args)
}

fn toml(args: &TrainArgs) -> Result<String> {
    toml::to_string(args).context("the flags can't be noted in train.toml")
}

/// Training, validation and test data, and how to read them.
pub(super) fn read(args: &TrainArgs, inputs: &Inputs) -> Result<(Schema, [Option<Dataset>; 3])> {
    let (options, quiet) = (args.data.options(), args.machine.quiet);
    let table = data::read_table(&inputs.train, &options)?;
    let schema = Schema::infer(&table, &options)?;
    let other = |path: &Option<PathBuf>| {
        path.as_ref().map(|path| labelled(path, &options, &schema)).transpose()
    };
    let say_empty = |data: &Dataset| data.empty_texts().iter().for_each(|line| remark(quiet, line));
    let (mut validation, test) = (other(&inputs.validation)?, other(&inputs.test)?);
    let mut train = Dataset::new(table, &schema)?;
    [Some(&train), validation.as_ref(), test.as_ref()].into_iter().flatten().for_each(say_empty);
    if let Some(limit) = args.max_train_samples {
        train.truncate(limit);
    }
    train.check_classes(schema.task.label_set())?;
    if validation.is_none() && args.validation_fraction > 0.0 {
        let (rest, part) = hold_out(args, &schema.task, train)?;
        (train, validation) = (rest, Some(part));
    }
    Ok((schema, [Some(train), validation, test]))
}

/// Training data without a part of it, and that part.
fn hold_out(args: &TrainArgs, task: &Task, train: Dataset) -> Result<(Dataset, Dataset)> {
    let (share, seed) = (args.validation_fraction, args.recipe.optimization.seed);
    let (_, held_out) = split::stratified(&train.labels, share, seed)?;
    let (rest, part) = train.divide(&held_out);
    let how = match task {
        Task::SingleLabel(_) => "with equal shares of each class",
        Task::MultiLabel(_) | Task::Regression | Task::Tags(_) => "at random",
    };
    let (held, all) = (part.len(), part.len() + rest.len());
    let line = format!("no --validation: {held} of {all} training examples are held out, {how}");
    remark(args.machine.quiet, &line);
    Ok((rest, part))
}

fn labelled(path: &Path, options: &data::Options, schema: &Schema) -> Result<Dataset> {
    Ok(Dataset::labelled(data::read_table(path, options)?, schema)?)
}

/// Says what the labels are taken for, so that a wrong guess is seen before the training.
pub(super) fn introduce(quiet: bool, schema: &Schema, train: &Dataset) {
    remark(quiet, &format!("task: {schema}"));
    if let Some(odd) = train.odd_labels(schema.task.label_set()) {
        remark(quiet, &odd);
    }
}

fn tokenize(
    args: &TrainArgs,
    folder: &Folder,
    schema: &Schema,
    datasets: [Option<Dataset>; 3],
) -> Result<Splits> {
    datasets[0].iter().for_each(|train| introduce(args.machine.quiet, schema, train));
    let max_length = folder.max_length(args.data.max_length);
    let (mut truncated, mut split) = (0, 0);
    let mut encode = |data: Dataset| -> Result<Examples> {
        let examples = super::tokenized(args.machine.quiet, data.examples.len(), || {
            folder.examples(&schema.task, &data.examples, data.labels, max_length)
        })?;
        truncated += examples.truncated();
        split += examples.pieces.iter().filter(|&&pieces| pieces > 1).count();
        Ok(examples)
    };
    let [train, validation, test] = datasets.map(|data| data.map(&mut encode).transpose());
    let train = train?.context("there is always training data")?;
    let splits = Splits { train, validation: validation?, test: test? };
    let sizes = [Some(&splits.train), splits.validation.as_ref(), splits.test.as_ref()];
    let [n, v, t] = sizes.map(|s| s.map_or(0, Examples::texts));
    let bundled =
        if args.train.is_none() { format!("{}, ", bundled::REVIEWS) } else { String::new() };
    let mut line = format!("data: {bundled}{n} training, {v} validation, {t} test examples");
    if truncated > 0 {
        line += &format!("; {truncated} truncated to {max_length} tokens");
    }
    if split > 0 {
        line += &format!("; {split} in pieces of at most {max_length} tokens");
    }
    remark(args.machine.quiet, &line);
    Ok(splits)
}
