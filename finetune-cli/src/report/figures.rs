//! All figures, and a table by class.

use super::{LABEL, Measured};
use crate::data::Labels;
use crate::metrics::{ClassScores, Report};
use crate::page::html::{Element, element, with_text};
use crate::page::numbers::{NONE, decimal, fixed, grouped, or_dash, shorten, times};
use crate::page::parts;
use crate::page::table::{Table, columns, number};

/// Classes at most that keep their order, and that are shown before the others are folded.
const MANY: usize = 12;

/// The figures.
pub fn section(measured: &Measured, chose_weights: bool) -> Element {
    let Measured { role, figures, .. } = measured;
    let number = times(measured.texts.examples.len(), "example");
    let mut text = format!("On {number}, the {role} data.");
    if chose_weights {
        text += " The weights were chosen by them, so that the figures are a little too good.";
    }
    let loss = measured.loss.map(|loss| ("loss", loss));
    let all = loss.into_iter().chain(figures.metrics.iter().copied());
    let facts = all.map(|(name, value)| {
        parts::fact(
            name,
            with_text("dd", or_dash(Some(value), |v| figure(name, v))).class("number"),
        )
    });
    parts::section("figures", "How good it is")
        .child(parts::note(&text))
        .child(element("dl").class("facts few").children(facts))
        .children((!figures.classes.is_empty()).then(|| by_class(measured)))
}

/// With four decimals, as in the output of the command.
pub fn figure(name: &str, value: f64) -> String {
    match name {
        "loss" | "mse" | "rmse" | "mae" if value.abs() >= 10.0 => decimal(value),
        _ => fixed(value, 4),
    }
}

/// The classes, the worst first if they are many.
fn by_class(measured: &Measured) -> Element {
    let report = measured.figures;
    let mut order: Vec<usize> = (0..report.classes.len()).collect();
    let many = order.len() > MANY;
    if many {
        order.sort_by(|&a, &b| of_many(report, a).total_cmp(&of_many(report, b)));
    }
    let names = ["Class", "Precision", "Recall", "F1", unit(measured)];
    let lines: Vec<Element> = order.into_iter().map(|i| line(report, i)).collect();
    let table = Table { class: "figures classes", text: "Figures by class", head: columns(&names) };
    let worst = if many { " Those with the lowest F1 come first." } else { "" };
    let text = format!(
        "Precision: of what is predicted as the class, the share that is. Recall: of what is of the class, the \
         share that is found. F1: their harmonic mean.{worst}"
    );
    element("div")
        .child(parts::subheading("Class by class"))
        .child(parts::note(&text))
        .child(table.folded_behind(MANY, &lines))
}

/// By what many classes are sorted: F1, those that are not in the data last.
fn of_many(report: &Report, i: usize) -> f64 {
    let class = &report.classes[i];
    if class.support > 0 { class.f1 } else { f64::INFINITY }
}

/// What is counted.
fn unit(measured: &Measured) -> &'static str {
    match (&measured.texts.labels, &measured.figures.confusion) {
        (Labels::Tags(_), None) => "Entities",
        (Labels::Tags(_), Some(_)) => "Words",
        _ => "Examples",
    }
}

fn line(report: &Report, i: usize) -> Element {
    let ClassScores { name, precision, recall, f1, support } = &report.classes[i];
    let head = element("th").attr("scope", "row");
    let head = head.child(with_text("bdi", shorten(name, LABEL)).class("name"));
    let remark = remark(report, i);
    let badge = remark.map(|text| with_text("span", text).class("badge skipped"));
    let cells = match remark {
        // Figures of 0 that say nothing.
        Some(NEITHER) => [NONE; 3].map(number),
        _ => [*precision, *recall, *f1].map(meter),
    };
    element("tr")
        .child(head.text(" ").children(badge))
        .children(cells)
        .child(number(grouped(*support as usize)))
}

/// Said of a class that has no figures.
const NEITHER: &str = "neither there nor predicted";

/// What is odd about a class.
fn remark(report: &Report, i: usize) -> Option<&'static str> {
    let never = |confusion: &Vec<Vec<u64>>| confusion.iter().all(|row| row.get(i) == Some(&0));
    match (report.classes[i].support, report.confusion.as_ref().is_some_and(never)) {
        (0, true) => Some(NEITHER),
        (0, false) => Some("not in the data"),
        (_, true) => Some("never predicted"),
        (_, false) => None,
    }
}

/// A share as a number and as a bar.
pub fn meter(share: f64) -> Element {
    let style =
        format!("--share:{:.3}", if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 });
    let bar = element("span").class("meter").attr("style", style);
    number(or_dash(Some(share), |v| fixed(v, 3))).child(bar)
}
