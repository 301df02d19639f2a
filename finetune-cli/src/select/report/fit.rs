//! How the text meets tokenizers and pretraining, and what heads there are.

use super::rows::Row;
use crate::page::html::{Element, element, with_text};
use crate::page::numbers::{NONE, decimal, finite, fixed, or_dash, percent};
use crate::page::parts;
use crate::page::table::{Table, columns, number};
use crate::select::fit::{MANY_CUT, MANY_TOKENS, SOME_UNKNOWN};
use crate::select::summary::{Evidence, Fit, Objective};

/// Labels of a head at most in a cell.
const LABELS: usize = 6;

/// From this share of words on whose case is lost, that deserves a look.
const CASE: f64 = 0.1;

/// Two tables; none if nothing was measured.
pub fn section(rows: &[Row]) -> Option<Element> {
    let measured: Vec<(&Row, &Evidence)> =
        rows.iter().filter_map(|row| Some((row, row.evidence()?))).collect();
    let part = parts::section("fit", "How the text fits").child(parts::note(
        "Few tokens per word, few unknown and few cut sequences mean that the tokenizer knows this kind of text; \
         a low pseudo-perplexity, that the pretraining does. Compare perplexities only between candidates with \
         the same tokenizer. Marked figures deserve a look.",
    ));
    let part = part.child(texts(&measured)).child(parts::subheading("What they were trained for"));
    (!measured.is_empty()).then(|| part.child(objectives(&measured)))
}

fn texts(measured: &[(&Row, &Evidence)]) -> Element {
    let names = [
        "Candidate",
        "Tokens per word",
        "Whole words",
        "Unknown",
        "Cut",
        "Tokens per sequence",
        "Case",
        "Pseudo-perplexity",
    ];
    let line =
        |(row, e): &(&Row, &Evidence)| element("tr").child(row.head()).children(cells(&e.fit));
    let lines: Vec<Element> = measured.iter().map(line).collect();
    Table { class: "figures", text: "How the text fits each tokenizer", head: columns(&names) }
        .folded(&lines)
}

fn cells(fit: &Fit) -> [Element; 7] {
    let form = |value: f64, form: fn(f64) -> String| or_dash(Some(value), form);
    [
        marked(form(fit.tokens_per_word, |v| fixed(v, 2)), fit.tokens_per_word >= MANY_TOKENS),
        number(form(fit.whole_words, percent)),
        marked(form(fit.unknown_rate, percent), fit.unknown_rate >= SOME_UNKNOWN),
        marked(form(fit.truncation_rate, percent), fit.truncation_rate >= MANY_CUT),
        number(form(fit.mean_tokens, |v| fixed(v, 1))),
        case(fit),
        number(or_dash(fit.pseudo_perplexity, decimal)),
    ]
}

/// A figure that deserves a look is bold and has a sign, so that it doesn't take colour to see it.
fn marked(text: String, look: bool) -> Element {
    if look {
        element("td").class("number").child(with_text("mark", text + " ⚠\u{fe0e}"))
    } else {
        number(text)
    }
}

/// Whether case is kept, and how much of the text has any.
fn case(fit: &Fit) -> Element {
    let share = or_dash(Some(fit.uppercase_words), percent);
    let (text, look) = match fit.lowercases {
        true => (format!("lost ({share} of words)"), fit.uppercase_words >= CASE),
        false => ("kept".to_owned(), false),
    };
    marked(text, look)
}

fn objectives(measured: &[(&Row, &Evidence)]) -> Element {
    let names =
        ["Candidate", "Trained for", "Heads", "Labels of its head", "Head used", "Head alone"];
    let line = |(row, e): &(&Row, &Evidence)| {
        element("tr").child(row.head()).children(objective(&e.objective))
    };
    let lines: Vec<Element> = measured.iter().map(line).collect();
    Table { class: "heads", text: "What each candidate was trained for", head: columns(&names) }
        .folded(&lines)
}

fn objective(objective: &Objective) -> [Element; 5] {
    let heads: Vec<&str> = objective.heads.iter().map(|head| words(head)).collect();
    let used = match (objective.labels.is_empty(), objective.head_used) {
        (_, true) => "yes",
        (true, false) => NONE,
        (false, false) => "no",
    };
    [
        with_text("td", words(&objective.kind)),
        with_text("td", if heads.is_empty() { NONE.to_owned() } else { heads.join(", ") }),
        with_text("td", labels(&objective.labels)),
        with_text("td", used),
        number(or_dash(finite(objective.head_metric), |v| fixed(v, 3))),
    ]
}

fn labels(labels: &[String]) -> String {
    let more = labels.len().saturating_sub(LABELS);
    let shown = labels.iter().take(LABELS).cloned().collect::<Vec<_>>().join(", ");
    match (labels.is_empty(), more) {
        (true, _) => NONE.to_owned(),
        (_, 0) => shown,
        (_, more) => format!("{shown} and {more} more"),
    }
}

/// The names of objectives and heads in words; others as they are.
fn words(name: &str) -> &str {
    match name {
        "masked_lm" => "masked tokens",
        "replaced_token" => "replaced tokens",
        "contrastive" => "sentence similarity",
        "fine_tuned" => "its own labels",
        "next_sentence" => "next sentence",
        other => other,
    }
}
