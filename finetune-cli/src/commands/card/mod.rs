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

mod classifier;
mod masked_lm;

use std::fmt::Write;

use serde_json::Value;

pub(super) use classifier::write;
pub(super) use masked_lm::{Text, write as write_masked_lm};

/// The file in the output folder.
const CARD: &str = "README.md";

/// The last line.
const MADE_BY: &str = concat!("\nMade by finetune ", env!("CARGO_PKG_VERSION"), ".\n");

/// The log in `trainer_state.json`.
fn history(state: &Value) -> &[Value] {
    state["log_history"].as_array().map_or(&[], Vec::as_slice)
}

/// How the training went: a row for each look at it, with these columns, of which each has a name and a key of the log.
fn course(history: &[Value], columns: &[(String, String)]) -> String {
    let heads: String = columns.iter().map(|(name, _)| format!(" {name} |")).collect();
    let rules = "---:|".repeat(columns.len());
    let mut table = format!("| step | epoch |{heads}\n|---:|---:|{rules}\n");
    for entry in history.iter().filter(|entry| entry["train_loss"].is_f64()) {
        let cell =
            |key: &str| entry[key].as_f64().map_or(" |".to_owned(), |v| format!(" {v:.4} |"));
        let cells: String = columns.iter().map(|(_, key)| cell(key)).collect();
        let epoch = entry["epoch"].as_f64().unwrap_or(f64::NAN);
        let _ = writeln!(table, "| {} | {epoch:.2} |{cells}", entry["step"]);
    }
    table
}

/// A model on the Hub.
fn link(name: &str) -> String {
    format!("[{}](https://huggingface.co/{name})", plain(name))
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
