//! `finetune predict`: labels for texts from the arguments, a file, or standard input.

use std::io::{BufRead, Write};

use anyhow::{Context, Result, bail};
use bert::SequenceClassifier;
use serde_json::{Map, Value, json};

use crate::args::PredictArgs;
use crate::batches::Examples;
use crate::data::{self, Dataset, Example, Labels, Task};
use crate::folder::{Folder, outputs};
use crate::predictions::{Prediction, above, argmax};
use crate::trainer;

/// Lines of standard input that are read before they are answered.
const CHUNK: usize = 1024;

/// Reads, predicts, prints.
pub(super) fn run(args: &PredictArgs) -> Result<()> {
    if !args.pair.is_empty() && args.pair.len() != args.texts.len() {
        bail!(
            "--pair is given {} times for {} texts; give one for each",
            args.pair.len(),
            args.texts.len()
        );
    }
    let folder = Folder::open(&args.model)?;
    let (model, task) = folder.fine_tuned()?;
    let predictor = Predictor { args, folder, model, task };
    match &args.file {
        Some(path) if path.extension().is_some_and(|e| e == "txt") => {
            let file = std::fs::File::open(path)
                .with_context(|| format!("{}: can't be read", path.display()))?;
            predictor.answer_lines(std::io::BufReader::new(file))
        }
        Some(path) => {
            let table = data::read_table(path, &args.data.options())?;
            let mut schema = predictor.folder.schema(&table, &args.data.options())?;
            // Labels of a file to be labelled are not read: they may be placeholders.
            schema.columns.label = None;
            predictor.answer(Dataset::new(table, &schema)?.examples)
        }
        None if args.texts.is_empty() => predictor.answer_lines(std::io::stdin().lock()),
        None => predictor.answer(texts(args)),
    }
}

fn texts(args: &PredictArgs) -> Vec<Example> {
    let pairs = args.pair.iter().cloned().map(Some).chain(std::iter::repeat(None));
    let both = args.texts.iter().cloned().zip(pairs);
    both.map(|(text, pair)| Example { text, pair }).collect()
}

struct Predictor<'a> {
    args: &'a PredictArgs,
    folder: Folder,
    model: SequenceClassifier,
    task: Task,
}

impl Predictor<'_> {
    fn answer_lines(&self, input: impl BufRead) -> Result<()> {
        let mut chunk = Vec::with_capacity(CHUNK);
        for (i, line) in input.lines().enumerate() {
            let text =
                line.with_context(|| format!("line {} of the input: not UTF-8 text", i + 1))?;
            chunk.push(Example { text, pair: None });
            if chunk.len() == CHUNK {
                self.answer(std::mem::take(&mut chunk))?;
            }
        }
        self.answer(chunk)
    }

    fn answer(&self, texts: Vec<Example>) -> Result<()> {
        if texts.is_empty() {
            return Ok(());
        }
        let encodings = self.folder.encode(&texts, self.args.data.max_length)?;
        let examples = Examples { encodings, labels: Labels::Absent, outputs: outputs(&self.task) };
        let result = trainer::evaluate(&self.model, &self.task, &examples, self.args.batch_size)?;
        let mut out = std::io::stdout().lock();
        for (example, prediction) in texts.iter().zip(&result.predictions) {
            match self.args.json {
                true => writeln!(out, "{}", self.object(example, prediction))?,
                false => writeln!(out, "{}", self.line(example, prediction))?,
            }
        }
        Ok(out.flush()?)
    }

    /// `positive  0.9987  the text`
    fn line(&self, example: &Example, prediction: &Prediction) -> String {
        let text = match &example.pair {
            Some(pair) => format!("{}\t{pair}", example.text),
            None => example.text.clone(),
        };
        match prediction {
            Prediction::Class(p) => {
                let best = argmax(p);
                format!("{}\t{:.4}\t{text}", self.name(best), p[best])
            }
            Prediction::Multi(p) => {
                let chosen = above(p, self.args.threshold);
                let named = |&i: &u32| format!("{} {:.4}", self.name(i as usize), p[i as usize]);
                format!("{}\t{text}", chosen.iter().map(named).collect::<Vec<_>>().join(", "))
            }
            Prediction::Score(value) => format!("{value:.4}\t{text}"),
        }
    }

    /// The keys of transformers' pipelines, `label` and `score`, and all scores beside them.
    fn object(&self, example: &Example, prediction: &Prediction) -> Value {
        let mut object = Map::new();
        object.insert("text".into(), json!(example.text));
        if let Some(pair) = &example.pair {
            object.insert("text_pair".into(), json!(pair));
        }
        match prediction {
            Prediction::Class(p) => {
                let best = argmax(p);
                object.insert("label".into(), json!(self.name(best)));
                object.insert("score".into(), json!(p[best]));
                object.insert("scores".into(), self.scores(p));
            }
            Prediction::Multi(p) => {
                let chosen = above(p, self.args.threshold);
                let names: Vec<_> = chosen.iter().map(|&i| self.name(i as usize)).collect();
                object.insert("labels".into(), json!(names));
                object.insert("scores".into(), self.scores(p));
            }
            Prediction::Score(value) => {
                object.insert("score".into(), json!(value));
            }
        }
        Value::Object(object)
    }

    fn scores(&self, probabilities: &[f32]) -> Value {
        let named = probabilities.iter().enumerate();
        named.map(|(i, p)| (self.name(i).to_owned(), json!(p))).collect::<Map<_, _>>().into()
    }

    fn name(&self, id: usize) -> &str {
        self.task.label_set().map_or("", |set| set.name(id as u32))
    }
}
