//! The examples to look at: those with the greatest losses, among which are wrong labels and weak spots.

use super::{Measured, hardest, label_name, words};
use crate::data::{Example, Labels, Task};
use crate::page::html::{Element, element, with_text};
use crate::page::numbers::{decimal, or_dash, percent, times};
use crate::page::parts;
use crate::page::table::{Table, columns, number};
use crate::predictions::{Prediction, above, argmax};

/// Examples at most.
const MOST: usize = 20;
/// Letters of a text at most.
const LETTERS: usize = 500;
/// Labels of an example at most, and wrong words of a sentence.
const LABELS: usize = 12;
const WORDS: usize = 6;

/// A table of them; none if there are no labels.
pub fn section(measured: &Measured, task: &Task) -> Option<Element> {
    let rows = hardest::rows(measured, MOST);
    let part = parts::section("examples", "Look at these");
    let all = measured.texts.examples.len();
    if rows.is_empty() {
        let text = format!("Nothing is wrong in {}.", times(all, "example"));
        return (all > 0).then(|| part.child(parts::note(&text)));
    }
    let (class, heads) = form(task);
    let lines = rows.iter().flat_map(|&row| lines(measured, task, row));
    let lines: Vec<Element> = lines.collect();
    let table = Table { class, text: "Examples to look at", head: columns(heads) }.whole(&lines);
    Some(part.child(parts::note(&explanation(task, rows.len(), measured.role))).child(table))
}

fn explanation(task: &Task, shown: usize, role: &str) -> String {
    let these = match shown {
        1 => "The example".to_owned(),
        n => format!("The {n} examples"),
    };
    let how = match task {
        Task::SingleLabel(_) => {
            "for which the model was most certain of another label, the most certain first"
        }
        Task::MultiLabel(_) => {
            "with wrong labels whose loss is greatest. Labels that are missed or wrongly given are marked"
        }
        Task::Regression => "with the greatest errors",
        Task::Tags(_) => {
            "with wrong words, where the model was most certain of them. The words are marked"
        }
    };
    format!(
        "{these} of the {role} data {how}. Some may be labelled wrongly in the file; what the others have in \
         common is what the model has not learned."
    )
}

/// The class of the table in the style, and its columns.
fn form(task: &Task) -> (&'static str, &'static [&'static str]) {
    match task {
        Task::Regression => ("examples amounts", &["Text", "Label", "Predicted", "Error"]),
        Task::Tags(_) => ("examples sentences", &["Sentence", "Word", "Label", "Predicted"]),
        Task::SingleLabel(_) | Task::MultiLabel(_) => ("examples", &["Text", "Label", "Predicted"]),
    }
}

/// An example: one line, or one for each wrong word.
fn lines(measured: &Measured, task: &Task, row: usize) -> Vec<Element> {
    if let Task::Tags(_) = task {
        return sentence(measured, task, row);
    }
    let text = text(&measured.texts.examples[row]);
    vec![element("tr").child(text).children(answers(measured, task, row))]
}

/// A cell with the text, or both of a pair.
fn text(example: &Example) -> Element {
    let texts = example.texts();
    let texts = texts.iter().map(|text| with_text("bdi", excerpt(text)).class("text"));
    element("td").children(texts)
}

/// The beginning of a text, on one line.
fn excerpt(text: &str) -> String {
    // No more is looked at than is shown, however long it is.
    let mut short = String::new();
    let mut letters = 0;
    for word in text.split_whitespace() {
        if !short.is_empty() {
            short.push(' ');
        }
        for c in word.chars() {
            if letters == LETTERS {
                return short + "…";
            }
            short.push(c);
            letters += 1;
        }
    }
    short
}

/// The cells behind the text.
fn answers(measured: &Measured, task: &Task, row: usize) -> Vec<Element> {
    match (&measured.texts.labels, &measured.predictions[row]) {
        (Labels::Class(ids), Prediction::Class(p)) => {
            [ids[row], argmax(p) as u32].map(|id| answer(task, id, p)).into()
        }
        (Labels::Multi(sets), Prediction::Multi(p)) => {
            let predicted = above(p, measured.threshold);
            vec![labels(task, &sets[row], &predicted, p), labels(task, &predicted, &sets[row], p)]
        }
        (Labels::Score(values), Prediction::Score(value)) => {
            let (truth, value) = (f64::from(values[row]), f64::from(*value));
            [truth, value, value - truth].map(|x| number(or_dash(Some(x), decimal))).into()
        }
        _ => Vec::new(),
    }
}

/// A label with its probability.
fn answer(task: &Task, id: u32, p: &[f32]) -> Element {
    element("td").child(name(task, id)).child(probability(p.get(id as usize).copied()))
}

/// Labels with their probabilities; those that `others` lacks are marked.
fn labels(task: &Task, labels: &[u32], others: &[u32], p: &[f32]) -> Element {
    let item = |&id: &u32| {
        let name = name(task, id);
        let name = if others.contains(&id) { name } else { element("mark").child(name) };
        element("li").child(name).child(probability(p.get(id as usize).copied()))
    };
    let list = element("ul").children(labels.iter().take(LABELS).map(item));
    let more = labels.len().saturating_sub(LABELS);
    let more = (more > 0).then(|| with_text("li", format!("and {more} more")));
    element("td").child(if labels.is_empty() {
        with_text("span", "none")
    } else {
        list.children(more)
    })
}

fn name(task: &Task, id: u32) -> Element {
    with_text("bdi", label_name(task, id))
}

fn probability(p: Option<f32>) -> Element {
    with_text("span", or_dash(p.map(f64::from), percent)).class("sure")
}

/// The lines of a sentence.
fn sentence(measured: &Measured, task: &Task, row: usize) -> Vec<Element> {
    let wrong = words::wrong(measured, row);
    let (listed, more) = wrong.split_at(wrong.len().min(WORDS));
    let more = (!more.is_empty()).then(|| {
        let text = format!("and {} more", more.len());
        element("tr").child(with_text("td", text).class("kind").attr("colspan", 3))
    });
    let span = listed.len() + more.iter().len();
    let text = words::sentence(measured, row, &wrong);
    let mut text = Some(element("td").attr("rowspan", span).child(text));
    let line = |w: &words::Wrong| {
        let predicted = name(task, w.predicted);
        element("tr")
            .children(text.take())
            .child(element("td").child(with_text("bdi", &w.word)))
            .child(element("td").child(name(task, w.truth)))
            .child(element("td").child(predicted).child(probability(Some(w.probability))))
    };
    listed.iter().map(line).chain(more).collect()
}
