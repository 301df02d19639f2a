//! The model card of a run: its `README.md`, which the Hugging Face Hub shows above a model.
//!
//! ```text
//! ---
//! metadata, YAML: library, base model, task, figures      what the Hub filters and compares by
//! ---
//! Markdown: task, figures, use, data, settings, course    what people read
//! ```
//!
//! It says what `Trainer.create_model_card` of transformers says of a run. A card is published with its model: of paths it
//! has the last part alone. What comes from the files of others (labels, columns, names) is escaped. Strings of the YAML
//! are JSON's, which YAML takes.
//!
//! Sources: <https://huggingface.co/docs/hub/model-cards>,
//! <https://github.com/huggingface/hub-docs/blob/main/modelcard.md>.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use super::best::best_metric;
use super::train::Job;
use super::train_report::{describe, file_name, parts};
use crate::args::TrainArgs;
use crate::data::Task;
use crate::metrics::are_entities;
use crate::predictions::metric_names;
use crate::report::Part;
use crate::{bundled, hub};

/// The file in the output folder.
const CARD: &str = "README.md";

/// Writes the card of a training into its output folder, from what `trainer_state.json` holds.
pub(super) fn write(args: &TrainArgs, job: &Job, state: &Value, output: &Path) {
    let card = ModelCard { args, job, state, output };
    describe(output, CARD, &card.text());
}

/// What is known of a run at its end.
struct ModelCard<'a> {
    args: &'a TrainArgs,
    job: &'a Job,
    /// `trainer_state.json`.
    state: &'a Value,
    /// The folder that the model is in.
    output: &'a Path,
}

