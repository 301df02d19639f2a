//! The data, the task and where the time went.

use crate::page::html::{Element, element, with_text};
use crate::page::numbers::{duration, grouped, or_dash};
use crate::page::parts::{fact, labels};
use crate::select::summary::{Summary, TaskSummary};

/// The foot of the page.
pub fn section(summary: &Summary) -> Element {
    let (task, timing) = (&summary.task, &summary.timing);
    let facts = [
        ("Training file", task.train.clone()),
        ("Problem", task.problem_type.replace('_', " ")),
        ("Metric", task.metric.clone()),
        ("Rows to train on", grouped(task.train_rows)),
        ("Rows held out", grouped(task.validation_rows)),
        ("Rows scored", scored(task)),
        ("Full recipe", recipe(task)),
        ("Scoring took", or_dash(Some(timing.scoring_seconds), duration)),
        ("Fine-tuning took", or_dash(Some(timing.verification_seconds), duration)),
    ];
    let notes = task.remarks.iter().map(|remark| ("Note", remark.clone()));
    let facts = facts.into_iter().chain(notes);
    let facts = facts.map(|(name, value)| fact(name, with_text("dd", value)));
    let list =
        element("dl").class("facts").children(facts).child(fact("Labels", labels(&task.labels)));
    let heading = with_text("h2", "Data, task and timing");
    element("section").attr("id", "data").child(heading).child(list)
}

fn recipe(task: &TaskSummary) -> String {
    let lora = task.lora_rank.map_or(String::new(), |rank| format!(", LoRA of rank {rank}"));
    let (epochs, batch, tokens) = (task.epochs, task.batch_size, task.max_length);
    format!("{epochs} epochs, batches of {batch}, {tokens} tokens{lora}")
}

fn scored(task: &TaskSummary) -> String {
    let words = task.sampled_words.map(|words| format!(" ({} words)", grouped(words)));
    grouped(task.sampled_rows) + &words.unwrap_or_default()
}
