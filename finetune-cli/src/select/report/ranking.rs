//! The table of all candidates.

use super::rows::Row;
use crate::memory;
use crate::page::html::{Element, element, with_text};
use crate::page::numbers::{NONE, capital, count, duration, fixed, or_dash};
use crate::page::parts;
use crate::page::svg;
use crate::page::table::{Table, columns, number};
use crate::select::summary::{Score, Status, Summary};

/// Width and height of the bar in a cell.
const BAR: (f64, f64) = (132.0, 18.0);

/// The table with its explanation.
pub fn section(summary: &Summary, rows: &[Row]) -> Element {
    let epochs = summary.task.epochs;
    let metric = capital(&summary.task.metric);
    let names = ["#", "Candidate", "Score", &metric, "Parameters", "Time", "Memory", "Remarks"];
    let several = summary.task.learning_rates.len() > 1;
    let scores = rows.iter().filter(|row| row.rank.is_some()).filter_map(Row::score);
    let best = scores.max_by(|a, b| a.value.total_cmp(&b.value));
    let lines: Vec<Element> = rows.iter().map(|row| line(row, best, several)).collect();
    let text = format!(
        "The score is the weighted mean of the ranks by all estimators, 0 (last) to 100 (first), with its 90 % \
         interval. “Tied” are those that the sampled rows can't tell from the best score; the shaded band is its \
         interval. Time and memory are projected for {epochs} epochs of the full training data."
    );
    let table = Table { class: "ranking", text: "Candidates, best first", head: columns(&names) }
        .whole(&lines);
    parts::section("ranking", "Ranking").child(parts::note(&text)).child(table)
}

fn line(row: &Row, best: Option<Score>, several_rates: bool) -> Element {
    let class = match (row.rank, row.tied) {
        (None, _) => "out",
        (Some(_), true) => "tied",
        (Some(_), false) => "",
    };
    let cost = row.evidence().map(|evidence| &evidence.cost);
    let (parameters, time, bytes) = match cost {
        Some(cost) => (
            count(cost.parameters as f64),
            or_dash(cost.projected_seconds, duration),
            memory::human(cost.projected_memory),
        ),
        None => (NONE.to_owned(), NONE.to_owned(), NONE.to_owned()),
    };
    element("tr")
        .class(class)
        .child(number(row.rank.map_or(NONE.to_owned(), |rank| rank.to_string())))
        .child(name(row))
        .child(score(row, best))
        .child(metric(row, several_rates))
        .children([parameters, time, bytes].map(number))
        .child(remarks(row))
}

/// The name and what must not be overlooked about it.
fn name(row: &Row) -> Element {
    let badge = |class: &str, text| with_text("span", text).class(format!("badge {class}"));
    let status = match row.candidate.status {
        Status::Failed => Some(badge("failed", "failed")),
        Status::Skipped => Some(badge("skipped", "skipped")),
        _ => row.tied.then(|| badge("tie", "tied with best")),
    };
    let folder = row.folder.map(|folder| with_text("bdi", folder).class("path"));
    row.head().text(" ").children(status).children(folder)
}

fn score(row: &Row, best: Option<Score>) -> Element {
    let Some(score) = row.score() else { return with_text("td", NONE).class("score") };
    let words = format!(
        "score {}, 90 % interval {} to {}",
        fixed(score.value, 1),
        fixed(score.low, 1),
        fixed(score.high, 1)
    );
    let value = with_text("span", fixed(score.value, 0)).class("value");
    element("td").class("score").child(value).child(bar(score, best, &words))
}

/// The score as a bar with a whisker, over the interval of the best one.
fn bar(score: Score, best: Option<Score>, words: &str) -> Element {
    let (width, height) = BAR;
    let middle = height / 2.0;
    let x = |value: f64| 1.0 + value.clamp(0.0, 100.0) / 100.0 * (width - 2.0);
    let band = best.map(|b| svg::rect("band", (x(b.low), 0.0), (x(b.high) - x(b.low), height)));
    let end = |value: f64| svg::line("whisker", (x(value), middle - 4.0), (x(value), middle + 4.0));
    svg::svg("bar", BAR, words)
        .child(svg::hover(words))
        .children(band)
        .child(svg::rect("track", (1.0, middle - 3.0), (width - 2.0, 6.0)))
        .child(svg::rect("fill", (1.0, middle - 3.0), (x(score.value) - 1.0, 6.0)))
        .child(svg::line("whisker", (x(score.low), middle), (x(score.high), middle)))
        .children([end(score.low), end(score.high)])
}

/// The figure, if there is one, what kind of row this is, and the learning rate if several were tried.
fn metric(row: &Row, several_rates: bool) -> Element {
    let kind = |class: &str, text: &str| with_text("span", text).class(format!("kind {class}"));
    let cell = element("td").class("number");
    match (row.metric(), row.rank) {
        (Some(metric), _) => {
            let rate = row.learning_rate().filter(|_| several_rates);
            let measured =
                rate.map_or("measured".to_owned(), |rate| format!("measured at {rate:e}"));
            cell.text(fixed(metric, 3)).text(" ").child(kind("measured", &measured))
        }
        (None, Some(_)) => cell.child(kind("estimated", "estimated")),
        (None, None) => cell.text(NONE),
    }
}

fn remarks(row: &Row) -> Element {
    let remarks = &row.candidate.remarks;
    let items = remarks.iter().map(|remark| with_text("li", remark));
    let list = (!remarks.is_empty()).then(|| element("ul").children(items));
    element("td").class("remarks").children(list)
}