impl ModelCard<'_> {
    /// The whole file.
    fn text(&self) -> String {
        let sections = [self.metadata(), self.head(), self.use_it(), self.data(), self.training()];
        sections.join("\n")
    }

    fn history(&self) -> &[Value] {
        self.state["log_history"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The log entry of the validation data with the weights that are saved.
    fn validated(&self) -> Option<&Value> {
        let keeps_best = self.args.recipe.load_best_model_at_end;
        let step = &self.state[if keeps_best { "best_global_step" } else { "global_step" }];
        self.history().iter().rfind(|entry| entry["step"] == *step && !entry["eval_loss"].is_null())
    }

    /// That of the test data.
    fn tested(&self) -> Option<&Value> {
        self.history().iter().rfind(|entry| !entry["test_loss"].is_null())
    }

    fn metadata(&self) -> String {
        let base = self.base_on_hub().map(|name| format!("base_model: {}\n", string(&name)));
        format!(
            "---\nlibrary_name: transformers\npipeline_tag: {}\n{}{}---\n",
            self.pipeline(),
            base.unwrap_or_default(),
            self.model_index()
        )
    }

    /// The figures, where the Hub looks for them: of the test data, or else of the validation data.
    fn model_index(&self) -> String {
        let measured = match (self.tested(), self.validated()) {
            (Some(entry), _) => Some((entry, "test", "test")),
            (None, Some(entry)) => Some((entry, "eval", "validation")),
            (None, None) => None,
        };
        let Some((entry, prefix, split)) = measured else { return String::new() };
        let file = self.parts().into_iter().find(|part| part.role == split);
        let file = file.map(|part| part.name).unwrap_or_default();
        let (pipeline, file) = (string(self.pipeline()), string(&file));
        let mut yaml = format!(
            "model-index:\n- name: {}\n  results:\n  - task:\n      type: {pipeline}\n    dataset:\n      \
             name: {file}\n      type: {file}\n      split: {split}\n    metrics:\n",
            string(&file_name(self.output))
        );
        let figures = self.figures(entry, prefix);
        for (name, value) in figures.into_iter().filter(|(name, _)| *name != "loss") {
            // The Hub has its metrics under the names of the library `evaluate`.
            let of_hub = if name == "pearson" { "pearsonr" } else { name };
            // Without an exponent: Python's YAML takes 1e-5 for a word.
            let _ = writeln!(yaml, "    - type: {of_hub}\n      value: {value}");
        }
        yaml
    }

    fn head(&self) -> String {
        let mut text = format!("# {}\n\n", plain(&file_name(self.output)));
        let begin = match self.args.from_scratch {
            true => "Random weights in the shape of",
            false => "Weights of",
        };
        let (base, train) = (self.base(), plain(&self.parts()[0].name));
        let task = plain(&self.job.task.to_string());
        let _ = writeln!(text, "{begin} {base}, fine-tuned on {train}. Task: {task}.\n");
        text + &self.figure_table()
    }

    /// The loss and all figures, a column for the validation data and one for the test data.
    fn figure_table(&self) -> String {
        let columns = [(self.validated(), "eval", "validation"), (self.tested(), "test", "test")];
        let columns: Vec<_> = columns
            .into_iter()
            .filter_map(|(entry, prefix, name)| Some((self.figures(entry?, prefix), name)))
            .collect();
        if columns.is_empty() {
            return "It was measured on no held-out data.\n".to_owned();
        }
        let heads: String = columns.iter().map(|(_, name)| format!(" {name} |")).collect();
        let mut table = format!("| |{heads}\n|---|{}\n", "---:|".repeat(columns.len()));
        for name in self.figure_names() {
            let of = |(figures, _): &(Vec<(&str, f64)>, &str)| {
                figures.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
            };
            let values: Vec<Option<f64>> = columns.iter().map(of).collect();
            if values.iter().any(Option::is_some) {
                let cell = |v: &Option<f64>| v.map_or(" |".to_owned(), |v| format!(" {v:.4} |"));
                let cells: String = values.iter().map(cell).collect();
                let _ = writeln!(table, "| {name} |{cells}");
            }
        }
        table
    }

    /// The figures of a log entry with such a prefix; those without a value are left out.
    fn figures(&self, entry: &Value, prefix: &str) -> Vec<(&'static str, f64)> {
        let value = |name: &&str| entry[format!("{prefix}_{name}")].as_f64();
        self.figure_names().into_iter().filter_map(|n| Some((n, value(&n)?))).collect()
    }

    /// The loss, then the figures of the task, but averages by frequency and, of single labels, the micro averages,
    /// which are the accuracy.
    fn figure_names(&self) -> Vec<&'static str> {
        let single = matches!(self.job.task, Task::SingleLabel(_));
        let wanted = |n: &&str| !(n.ends_with("_weighted") || single && n.ends_with("_micro"));
        std::iter::once("loss").chain(metric_names(&self.job.task)).filter(wanted).collect()
    }

    fn use_it(&self) -> String {
        let pair = self.job.columns.text.len() == 2;
        let text = if pair { r#"{"text": "...", "text_pair": "..."}"# } else { r#""...""# };
        let option = match &self.job.task {
            Task::Tags(set) if are_entities(set.names()) => ", aggregation_strategy=\"simple\"",
            Task::Regression => ", function_to_apply=\"none\"",
            Task::MultiLabel(_) => ", top_k=None",
            Task::SingleLabel(_) | Task::Tags(_) => "",
        };
        let (pipeline, second) = (self.pipeline(), if pair { " --pair \"...\"" } else { "" });
        format!(
            "## How to use it\n\nMODEL is this folder, or its name on the Hub once it is there.\n\n\
             ```sh\nfinetune predict --model MODEL \"...\"{second}\n```\n\n\
             ```python\nfrom transformers import pipeline\n\n\
             model = pipeline(\"{pipeline}\", model=\"MODEL\"{option})\nprint(model({text}))\n```\n"
        )
    }

    fn data(&self) -> String {
        let mut text = "## Data\n\n| | | examples |\n|---|---|---:|\n".to_owned();
        for Part { role, name, examples } in self.parts() {
            let _ = writeln!(text, "| {role} | {} | {examples} |", plain(&name));
        }
        text
    }

    fn training(&self) -> String {
        let metric = best_metric(&self.args.recipe, &self.job.task);
        let figure = Some(metric).filter(|name| *name != "loss");
        let mut text = format!(
            "## Training\n\nThe settings, as `finetune train --config` takes them:\n\n```toml\n{}```\n\n",
            self.job.recipe
        );
        let heads = figure.map_or(String::new(), |name| format!(" validation {name} |"));
        let rule = figure.map_or("", |_| "---:|");
        let _ = writeln!(text, "| step | epoch | training loss | validation loss |{heads}");
        let _ = writeln!(text, "|---:|---:|---:|---:|{rule}");
        for entry in self.history().iter().filter(|entry| entry["train_loss"].is_f64()) {
            let keys = ["train_loss".to_owned(), "eval_loss".to_owned()];
            let keys = keys.into_iter().chain(figure.map(|name| format!("eval_{name}")));
            let number = |key: String| entry[key].as_f64().map(|value| format!("{value:.4}"));
            let cells: String =
                keys.map(|key| format!(" {} |", number(key).unwrap_or_default())).collect();
            let epoch = entry["epoch"].as_f64().unwrap_or(f64::NAN);
            let _ = writeln!(text, "| {} | {epoch:.2} |{cells}", entry["step"]);
        }
        let version = env!("CARGO_PKG_VERSION");
        text + &format!("\nMade by finetune {version}.\n")
    }

    /// The name that the Hub and transformers have for the task.
    fn pipeline(&self) -> &'static str {
        match self.job.task {
            Task::Tags(_) => "token-classification",
            _ => "text-classification",
        }
    }

    /// The model that it began with, with a link where the Hub has it.
    fn base(&self) -> String {
        match (self.base_on_hub(), &self.args.model) {
            (Some(name), _) => format!("[{}](https://huggingface.co/{name})", plain(&name)),
            (None, Some(_)) => plain(&file_name(&self.job.folder.path)),
            (None, None) => bundled::MODEL.to_owned(),
        }
    }

    /// The name of that model on the Hub, if it came from there and its weights were used.
    fn base_on_hub(&self) -> Option<String> {
        hub::name_of(&self.job.folder.path).filter(|_| !self.args.from_scratch)
    }

    /// The training data, and what was held out.
    fn parts(&self) -> Vec<Part> {
        parts(self.args, self.job)
    }
}

/// Text with nothing that Markdown or HTML would take for more.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars().map(printable) {
        if c.is_ascii_punctuation() && !"-./,:;'\"()%?=+@".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A string of the metadata.
fn string(text: &str) -> String {
    Value::from(text.chars().map(printable).collect::<String>()).to_string()
}

/// YAML takes no control characters and no noncharacters, and neither shows.
fn printable(c: char) -> char {
    if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FFFE}' | '\u{FFFF}') {
        ' '
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_files_is_no_markup() {
        assert_eq!(plain("a|b\n<b>*c*"), "a\\|b \\<b\\>\\*c\\*");
        assert_eq!(string("say \"a\": \u{85}b\\"), r#""say \"a\":  b\\""#);
    }
}
