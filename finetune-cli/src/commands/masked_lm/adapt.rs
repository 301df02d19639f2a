//! `finetune adapt`: a pretrained model goes on learning, from text of the domain where it is to be used.

use anyhow::Result;
use bert::{Checkpoint, MaskedLm};
use nn::{Module, count};

use super::super::remark_unused;
use super::{Job, Start, as_toml, make_absolute};
use crate::args::masked_lm::AdaptArgs;
use crate::folder::Folder;
use crate::hub;
use crate::progress::remark;
use crate::run::Settings;

/// The flags of a run.
const SETTINGS: &str = "adapt.toml";

/// Adapts a model.
pub fn run(args: &AdaptArgs) -> Result<()> {
    let args = AdaptArgs { model: hub::resolve(&args.model), ..args.clone() };
    let text = settings(&args)?;
    job(&args, Settings { file: SETTINGS, text: &text }).run(|_| start(&args))
}

fn job<'a>(args: &'a AdaptArgs, settings: Settings<'a>) -> Job<'a> {
    let AdaptArgs { model, learning: args, epochs, batch_size, learning_rate, .. } = args;
    let (base, epochs, batch_size) = (Some(model.as_path()), *epochs, *batch_size);
    Job { args, settings, base, epochs, batch_size, learning_rate: *learning_rate }
}

fn start(args: &AdaptArgs) -> Result<Start> {
    let Folder { path, config, tokenizer, .. } = Folder::open(&args.model)?;
    let seed = args.learning.optimization.seed;
    let mut checkpoint = Checkpoint::open(&path, &config.family)?;
    let fresh = match MaskedLm::has_head(&checkpoint, &config) {
        true => "",
        false => "; it has no masked-language-model head: the head starts random",
    };
    let (model, report) = MaskedLm::load(&mut checkpoint, &config, seed)?;
    remark_unused(args.learning.machine.quiet, &path, &report);
    let (path, params) = (path.display(), count(&model.params()));
    remark(args.learning.machine.quiet, &format!("model: {path}, {params} parameters{fresh}"));
    Ok(Start { config, tokenizer, model })
}

/// The flags with absolute paths, which hold from any working folder.
fn settings(args: &AdaptArgs) -> Result<String> {
    let mut args = args.clone();
    make_absolute(&mut args.learning, &mut args.model)?;
    as_toml(&args, SETTINGS)
}
