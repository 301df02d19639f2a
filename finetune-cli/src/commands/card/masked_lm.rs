//! The card of a model that was adapted or pretrained.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{CARD, MADE_BY, course, history, link, plain, string};
use crate::commands::train_report::{describe, file_name};
use crate::hub;
use crate::masked_lm::corpus::Corpus;
use crate::run::Settings;

/// The keys of settings that are paths, which mean nothing elsewhere.
const PATHS: [&str; 5] = ["model", "architecture", "text", "validation", "output"];

/// A text of a run: what it is for, its files, and what came of it.
pub(in crate::commands) struct Text<'a> {
    /// Its name in the table.
    pub role: &'static str,
    /// None where it is a part of the text before it.
    pub files: &'a [PathBuf],
    /// What was made of them.
    pub corpus: &'a Corpus,
}

/// Writes the card into the output folder: of a model that began as `base`, or with random weights, and learned from the
/// first of these texts.
pub(in crate::commands) fn write(
    (settings, base): (Settings, Option<&Path>),
    texts: &[Text],
    state: &Value,
    output: &Path,
) {
    let card = Card { settings, base, texts, state, output };
    describe(output, CARD, &card.text());
}

struct Card<'a> {
    settings: Settings<'a>,
    base: Option<&'a Path>,
    texts: &'a [Text<'a>],
    state: &'a Value,
    output: &'a Path,
}

impl Card<'_> {
    /// The whole file.
    fn text(&self) -> String {
        let sections = [self.metadata(), self.head(), self.use_it(), self.data(), self.training()];
        sections.join("\n")
    }

    fn metadata(&self) -> String {
        let base = self.base.and_then(hub::name_of);
        let base = base.map(|name| format!("base_model: {}\n", string(&name)));
        let base = base.unwrap_or_default();
        format!("---\nlibrary_name: transformers\npipeline_tag: fill-mask\n{base}---\n")
    }

    fn head(&self) -> String {
        let begin = match self.base {
            Some(path) => format!("Weights of {}, which went on learning", self.base_of(path)),
            None => "Random weights, and a vocabulary of the text, which learned".to_owned(),
        };
        let (name, files) = (plain(&file_name(self.output)), names(self.texts[0].files));
        let text = format!("# {name}\n\n{begin} from {files} by masked-language modelling.\n\n");
        text + &self.figures()
    }

    fn base_of(&self, path: &Path) -> String {
        hub::name_of(path).map_or_else(|| plain(&file_name(path)), |name| link(&name))
    }

    /// Of the held-out text, before the first step and behind the last one.
    fn figures(&self) -> String {
        let measured = |entry: &&Value| entry.get("eval_pseudo_perplexity").is_some();
        let looks: Vec<&Value> = history(self.state).iter().filter(measured).collect();
        let [before, .., after] = looks[..] else {
            return "It was measured on no held-out text.\n".to_owned();
        };
        let mut table = "| held-out text | before | after |\n|---|---:|---:|\n".to_owned();
        for (name, key) in [("loss", "eval_loss"), ("pseudo-perplexity", "eval_pseudo_perplexity")]
        {
            let [before, after] = [before, after].map(|entry| {
                entry[key].as_f64().map_or("infinite".to_owned(), |value| format!("{value:.4}"))
            });
            let _ = writeln!(table, "| {name} | {before} | {after} |");
        }
        table
    }

    fn use_it(&self) -> String {
        "## How to use it\n\nMODEL is this folder, or its name on the Hub once it is there. To fine-tune it on labelled \
         examples:\n\n```sh\nfinetune train --model MODEL --train FILE\n```\n\nTo have it guess a word:\n\n\
         ```python\nfrom transformers import pipeline\n\nmodel = pipeline(\"fill-mask\", model=\"MODEL\")\n\
         print(model(f\"... {model.tokenizer.mask_token} ...\"))\n```\n"
            .to_owned()
    }

    fn data(&self) -> String {
        let mut table = "## Data\n\n| | | texts | tokens |\n|---|---|---:|---:|\n".to_owned();
        for Text { role, files, corpus } in self.texts {
            let files = match files {
                [] => "a part of the text".to_owned(),
                files => names(files),
            };
            let (texts, tokens) = (corpus.texts(), corpus.tokens());
            let _ = writeln!(table, "| {role} | {files} | {texts} | {tokens} |");
        }
        table
    }

    fn training(&self) -> String {
        let command = self.settings.file.trim_end_matches(".toml");
        let columns = [("training loss", "train_loss"), ("held-out loss", "eval_loss")];
        let columns = columns.map(|(name, key)| (name.to_owned(), key.to_owned()));
        format!(
            "## Training\n\nThe settings, as `finetune {command} --config` takes them:\n\n```toml\n{}```\n\n{}{MADE_BY}",
            without_paths(self.settings.text),
            course(history(self.state), &columns)
        )
    }
}

/// The last parts of these paths.
fn names(files: &[PathBuf]) -> String {
    files.iter().map(|path| plain(&file_name(path))).collect::<Vec<_>>().join(", ")
}

/// Settings without those that are paths.
fn without_paths(settings: &str) -> String {
    let mut settings: toml::Table = settings.parse().unwrap_or_default();
    settings.retain(|key, _| !PATHS.contains(&key));
    settings.to_string()
}
