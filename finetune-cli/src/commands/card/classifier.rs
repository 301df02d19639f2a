//! The card of a fine-tuned model, and of the adapter that LoRA trained beside it.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use super::{CARD, MADE_BY, course, history, link, plain, string};
use crate::args::TrainArgs;
use crate::commands::best::best_metric;
use crate::commands::train::Job;
use crate::commands::train_report::{describe, file_name, parts};
use crate::data::Task;
use crate::metrics::are_entities;
use crate::predictions::metric_names;
use crate::report::Part;
use crate::run::checkpoint::ADAPTER;
use crate::{bundled, hub};

/// Writes the card of a training into its output folder, from what `trainer_state.json` holds, and that of the adapter,
/// if there is one.
pub(in crate::commands) fn write(args: &TrainArgs, job: &Job, state: &Value, output: &Path) {
    let card = ModelCard { args, job, state, output };
    describe(output, CARD, &card.text());
    if job.adapter.is_some() {
        describe(&output.join(ADAPTER), CARD, &card.text_of_adapter());
    }
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

    /// That of the adapter.
    fn text_of_adapter(&self) -> String {
        let (metadata, use_it) = (self.metadata_of_adapter(), self.use_adapter());
        [metadata, self.head(), use_it, self.data(), self.training()].join("\n")
    }

    fn history(&self) -> &[Value] {
        history(self.state)
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

    /// With the tags that the Python package `peft` gives an adapter.
    fn metadata_of_adapter(&self) -> String {
        let base = self.base_on_hub();
        let of_base = base.as_ref().map(|name| format!("base_model: {}\n", string(name)));
        let tag = base.map(|name| format!("- {}\n", string(&format!("base_model:adapter:{name}"))));
        format!(
            "---\nlibrary_name: peft\npipeline_tag: {}\n{}tags:\n{}- lora\n- transformers\n{}---\n",
            self.pipeline(),
            of_base.unwrap_or_default(),
            tag.unwrap_or_default(),
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

    fn use_adapter(&self) -> String {
        let base = self.base();
        let task = if self.pipeline() == "token-classification" { "Token" } else { "Sequence" };
        let (class, labels) =
            (format!("AutoModelFor{task}Classification"), self.job.task.outputs());
        let named = self.base_on_hub();
        let (called, name) = match &named {
            Some(name) => ("", name.as_str()),
            None => (", BASE here", "BASE"),
        };
        format!(
            "## How to use it\n\nADAPTER is this folder, or its name on the Hub once it is there; it belongs to \
             {base}{called}.\n\n```python\nfrom peft import PeftModel\nfrom transformers import {class}\n\n\
             base = {class}.from_pretrained({}, num_labels={labels}, ignore_mismatched_sizes=True)\n\
             model = PeftModel.from_pretrained(base, \"ADAPTER\")\n```\n",
            string(name)
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
        let text = format!(
            "## Training\n\nThe settings, as `finetune train --config` takes them:\n\n```toml\n{}```\n\n",
            self.job.recipe
        );
        let mut columns = vec![
            ("training loss".to_owned(), "train_loss".to_owned()),
            ("validation loss".to_owned(), "eval_loss".to_owned()),
        ];
        columns.extend(figure.map(|name| (format!("validation {name}"), format!("eval_{name}"))));
        text + &course(self.history(), &columns) + MADE_BY
    }

    /// The name that the Hub and transformers have for the task.
    fn pipeline(&self) -> &'static str {
        match self.job.task {
            Task::Tags(_) => "token-classification",
            _ => "text-classification",
        }
    }

    /// The model that it began with.
    fn base(&self) -> String {
        match (self.base_on_hub(), &self.args.model) {
            (Some(name), _) => link(&name),
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
