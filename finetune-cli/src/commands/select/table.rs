//! The ranking as a table for the terminal: a line for each candidate, one below it if there is something to say.

use crate::memory::human;
use crate::page::numbers::duration;
use crate::select::summary::{Candidate, Summary};

/// Columns that are aligned to the right: all but name and remarks.
const HEADER: [&str; 9] =
    ["", "model", "score", "90 %", "metric", "rate", "parameters", "time", "memory"];
/// The column of learning rates, shown if several were tried.
const RATE: usize = 5;

/// Table and legend.
pub(super) fn text(summary: &Summary) -> String {
    let mut rows = vec![header(summary)];
    let candidates = summary.candidates.iter().zip(summary.tied()).enumerate();
    rows.extend(candidates.map(|(i, (candidate, tied))| row(i, candidate, tied)));
    if summary.task.learning_rates.len() < 2 {
        rows.iter_mut().for_each(|row| drop(row.remove(RATE)));
    }
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        let cells =
            row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
                1 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
        let candidate = i.checked_sub(1).and_then(|i| summary.candidates.get(i));
        if let Some(candidate) = candidate.filter(|candidate| !candidate.remarks.is_empty()) {
            let (indent, remarks) = (widths[0] + 2, printable(&candidate.remarks.join("; ")));
            text += &format!("{:indent$}{remarks}\n", "");
        }
    }
    text + &legend(summary)
}

fn header(summary: &Summary) -> Vec<String> {
    let mut header = HEADER.map(str::to_owned);
    header[4].clone_from(&summary.task.metric);
    header.into()
}

fn row(place: usize, candidate: &Candidate, tied: bool) -> Vec<String> {
    let (score, verified) = (candidate.score, candidate.verified.as_ref());
    let rank = match (candidate.is_ranked(), tied) {
        (false, _) => "-".to_owned(),
        (true, true) => format!("={}", place + 1),
        (true, false) => (place + 1).to_string(),
    };
    let cost = candidate.evidence.as_ref().map(|evidence| evidence.cost);
    let shown = |text: Option<String>| text.unwrap_or_default();
    vec![
        rank,
        printable(&candidate.name),
        shown(score.map(|score| format!("{:.1}", score.value))),
        shown(score.map(|score| format!("{:.0}-{:.0}", score.low, score.high))),
        shown(verified.map(|verified| format!("{:.4}", verified.metric))),
        shown(verified.map(|verified| format!("{:e}", verified.learning_rate))),
        shown(cost.map(|cost| format!("{:.1} M", cost.parameters as f64 / 1e6))),
        shown(cost.and_then(|cost| cost.projected_seconds).map(duration)),
        shown(cost.map(|cost| human(cost.step_memory.unwrap_or(cost.projected_memory)))),
    ]
}

fn legend(summary: &Summary) -> String {
    let task = &summary.task;
    let words = task.sampled_words.map_or(String::new(), |words| format!("{words} words of "));
    let lora = task.lora_rank.map_or(String::new(), |rank| format!(" with LoRA of rank {rank}"));
    let mut text = format!(
        "\nscore: estimated from {words}{} of {} training examples, without training; = by it not told apart \
         from the highest\ntime, memory: of {} epochs of training{lora} at batch size {}\n",
        task.sampled_rows, task.train_rows, task.epochs, task.batch_size
    );
    task.remarks.iter().for_each(|remark| text += &format!("note: {remark}\n"));
    let verified = summary.candidates.iter().filter_map(|c| c.verified.as_ref());
    let steps = verified.filter_map(|v| Some((v.rungs.last()?.steps, v.recipe_steps)));
    if let Some((steps, all)) = steps.max() {
        let rows = task.validation_rows;
        text += &format!(
            "{}: measured on {rows} validation examples after up to {steps} of {all} training steps\n",
            task.metric
        );
        if task.learning_rates.len() > 1 {
            let rates: Vec<String> =
                task.learning_rates.iter().map(|rate| format!("{rate:e}")).collect();
            text += &format!("rate: the best of {} as learning rate\n", rates.join(", "));
        }
    }
    text
}

/// A name or remark as one line: line breaks and escape sequences of a terminal are not for it to act on.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Candidates of these scores, in the order of a verification; of each, whether it is tied with the highest score.
    fn ranked(scores: &[(f64, bool)]) -> Summary {
        let candidate = |&(value, tied_with_best): &(f64, bool)| {
            let score = json!({"value": value, "low": value, "high": value, "tied_with_best": tied_with_best});
            json!({"name": "model", "path": "model", "status": "scored", "score": score, "remarks": []})
        };
        let task = json!({"train": "train.csv", "problem_type": "regression", "labels": [], "metric": "pearson",
            "train_rows": 9, "validation_rows": 9, "sampled_rows": 9, "sampled_words": null, "epochs": 1,
            "batch_size": 4, "max_length": 8});
        let candidates: Vec<_> = scores.iter().map(candidate).collect();
        let timing = json!({"scoring_seconds": 0.0, "verification_seconds": 0.0});
        let summary =
            json!({"version": 1, "task": task, "candidates": candidates, "timing": timing});
        serde_json::from_value(summary).expect("a summary")
    }

    #[test]
    fn those_that_are_not_told_apart_have_a_sign() {
        let places = |scores: &[(f64, bool)]| -> Vec<String> {
            let text = text(&ranked(scores));
            let lines = text.lines().skip(1).take(scores.len());
            lines.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
        };
        // The highest is always tied with itself: that is no tie.
        assert_eq!(places(&[(40.0, false), (60.0, true), (20.0, false)]), ["1", "2", "3"]);
        assert_eq!(places(&[(40.0, true), (60.0, true), (20.0, false)]), ["=1", "=2", "3"]);
        assert_eq!(places(&[(60.0, true), (40.0, true)]), ["=1", "=2"]);
    }

    #[test]
    fn learning_rates_are_shown_if_there_are_several() {
        let mut summary = ranked(&[(60.0, false), (40.0, false)]);
        let rung =
            json!({"steps": 5, "metric": 0.5, "standard_error": 0.1, "loss": 1.0, "seconds": 1.0});
        let verified =
            json!({"learning_rate": 2e-5, "metric": 0.5, "rungs": [rung], "recipe_steps": 9});
        summary.candidates[0].verified =
            serde_json::from_value(verified).expect("what was measured");
        summary.task.learning_rates = vec![1e-5];
        assert!(!text(&summary).contains("rate"), "{}", text(&summary));
        summary.task.learning_rates.push(2e-5);
        let text = text(&summary);
        let words = |line: usize| -> Vec<&str> {
            text.lines().nth(line).map_or(vec![], |l| l.split_whitespace().collect())
        };
        assert_eq!(words(0)[4..6], ["pearson", "rate"]);
        assert_eq!(words(1)[4..], ["0.5000", "2e-5"]);
        assert!(text.contains("\nrate: the best of 1e-5, 2e-5 as learning rate\n"), "{text}");
    }

    #[test]
    fn a_name_is_one_line() {
        assert_eq!(printable("it's ü"), "it's ü");
        assert_eq!(printable("a\nb\u{1B}[2J"), "a\u{FFFD}b\u{FFFD}[2J");
    }
}
