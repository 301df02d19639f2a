//! What is taken for what: a heat map, or where classes are many, the pairs that are confused most.

use super::{Measured, label_name};
use crate::data::{Labels, Task};
use crate::page::html::{Element, element, with_text};
use crate::page::numbers::{grouped, percent, shorten, times};
use crate::page::parts;
use crate::page::table::{Table, columns, number};

/// Classes of a heat map at most.
const CLASSES: usize = 12;
/// Pairs at most.
const PAIRS: usize = 20;
/// Letters of a column's heading at most.
const HEADING: usize = 24;

/// The section; none if an example does not have one class.
pub fn section(measured: &Measured, task: &Task) -> Option<Element> {
    let confusion = measured.figures.confusion.as_ref()?;
    let part = parts::section("confusion", "What it takes for what");
    let unit = if matches!(measured.texts.labels, Labels::Tags(_)) { "word" } else { "example" };
    Some(match confusion.len() <= CLASSES {
        true => part.child(parts::note(&map_note(unit))).child(map(confusion, task, unit)),
        false => part.children(pairs(confusion, task, unit)),
    })
}

fn map_note(unit: &str) -> String {
    format!(
        "Each row holds the {unit}s of a class, by the class that was predicted; on the diagonal both are the same. \
         The stronger the colour the greater the share of the row."
    )
}

fn map(confusion: &[Vec<u64>], task: &Task, unit: &str) -> Element {
    let lines: Vec<Element> =
        confusion.iter().enumerate().map(|(i, row)| line(i, row, task, unit)).collect();
    let text = "Confusion matrix, rows true, columns predicted";
    Table { class: "heat confusion", text, head: head(confusion.len(), task) }.whole(&lines)
}

fn head(classes: usize, task: &Task) -> Element {
    let corner = with_text("th", "True class").attr("scope", "col").attr("rowspan", 2);
    let predicted = with_text("th", "Predicted class").class("group").attr("scope", "colgroup");
    let first = element("tr").child(corner).child(predicted.attr("colspan", classes));
    let all = with_text("th", "All").attr("scope", "col").attr("rowspan", 2);
    let name = |i: usize| with_text("bdi", shorten(&label_name(task, i as u32), HEADING));
    let cells = (0..classes).map(|i| element("th").attr("scope", "col").child(name(i)));
    element("thead").child(first.child(all)).child(element("tr").children(cells))
}

fn line(i: usize, row: &[u64], task: &Task, unit: &str) -> Element {
    let all: u64 = row.iter().sum();
    let cell = |(j, &count): (usize, &u64)| {
        let share = count as f64 / all.max(1) as f64;
        let text = format!(
            "{} of {} {unit}s of {} predicted as {}",
            grouped(count as usize),
            grouped(all as usize),
            label_name(task, i as u32),
            label_name(task, j as u32)
        );
        let class = if i == j { "number" } else { "number wrong" };
        let cell = with_text("td", grouped(count as usize)).class(class);
        cell.attr("style", format!("--heat:{share:.3}")).attr("title", text)
    };
    let name =
        element("th").attr("scope", "row").child(with_text("bdi", label_name(task, i as u32)));
    let cells = row.iter().enumerate().map(cell);
    element("tr")
        .child(name)
        .children(cells)
        .child(with_text("td", grouped(all as usize)).class("number all"))
}

/// The pairs that are confused most often.
fn pairs(confusion: &[Vec<u64>], task: &Task, unit: &str) -> Vec<Element> {
    let row = |(i, row): (usize, &Vec<u64>)| {
        let all: u64 = row.iter().sum();
        let wrong = row.iter().enumerate().filter(|(j, count)| i != *j && **count > 0);
        wrong.map(|(j, &count)| (i, j, count, all)).collect::<Vec<_>>()
    };
    let mut pairs: Vec<_> = confusion.iter().enumerate().flat_map(row).collect();
    pairs.sort_by_key(|(.., count, _)| std::cmp::Reverse(*count));
    if pairs.is_empty() {
        return vec![parts::note("Nothing: all predictions are right.")];
    }
    let text = format!(
        "{} classes are too many for a matrix. Of {} of classes that are confused at least once, these are most often.",
        confusion.len(),
        times(pairs.len(), "pair")
    );
    pairs.truncate(PAIRS);
    let name = |i: usize| element("td").child(with_text("bdi", label_name(task, i as u32)));
    let line = |&(i, j, count, all): &(usize, usize, u64, u64)| {
        let share = count as f64 / all.max(1) as f64;
        let bar = element("span").class("meter wrong").attr("style", format!("--share:{share:.3}"));
        let cells = [number(grouped(count as usize)), number(percent(share)).child(bar)];
        element("tr").child(name(i)).child(name(j)).children(cells)
    };
    let lines: Vec<Element> = pairs.iter().map(line).collect();
    let many = format!("{}s", crate::page::numbers::capital(unit));
    let names = ["True class", "Predicted as", &many, "Share of the class"];
    let table = Table {
        class: "figures pairs",
        text: "Pairs of classes that are confused",
        head: columns(&names),
    };
    vec![parts::note(&text), table.whole(&lines)]
}
