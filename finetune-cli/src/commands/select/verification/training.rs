//! One rung of one contender: the model as the rung before left it, trained on and measured.

use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bert::{Adapter, Checkpoint};
use indicatif::ProgressBar;

use super::Verification;
use crate::batches::Examples;
use crate::classifier::Classifier;
use crate::commands::select::contender::Contender;
use crate::data::Dataset;
use crate::folder::Folder;
use crate::loss::Loss;
use crate::predictions::standard_error;
use crate::select::cache::Key;
use crate::select::score;
use crate::select::summary::Rung;
use crate::trainer::{self, Trainer};

/// Training and validation data as one tokenizer has them.
pub(super) struct Tokens {
    pub(super) train: Examples,
    validation: Examples,
}

impl Verification<'_> {
    /// One contender in one rung. What goes wrong stands in its row.
    pub(super) fn train(
        &self,
        contender: &mut Contender,
        rung: usize,
        bar: &ProgressBar,
    ) -> Result<()> {
        bar.set_message(contender.request.name.clone());
        contender.make_folder()?;
        let reached = self.reach(contender, contender.goal(rung), bar);
        tensor::pool::clear();
        match reached {
            Ok(reached) => contender.reached(reached),
            Err(error) => {
                contender.failed(contender.goal(rung), &error);
                Ok(())
            }
        }
    }

    /// Trains a contender on to a step, keeps it if it may go on from there, and measures it.
    fn reach(&self, contender: &Contender, step: u64, bar: &ProgressBar) -> Result<Rung> {
        let (data, recipe) = (self.selection.data, &contender.recipe);
        let folder = score::open(contender.request, &data.schema.task, &self.selection.device)?;
        let tokens = self.tokens(&folder)?;
        let before = contender.kept();
        let (model, adapter) = self.model(contender, before, &folder)?;
        let trainer = Trainer::with_steps(&model, recipe, contender.last_goal());
        let mut trainer = trainer.with_loss(Loss::new(&recipe.loss, &tokens.train));
        if let Some(before) = before {
            trainer.resume(&optim::State::load(&contender.moments(before.steps))?)?;
        }
        let start = Instant::now();
        trainer.train_to(step, &tokens.train, &mut |_| {
            bar.inc(1);
            Ok(())
        })?;
        let seconds = start.elapsed().as_secs_f64() + before.map_or(0.0, |rung| rung.seconds);
        if step < contender.last_goal() {
            contender.keep(step, &folder, (&model, adapter.as_ref()), &mut trainer)?;
        }
        let measured = self.measure(&model.merged()?, &tokens.validation, step)?;
        Ok(Rung { seconds, ..measured })
    }

    /// The model as the rung before left it, or as the candidate is without one; and what is trained of it with LoRA.
    fn model(
        &self,
        contender: &Contender,
        before: Option<Rung>,
        folder: &Folder,
    ) -> Result<(Classifier, Option<Adapter>)> {
        let (args, task) = (self.selection.args, &self.selection.data.schema.task);
        let seed = args.recipe.optimization.seed;
        if let Some(adaptation) = args.lora.adaptation(&folder.config).context("LoRA")? {
            let (mut model, _) = folder.classifier(task, seed)?;
            let adapter = model.adapt(adaptation, None, seed)?;
            if let Some(before) = before {
                adapter.load(&contender.adapter(before.steps))?;
            }
            return Ok((model, Some(adapter)));
        }
        let Some(before) = before else { return Ok((folder.classifier(task, seed)?.0, None)) };
        let weights = contender.weights(before.steps);
        let mut checkpoint = Checkpoint::open(&weights, &folder.config.family)?;
        let (model, report) = folder.load(&mut checkpoint, task, 0)?;
        ensure!(report.missing.is_empty(), "the weights of the last rung are not whole");
        Ok((model, None))
    }

    /// What a model does on the validation data after so many steps.
    fn measure(&self, model: &Classifier, validation: &Examples, steps: u64) -> Result<Rung> {
        let (args, data) = (self.selection.args, self.selection.data);
        let (recipe, task) = (&args.recipe, &data.schema.task);
        let (size, precision) = (recipe.eval_batch_size, recipe.optimization.precision.into());
        let result = trainer::evaluate(model, task, validation, size, precision, &mut |_| ())?;
        let name = data.metric(args);
        let finite = |figure: Option<f64>| figure.filter(|figure| figure.is_finite());
        let metric = finite(result.figure(name));
        ensure!(metric.is_some(), "{name} has no value on the validation data after {steps} steps");
        let error = standard_error(task, &result.predictions, &result.labels, name);
        let (loss, standard_error) = (finite(result.loss), finite(error));
        Ok(Rung { steps, metric, standard_error, loss, seconds: 0.0 })
    }

    /// Tokens of all data, shared by candidates with one tokenizer.
    pub(super) fn tokens(&self, folder: &Folder) -> Result<Rc<Tokens>> {
        let (args, data) = (self.selection.args, self.selection.data);
        let length = folder.max_length(args.data.max_length);
        let key = Key::default().with_tokenizer(&folder.path)?.with(&length.to_le_bytes()).digits();
        if let Some(tokens) = self.tokens.borrow().get(&key) {
            return Ok(tokens.clone());
        }
        let examples = |data: &Dataset| {
            let task = &self.selection.data.schema.task;
            folder.examples(task, &data.examples, data.labels.clone(), length)
        };
        let validation = data.validation.as_ref().context("verification needs validation data")?;
        let (train, validation) = (examples(&data.train)?, examples(validation)?);
        let tokens = Rc::new(Tokens { train, validation });
        self.tokens.borrow_mut().insert(key, tokens.clone());
        Ok(tokens)
    }
}
