//! The report of a selection: one HTML file that needs nothing else, neither network nor script.
//!
//! ```text
//! html, svg           elements that escape what is put into them
//! numbers, axis       numbers for people; values to pixels, round ticks
//! rows, table, labels the candidates as every part shows them, in tables, in charts
//! headline            the choice, how sure it is, the command to run next
//! ranking             the table of all candidates
//! cost                score against time
//! profiles            estimates by layer
//! rungs               what fine-tuning measured
//! fit                 tokenizers, pretraining, heads
//! estimators          what the score is made of
//! footer              data, task and timing
//! ```
//!
//! Names, labels and remarks come from files of others: they reach the page through
//! `html::Element`, which escapes them.

mod axis;
mod cost;
mod estimators;
mod fit;
mod footer;
mod headline;
mod html;
mod labels;
mod numbers;
mod profiles;
mod ranking;
mod rows;
mod rungs;
mod svg;
mod table;

use super::summary::Summary;
use html::{Element, element, with_text};
pub use numbers::duration;

/// The whole page.
pub fn html(summary: &Summary) -> String {
    let rows = rows::rows(summary);
    let sections = [
        Some(headline::section(summary, &rows)),
        Some(ranking::section(summary, &rows)),
        cost::section(&rows),
        profiles::section(&rows),
        rungs::section(summary, &rows),
        fit::section(&rows),
        estimators::section(&rows),
        Some(footer::section(summary)),
    ];
    let main = element("main").children(sections.into_iter().flatten());
    // After the page: it only adds a button to what is there.
    let script = element("script").raw(include_str!("script.js"));
    let page = element("html").attr("lang", "en").child(head(summary));
    let page = page.child(element("body").child(main).child(script));
    format!("<!DOCTYPE html>\n{page}\n")
}

fn head(summary: &Summary) -> Element {
    let meta = |name, content| element("meta").attr("name", name).attr("content", content);
    element("head")
        .child(element("meta").attr("charset", "utf-8"))
        .child(meta("viewport", "width=device-width, initial-scale=1"))
        .child(meta("color-scheme", "light dark"))
        .child(with_text("title", format!("Starting points for {}", summary.task.train)))
        .child(element("style").raw(include_str!("style.css")))
}
