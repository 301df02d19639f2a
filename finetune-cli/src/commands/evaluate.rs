//! `finetune evaluate`: the figures of a fine-tuned model on a labelled file.

use anyhow::Result;
use serde_json::json;

use super::train_report;
use crate::args::inference::EvaluateArgs;
use crate::batches::Examples;
use crate::data::{self, Dataset};
use crate::predictions::report_at;
use crate::progress::{bar, remark, say};
use crate::report::{Measured, Texts};
use crate::trained::Trained;
use crate::trainer::{self, Evaluation};

/// Reads, predicts, measures, prints.
pub(super) fn run(args: &EvaluateArgs) -> Result<()> {
    args.report.as_deref().map_or(Ok(()), train_report::check_page)?;
    let options = args.options();
    let path = super::model(&args.inference)?;
    let table = data::read_table(&args.file, &Trained::of(&path)?.parsing(&options, &args.file))?;
    let (folder, model, task) = super::open(&args.inference, &path)?;
    let threshold = super::threshold(&args.inference, &task)?;
    let schema = folder.schema(&table, &options, &task)?;
    super::compare_texts(&args.inference, &folder, schema.columns.text.len());
    let data = Dataset::labelled(table, &schema)?;
    let texts = args.report.as_ref().map(|_| Texts::of(&data));
    data.empty_texts().iter().for_each(|line| remark(args.inference.machine.quiet, line));
    let max_length = folder.trained_length(args.inference.max_length);
    let quiet = args.inference.machine.quiet;
    let examples = super::tokenized(quiet, data.examples.len(), || {
        folder.examples(&task, &data.examples, data.labels, max_length)
    })?;
    super::remark_truncated(&args.inference, &folder, examples.truncated());
    let precision = args.inference.precision.into();
    let bar = bar(examples.len() as u64, quiet).with_prefix("evaluating");
    let size = args.inference.batch_size;
    let done = &mut |rows| bar.inc(rows as u64);
    let mut result = trainer::evaluate(&model, &task, &examples, size, precision, done)?;
    bar.finish_and_clear();
    super::check_finite(&folder, &data.examples, &result.predictions)?;
    result.report = report_at(threshold, &task, &result.predictions, &result.labels);
    let written = match (&args.report, &texts) {
        (Some(page), Some(texts)) => {
            let measured = Measured::of("evaluated", texts, &result, threshold);
            let measured = measured.expect("there are labels");
            train_report::write_evaluation(page, (&folder, &model, &task), measured, &args.file)
        }
        _ => Ok(()),
    };
    // A page that can't be written takes no figures with it.
    show(args, &result, &examples)?;
    written
}

fn show(args: &EvaluateArgs, result: &Evaluation, examples: &Examples) -> Result<()> {
    let report = result.report.as_ref().expect("there are labels");
    if args.json {
        let mut line = serde_json::to_value(report)?;
        line["loss"] = json!(result.loss);
        line["examples"] = json!(examples.texts());
        line["truncated"] = json!(examples.truncated());
        line["examples_per_second"] = json!(result.speed);
        return Ok(say(line)?);
    }
    let (n, loss) = (examples.texts(), result.loss.unwrap_or(f64::NAN));
    let speed = result.speed;
    Ok(say(format_args!("{n} examples, {speed:.0} examples/s\nloss {loss:.4}\n{report}"))?)
}
