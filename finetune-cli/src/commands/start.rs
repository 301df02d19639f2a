//! The model that a training begins with, or goes on with from a checkpoint.
//!
//! With LoRA it is the model of `--model` with adapters. A checkpoint holds it merged, which `evaluate` can open, and
//! what was trained, to the last bit; to go on, this is put on the model of `--model` again. Merged it must then be the
//! model of the checkpoint: otherwise another one is there now.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bert::{Adaptation, Adapter, Checkpoint};
use nn::{Module, count, to_device};
use tensor::Device;

use super::remark_unused;
use crate::args::TrainArgs;
use crate::bundled;
use crate::classifier::Classifier;
use crate::data::Task;
use crate::folder::Folder;
use crate::progress::remark;
use crate::run::checkpoint::ADAPTER;
use crate::run::damaged;

/// A model, and what is trained of it with LoRA.
type Model = (Classifier, Option<Adapter>);

/// Where a model comes from, and how it is adapted.
pub(super) struct Start<'a> {
    args: &'a TrainArgs,
    folder: &'a Folder,
    task: &'a Task,
    adaptation: Option<Adaptation>,
}

impl<'a> Start<'a> {
    /// By the flags.
    ///
    /// # Errors
    /// When the model can't be adapted as they say.
    pub(super) fn new(args: &'a TrainArgs, folder: &'a Folder, task: &'a Task) -> Result<Self> {
        let adaptation = args.lora.adaptation(&folder.config).context("LoRA")?;
        Ok(Self { args, folder, task, adaptation })
    }

    /// The model before the first step; says what it is.
    ///
    /// # Errors
    /// When the weights are missing or not valid, or a GPU is full.
    pub(super) fn fresh(&self) -> Result<Model> {
        let (model, fresh) = match self.args.from_scratch {
            true => {
                let model = Classifier::new(&self.folder.config, self.task, self.seed());
                to_device(&model.params(), &self.folder.device)?;
                (model, "all weights".to_owned())
            }
            false => self.pretrained()?,
        };
        let parameters = count(&model.params());
        let (model, adapter) = self.adapted(model)?;
        self.introduce(parameters, &model, &fresh);
        Ok((model, adapter))
    }

    fn seed(&self) -> u64 {
        self.args.recipe.optimization.seed
    }

    /// The model of the folder, and which weights start fresh.
    fn pretrained(&self) -> Result<(Classifier, String)> {
        let (model, report) = self.folder.classifier(self.task, self.seed())?;
        // What --truncate leaves out is known.
        if self.args.truncate.is_none() {
            remark_unused(self.args.machine.quiet, &self.folder.path, &report);
        }
        Ok((model, report.missing.join(", ")))
    }

    /// The model with fresh adapters, if it is to have some.
    fn adapted(&self, mut model: Classifier) -> Result<Model> {
        let Some(adaptation) = &self.adaptation else { return Ok((model, None)) };
        let adapter = model.adapt(adaptation.clone(), self.base()?, self.seed())?;
        Ok((model, Some(adapter)))
    }

    /// What an adapter says it belongs to: the folder, or the name in the cache; nothing where it is the bundled model.
    fn base(&self) -> Result<Option<String>> {
        let Some(typed) = &self.args.model else { return Ok(None) };
        let base = match *typed == self.folder.path {
            true => std::path::absolute(typed)?,
            false => typed.clone(),
        };
        Ok(Some(base.display().to_string()))
    }

    fn introduce(&self, parameters: usize, model: &Classifier, fresh: &str) {
        let bundled = || bundled::MODEL.into();
        let name = self.args.model.as_ref().map_or_else(bundled, |path| path.display().to_string());
        let place = match &self.folder.device {
            Device::Cpu => String::new(),
            gpu => format!(", on {}", gpu.label()),
        };
        let mut line = format!("model: {name}, {parameters} parameters{place}");
        if let Some(adaptation) = &self.adaptation {
            line += &trained(adaptation, model);
        }
        if !fresh.is_empty() {
            line += &format!("; start fresh: {fresh}");
        }
        remark(self.args.machine.quiet, &line);
    }

    /// The model as it was at a checkpoint.
    ///
    /// # Errors
    /// When the checkpoint can't be read, does not belong to the model of the folder, or a GPU is full.
    pub(super) fn again(&self, checkpoint: &Path) -> Result<Model> {
        let saved = self.saved(checkpoint).with_context(|| damaged(checkpoint))?;
        if self.adaptation.is_none() {
            // A full GPU is no fault of the checkpoint.
            to_device(&saved.params(), &self.folder.device)?;
            return Ok((saved, None));
        }
        let (model, adapter) = self.adapted(self.folder.classifier(self.task, self.seed())?.0)?;
        let load = || {
            let loaded = adapter.iter().try_for_each(|a| a.load(&checkpoint.join(ADAPTER)));
            loaded?;
            ensure!(
                is_same(&model.merged()?, &saved)?,
                "the model of --model is not the one that it began with"
            );
            Ok(())
        };
        load().with_context(|| damaged(checkpoint))?;
        Ok((model, adapter))
    }

    /// The model that a checkpoint holds.
    fn saved(&self, checkpoint: &Path) -> Result<Classifier> {
        let config = &self.folder.config;
        let mut weights = Checkpoint::open(checkpoint, &config.family)?;
        let (model, report) = Classifier::load(&mut weights, config, self.task, 0)?;
        match report.missing.is_empty() {
            true => Ok(model),
            false => bail!("no {}", report.missing.join(", ")),
        }
    }
}

/// How much LoRA trains of a model.
fn trained(adaptation: &Adaptation, model: &Classifier) -> String {
    let params = model.params().into_iter().filter(|param| !param.is_frozen());
    let (adapters, head): (Vec<_>, Vec<_>) =
        params.partition(|param| param.name().contains(".lora_"));
    let (thin, whole) = (count(&adapters), count(&head));
    format!(
        "; {} are trained: {thin} of LoRA ({}), {whole} of the head",
        thin + whole,
        adaptation.targets().join(", ")
    )
}

/// Whether the weights of two models are the same bits.
fn is_same(a: &Classifier, b: &Classifier) -> Result<bool> {
    let bits = |model: &Classifier| -> Result<Vec<Vec<u32>>> {
        let values = model.params().into_iter().map(|param| {
            let values = param.value().to_device(&Device::Cpu)?.to_vec::<f32>()?;
            Ok(values.into_iter().map(f32::to_bits).collect())
        });
        values.collect()
    };
    Ok(bits(a)? == bits(b)?)
}
