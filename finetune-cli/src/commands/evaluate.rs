//! `finetune evaluate`: the figures of a fine-tuned model on a labelled file.

use anyhow::Result;
use serde_json::json;

use crate::args::inference::EvaluateArgs;
use crate::data::{self, Dataset};
use crate::predictions::report_at;
use crate::progress::{bar, remark, say};
use crate::trained::Trained;
use crate::trainer;

/// Reads, predicts, measures, prints.
pub(super) fn run(args: &EvaluateArgs) -> Result<()> {
    let options = args.options();
    let path = super::model(&args.inference)?;
    let table = data::read_table(&args.file, &Trained::of(&path)?.parsing(&options, &args.file))?;
    let (folder, model, task) = super::open(&args.inference, &path)?;
    let threshold = super::threshold(&args.inference, &task)?;
    let schema = folder.schema(&table, &options, &task)?;
    super::compare_texts(&args.inference, &folder, schema.columns.text.len());
    let data = Dataset::labelled(table, &schema)?;
    data.empty_texts().iter().for_each(|line| remark(args.inference.machine.quiet, line));
    let max_length = folder.trained_length(args.inference.max_length);
    let quiet = args.inference.machine.quiet;
    let examples = super::tokenized(quiet, data.examples.len(), || {
        folder.examples(&task, &data.examples, data.labels, max_length)
    })?;
    let truncated = examples.truncated();
    super::remark_truncated(&args.inference, &folder, truncated);
    let precision = args.inference.precision.into();
    let bar = bar(examples.len() as u64, quiet).with_prefix("evaluating");
    let size = args.inference.batch_size;
    let done = &mut |rows| bar.inc(rows as u64);
    let result = trainer::evaluate(&model, &task, &examples, size, precision, done)?;
    bar.finish_and_clear();
    super::check_finite(&folder, &data.examples, &result.predictions)?;
    let report = report_at(threshold, &task, &result.predictions, &result.labels);
    let report = report.expect("there are labels");
    if args.json {
        let mut line = serde_json::to_value(&report)?;
        line["loss"] = json!(result.loss);
        line["examples"] = json!(examples.texts());
        line["truncated"] = json!(truncated);
        line["examples_per_second"] = json!(result.speed);
        return Ok(say(line)?);
    }
    let (n, loss) = (examples.texts(), result.loss.unwrap_or(f64::NAN));
    let speed = result.speed;
    Ok(say(format_args!("{n} examples, {speed:.0} examples/s\nloss {loss:.4}\n{report}"))?)
}
