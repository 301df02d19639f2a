//! `finetune predict`: labels for texts from the arguments, a file, or standard input.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};

use super::answer::Answers;
use crate::args::inference::PredictArgs;
use crate::args::wrong_flags;
use crate::classifier::Classifier;
use crate::data::{self, Column, Dataset, Example, Labels, Options, Table, Task};
use crate::folder::Folder;
use crate::progress::bar;
use crate::trained::Trained;
use crate::trainer;

/// Bytes of the input that are read, and answered, at a time: about a thousand sentences.
const CHUNK: usize = 1 << 17;

/// Batches of a table that are answered at a time: with batches of 64, a thousand rows.
const BATCHES: usize = 16;

/// No columns beside the texts.
const NOTHING_ELSE: (&[Column], usize) = (&[], 0);

/// Reads, predicts, prints.
pub(super) fn run(args: &PredictArgs) -> Result<()> {
    if !args.pair.is_empty() && args.pair.len() != args.texts.len() {
        let (pairs, texts) = (args.pair.len(), args.texts.len());
        let message = format!("--pair is given {pairs} times for {texts} texts; give one for each");
        return Err(wrong_flags(message));
    }
    let path = super::model(&args.inference)?;
    let input = Input::open(args, &Trained::of(&path)?)?;
    let (folder, model, task) = super::open(&args.inference, &path)?;
    let threshold = super::threshold(&args.inference, &task)?;
    if !args.pair.is_empty() && matches!(task, Task::Tags(_)) {
        return Err(wrong_flags(format!(
            "--pair: the model takes single texts; its task is {task}"
        )));
    }
    let mut predictor = Predictor { args, folder, model, task, threshold, truncated: 0 };
    match input {
        Input::Texts(texts) => {
            predictor.compare(if args.pair.is_empty() { 1 } else { 2 });
            predictor.answer(&texts, NOTHING_ELSE)?;
        }
        Input::Table(table) => predictor.answer_table(table)?,
        Input::Lines(name, lines) => {
            predictor.compare(1);
            predictor.answer_lines(&name, lines)?;
        }
    }
    super::remark_truncated(&args.inference, &predictor.folder, predictor.truncated);
    Ok(())
}

/// Where the texts come from; files are opened before the weights are read.
enum Input {
    Texts(Vec<Example>),
    Table(Table),
    /// One text a line; the name is for messages.
    Lines(String, Box<dyn Read>),
}

impl Input {
    fn open(args: &PredictArgs, trained: &Trained) -> Result<Self> {
        let options = args.inference.file.options();
        match &args.file {
            None if args.texts.is_empty() => Self::standard(&options, trained),
            None => {
                refuse_columns(&options, "texts that are typed have no columns; leave it out")?;
                Ok(Self::Texts(texts(args)))
            }
            Some(path) if is_lines(path, &options) => Self::lines(path, &options),
            Some(path) => {
                Ok(Self::Table(data::read_table(path, &trained.parsing(&options, path))?))
            }
        }
    }

    /// Standard input: a table if its format is said, else lines.
    fn standard(options: &Options, trained: &Trained) -> Result<Self> {
        let (name, mut input) = ("standard input", std::io::stdin());
        let Some(format) = options.format else {
            refuse_columns(
                options,
                "standard input has a text a line; give --format if it has columns",
            )?;
            return Ok(Self::Lines(name.into(), Box::new(input)));
        };
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).with_context(|| format!("{name}: can't be read"))?;
        let quotes = !trained.parsing(options, Path::new(name)).literal_quotes;
        Ok(Self::Table(data::parse_table(Path::new(name), bytes, format, quotes)?))
    }

    fn lines(path: &Path, options: &Options) -> Result<Self> {
        refuse_columns(options, "a .txt has a text a line; give --format if it has columns")?;
        let name = path.display().to_string();
        let file = std::fs::File::open(path)
            .with_context(|| format!("{name}: can't be read; check the path"))?;
        Ok(Self::Lines(name, Box::new(file)))
    }
}

/// Whether a file holds a text a line.
fn is_lines(path: &Path, options: &Options) -> bool {
    options.format.is_none() && path.extension().is_some_and(|e| e.eq_ignore_ascii_case("txt"))
}

