//! `finetune pretrain`: a vocabulary and a model from nothing but text.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bert::{Config, MaskedLm, Tokenizer, VocabularyLimits, WordPieceTrainer};
use nn::{Module, count};

use super::prepare::{Split, Texts};
use super::{Job, Start, as_toml, make_absolute};
use crate::args::masked_lm::PretrainArgs;
use crate::progress::{during, remark};
use crate::run::Settings;

/// The flags of a run.
const SETTINGS: &str = "pretrain.toml";

/// Pretrains a model.
pub fn run(args: &PretrainArgs) -> Result<()> {
    let text = settings(args)?;
    job(args, Settings { file: SETTINGS, text: &text }).run(|texts| start(args, texts))
}

fn job<'a>(args: &'a PretrainArgs, settings: Settings<'a>) -> Job<'a> {
    let PretrainArgs { learning: args, epochs, batch_size, learning_rate, .. } = args;
    let (epochs, batch_size) = (*epochs, *batch_size);
    Job { args, settings, base: None, epochs, batch_size, learning_rate: *learning_rate }
}

fn start(args: &PretrainArgs, texts: &Texts) -> Result<Start> {
    let mut config = config(&args.architecture)?;
    let size = args.vocab_size.unwrap_or(config.vocab_size);
    let (min_frequency, alphabet) = (args.min_frequency, args.limit_alphabet);
    let limits = VocabularyLimits { size, min_frequency, alphabet };
    let quiet = args.learning.machine.quiet;
    let tokenizer =
        during("making a vocabulary", quiet, || vocabulary(texts, !args.cased, limits))?;
    config.set_vocabulary(&tokenizer);
    let model = MaskedLm::new(&config, args.learning.optimization.seed);
    let (pieces, params) = (config.vocab_size, count(&model.params()));
    let line = format!("model: vocabulary of {pieces} pieces, {params} parameters, all random");
    remark(quiet, &line);
    Ok(Start { config, tokenizer, model })
}

/// Word pieces of the text that is not held out.
fn vocabulary(texts: &Texts, lowercase: bool, limits: VocabularyLimits) -> Result<Tokenizer> {
    let mut trainer = WordPieceTrainer::new(lowercase);
    texts.for_each(&mut |split, texts| match split {
        Split::Train => Ok(trainer.feed(&texts)?),
        Split::HeldOut => Ok(()),
    })?;
    Ok(trainer.finish(limits)?)
}

/// The architecture in a file, or in the `config.json` of a folder. What it says of labels belongs to another model,
/// and so does its vocabulary.
fn config(path: &Path) -> Result<Config> {
    let mut config = match path.is_dir() {
        true => Config::load(path)?,
        false => {
            let text = std::fs::read_to_string(path).with_context(|| {
                format!("--architecture {}: can't be read; name a config.json", path.display())
            })?;
            Config::parse(&text, path)?
        }
    };
    let unknown = config.unknown_keys();
    if !unknown.is_empty() {
        bail!(
            "{}: unknown keys: {}; correct or remove them: the model would be built as if they were not there",
            path.display(),
            unknown.join(", ")
        );
    }
    if config.to_json()["sinusoidal_pos_embds"] == true {
        bail!(
            "{}: sinusoidal_pos_embds: positions begin random here; set it to false",
            path.display()
        );
    }
    (config.problem_type, config.labels) = (None, Vec::new());
    Ok(config)
}

/// The flags with absolute paths, which hold from any working folder.
fn settings(args: &PretrainArgs) -> Result<String> {
    let mut args = args.clone();
    make_absolute(&mut args.learning, &mut args.architecture)?;
    as_toml(&args, SETTINGS)
}
