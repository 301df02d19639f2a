//! `finetune evaluate`: the figures of a fine-tuned model on a labelled file.

use anyhow::{Result, bail};
use serde_json::json;

use crate::args::EvaluateArgs;
use crate::batches::Examples;
use crate::data::{self, Dataset, Labels};
use crate::folder::{Folder, outputs};
use crate::progress::remark;
use crate::trainer;

/// Reads, predicts, measures, prints.
pub(super) fn run(args: &EvaluateArgs) -> Result<()> {
    let options = args.data.options();
    let table = data::read_table(&args.file, &options)?;
    let folder = Folder::open(&args.model)?;
    let schema = folder.schema(&table, &options)?;
    let data = Dataset::new(table, &schema)?;
    if data.labels == Labels::Absent {
        bail!("{}: no label column; name it with --label-column", args.file.display());
    }
    let (model, task) = folder.fine_tuned()?;
    let encodings = folder.encode(&data.examples, args.data.max_length)?;
    let truncated = encodings.iter().filter(|e| e.truncated).count();
    let examples = Examples { encodings, labels: data.labels, outputs: outputs(&task) };
    let result = trainer::evaluate(&model, &task, &examples, args.batch_size)?;
    let report = result.report.expect("there are labels");
    if args.json {
        let mut line = serde_json::to_value(&report)?;
        line["loss"] = json!(result.loss);
        line["examples"] = json!(examples.len());
        line["examples_per_second"] = json!(result.speed);
        println!("{line}");
        return Ok(());
    }
    if truncated > 0 {
        remark(args.machine.quiet, &format!("{truncated} texts were truncated to --max-length"));
    }
    let (n, loss) = (examples.len(), result.loss.unwrap_or(f64::NAN));
    println!("{n} examples, {:.0} examples/s\nloss {loss:.4}\n{report}", result.speed);
    Ok(())
}