/// Refuses flags about columns where there are none.
fn refuse_columns(options: &Options, why: &str) -> Result<()> {
    let typed = [
        ("--text-column", options.text_columns.is_some()),
        ("--literal-quotes", options.literal_quotes),
        ("--format", options.format.is_some()),
    ];
    match typed.iter().find(|(_, typed)| *typed) {
        Some((flag, _)) => Err(wrong_flags(format!("{flag}: {why}"))),
        None => Ok(()),
    }
}

fn texts(args: &PredictArgs) -> Vec<Example> {
    let texts = args.texts.iter().cloned();
    match args.pair.is_empty() {
        true => texts.map(Example::Text).collect(),
        false => texts.zip(args.pair.iter().cloned()).map(|(a, b)| Example::Pair([a, b])).collect(),
    }
}

struct Predictor<'a> {
    args: &'a PredictArgs,
    folder: Folder,
    model: Classifier,
    task: Task,
    /// From this probability on a label holds, where any of them may.
    threshold: f32,
    /// How many texts were cut so far.
    truncated: usize,
}

impl Predictor<'_> {
    fn compare(&self, texts: usize) {
        super::compare_texts(&self.args.inference, &self.folder, texts);
    }

    fn answer_table(&mut self, table: Table) -> Result<()> {
        let schema =
            self.folder.unlabelled(&table, &self.args.inference.file.options(), &self.task)?;
        self.compare(schema.columns.text.len());
        let data = Dataset::new(table, &schema)?;
        // On a terminal the answers themselves say how far it is.
        let quiet = self.args.inference.machine.quiet || std::io::stdout().is_terminal();
        let bar = bar(data.examples.len() as u64, quiet).with_prefix("predicting");
        for (i, texts) in data.examples.chunks(self.block()).enumerate() {
            self.answer(texts, (&data.other, i * self.block()))?;
            bar.inc(texts.len() as u64);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Texts of a table that are answered at once: whole batches.
    fn block(&self) -> usize {
        self.args.inference.batch_size.saturating_mul(BATCHES)
    }

    /// Answers as soon as no whole line is left in the buffer, so that a pipe gets its answers in time.
    fn answer_lines(&mut self, name: &str, input: Box<dyn Read>) -> Result<()> {
        let mut input = BufReader::with_capacity(CHUNK, input);
        let (mut texts, mut line, mut number) = (Vec::new(), String::new(), 0);
        loop {
            number += 1;
            line.clear();
            let read = input.read_line(&mut line);
            let read = read.with_context(|| {
                format!("{name}, line {number}: can't be read; save it as UTF-8")
            })?;
            if read == 0 {
                return self.answer(&texts, NOTHING_ELSE);
            }
            let text = line.strip_suffix('\n').unwrap_or(&line);
            let text = text.strip_suffix('\r').unwrap_or(text);
            let text =
                if number == 1 { text.trim_start_matches('\u{feff}') } else { text }.to_owned();
            texts.push(Example::Text(text));
            if !input.buffer().contains(&b'\n') {
                self.answer(&texts, NOTHING_ELSE)?;
                texts.clear();
            }
        }
    }

    /// Prints a line for each text; `other` are the columns of its file beside it, which objects repeat, and the row
    /// of the first text in them.
    fn answer(&mut self, texts: &[Example], (other, first): (&[Column], usize)) -> Result<()> {
        if texts.is_empty() {
            return Ok(());
        }
        let max_length = self.folder.trained_length(self.args.inference.max_length);
        let examples = self.folder.examples(&self.task, texts, Labels::Absent, max_length)?;
        self.truncated += examples.truncated();
        let (size, precision) =
            (self.args.inference.batch_size, self.args.inference.precision.into());
        let result =
            trainer::evaluate(&self.model, &self.task, &examples, size, precision, &mut |_| ())?;
        super::check_finite(&self.folder, texts, &result.predictions)?;
        let answers = Answers { task: &self.task, threshold: self.threshold };
        let mut out = std::io::stdout().lock();
        for (i, (example, prediction)) in texts.iter().zip(&result.predictions).enumerate() {
            let row = first + i;
            let cells = other.iter().map(|column| (column.name.as_str(), &column.cells[row]));
            match self.args.json {
                true => writeln!(out, "{}", answers.object(example, prediction, cells))?,
                false => writeln!(out, "{}", answers.line(example, prediction))?,
            }
        }
        Ok(out.flush()?)
    }
}
