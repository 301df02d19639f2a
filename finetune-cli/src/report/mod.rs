//! The page of a training, or of an evaluation: what was learned, how, how well, and what to look at next.
//!
//! ```text
//! headline            the task, the model, the data, the figure that counts, the command to run next
//! curves              losses and validation figures against steps
//! figures             all figures, and those of each class
//! confusion           what is taken for what
//! scatter             predicted numbers against true ones
//! hardest, examples   the examples with the greatest losses
//! words               sentences, with the words whose labels are wrong
//! settings            flags, sizes, times
//! ```
//!
//! A training is shown by its `trainer_state.json`, which is whole after a break, too.

mod confusion;
mod curves;
mod examples;
mod figures;
mod hardest;
mod headline;
mod scatter;
mod settings;
mod words;

use serde_json::Value;

use crate::data::{Dataset, Example, Labels, Task};
use crate::metrics::Report;
use crate::page::page;
use crate::predictions::Prediction;
use crate::trainer::Evaluation;

/// What a page tells.
pub struct Content<'a> {
    /// The task.
    pub task: &'a Task,
    /// The name of the model: that which was trained, or is measured.
    pub model: &'a str,
    /// The data.
    pub data: &'a [Part],
    /// The number of parameters of the model.
    pub parameters: usize,
    /// How it was trained; none of an evaluation.
    pub training: Option<Training<'a>>,
    /// What was measured; none of a training without any data for that.
    pub measured: Option<Measured<'a>>,
    /// The figure that counts most.
    pub metric: &'a str,
    /// The command that uses the model.
    pub next: &'a str,
}

/// A part of the data.
pub struct Part {
    /// What it is for: training, validation, test.
    pub role: &'static str,
    /// Where it comes from: the name of a file, say.
    pub name: String,
    /// How many examples it has.
    pub examples: usize,
}

/// How a model was trained.
pub struct Training<'a> {
    /// `trainer_state.json`.
    pub state: &'a Value,
    /// Whether the best weights were kept, and not the last.
    pub keeps_best: bool,
    /// The number of parameters that were trained.
    pub trained: usize,
    /// The flags, with their values.
    pub flags: Vec<Flag>,
}

/// A flag of a training.
pub struct Flag {
    /// Its name, without dashes.
    pub name: String,
    /// Its value, as in `train.toml`.
    pub value: String,
    /// Whether that is the default.
    pub is_default: bool,
}

/// What a model does on data with labels.
pub struct Measured<'a> {
    /// What the data is for: validation, test.
    pub role: &'static str,
    /// The texts, with the labels of the file.
    pub texts: &'a Texts,
    /// One for each text; where words have labels, of the words that have one.
    pub predictions: &'a [Prediction],
    /// The mean loss.
    pub loss: Option<f64>,
    /// The figures.
    pub figures: &'a Report,
    /// From this probability on a label holds, where any of them may.
    pub threshold: f32,
}

/// What is to be shown of a file.
pub struct Texts {
    /// Its rows.
    pub examples: Vec<Example>,
    /// Their labels.
    pub labels: Labels,
}

impl Texts {
    /// A copy: the tokenizer needs the original no longer than it works.
    pub fn of(data: &Dataset) -> Self {
        Self { examples: data.examples.clone(), labels: data.labels.clone() }
    }
}

impl<'a> Measured<'a> {
    /// An evaluation of these texts; none if they have no labels.
    pub fn of(
        role: &'static str,
        texts: &'a Texts,
        evaluation: &'a Evaluation,
        threshold: f32,
    ) -> Option<Self> {
        let (predictions, loss) = (&evaluation.predictions[..], evaluation.loss);
        let figures = evaluation.report.as_ref()?;
        Some(Self { role, texts, predictions, loss, figures, threshold })
    }

    /// The loss, or the figure of this name, if it is a number.
    fn figure(&self, name: &str) -> Option<f64> {
        let value = if name == "loss" { self.loss } else { self.figures.get(name) };
        crate::page::numbers::finite(value)
    }
}

/// The whole page.
pub fn html(content: &Content) -> String {
    let (task, measured) = (content.task, content.measured.as_ref());
    let chose_weights = content.training.as_ref().is_some_and(|training| training.keeps_best);
    let sections = [
        Some(headline::section(content)),
        content.training.as_ref().and_then(|training| curves::section(training)),
        measured.map(|measured| {
            figures::section(measured, chose_weights && measured.role == "validation")
        }),
        measured.and_then(|measured| confusion::section(measured, task)),
        measured.and_then(scatter::section),
        measured.and_then(|measured| examples::section(measured, task)),
        Some(settings::section(content)),
    ];
    let title = format!("{} on {}", content.model, headline::names(content.data));
    page(&title, include_str!("style.css"), sections.into_iter().flatten().collect())
}

/// The name of a label, short enough for a cell.
fn label_name(task: &Task, id: u32) -> String {
    let name = task.label_set().and_then(|set| set.names().get(id as usize));
    crate::page::numbers::shorten(name.map_or("", String::as_str), LABEL)
}

/// Letters of a label at most.
const LABEL: usize = 60;
