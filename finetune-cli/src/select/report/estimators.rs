//! What the score is made of: every estimator's value for every candidate.

use std::cmp::Ordering;

use super::axis::range;
use super::html::{Element, element, with_text};
use super::numbers::{NONE, decimal, finite};
use super::rows::{self, Row};
use super::table::{Table, number};
use crate::select::summary::{Estimated, Evidence};

/// An estimator, and whether it is that of the mean of all layers.
type Column<'a> = (&'a str, bool);

/// A table, and how to read it; none if nothing was estimated.
pub fn section(rows: &[Row]) -> Option<Element> {
    let measured: Vec<(&Row, &Evidence)> =
        rows.iter().filter_map(|row| Some((row, row.evidence()?))).collect();
    let columns = columns(&measured);
    let ranges: Vec<_> = columns.iter().map(|column| values(&measured, *column)).collect();
    let line = |(row, evidence): &(&Row, &Evidence)| {
        let cells = columns.iter().zip(&ranges).map(|(column, r)| cell(evidence, *column, r));
        element("tr").child(row.head()).children(cells)
    };
    let lines: Vec<Element> = measured.iter().map(line).collect();
    let table =
        Table { class: "figures heat", text: "Estimators by candidate", head: head(&columns) }
            .folded(&lines);
    let part = rows::section("estimators", "What the estimators say").child(rows::note(
        "No estimator is right alone: each looks at the same frozen states from another side, and the score is \
         the weighted mean of the ranks that they give. Values compare within a column only; higher is better, \
         and the stronger the colour of a cell the higher its rank. Trust a candidate that is coloured in most columns more than \
         one that leads in a single one. Point at a value to see what it becomes when a part of the sample is \
         left out.",
    ));
    (!columns.is_empty()).then(|| part.child(explanations(&columns)).child(table))
}

/// The estimators in the order in which they appear: those of the best layer, then those of all layers.
fn columns<'a>(measured: &[(&Row, &'a Evidence)]) -> Vec<Column<'a>> {
    let mut columns: Vec<Column> = Vec::new();
    for estimate in measured.iter().flat_map(|(_, evidence)| &evidence.estimates) {
        for column in [false, true].map(|all| (estimate.estimator.as_str(), all)) {
            let found = || measured.iter().any(|(_, evidence)| pick(evidence, column).is_some());
            if !columns.contains(&column) && found() {
                columns.push(column);
            }
        }
    }
    columns.sort_by_key(|(_, all)| *all);
    columns
}

/// The estimate for a column. The best layer may itself be the mean of all.
fn pick<'a>(evidence: &'a Evidence, (estimator, all): Column) -> Option<&'a Estimated> {
    let mut named = evidence.estimates.iter().filter(|e| e.estimator == estimator);
    match all {
        true => named.find(|e| e.place.layer.is_none()),
        false => named.find(|e| e.place == evidence.best_layer),
    }
}

/// All values of a column, in order.
fn values(measured: &[(&Row, &Evidence)], column: Column) -> Vec<f64> {
    let values = measured.iter().filter_map(|(_, evidence)| finite(pick(evidence, column)?.value));
    let mut values: Vec<f64> = values.collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    values
}

fn head(columns: &[Column]) -> Element {
    let best = columns.iter().filter(|(_, all)| !all).count();
    let group = |text, span: usize| {
        (span > 0).then(|| {
            with_text("th", text).attr("scope", "colgroup").class("group").attr("colspan", span)
        })
    };
    let first = with_text("th", "Candidate").attr("scope", "col").attr("rowspan", 2);
    let groups = element("tr").child(first).children(group("best layer", best));
    let groups = groups.children(group("mean of all layers", columns.len() - best));
    let names = columns.iter().map(|(name, _)| with_text("th", title(name)).attr("scope", "col"));
    element("thead").child(groups).child(element("tr").children(names))
}

fn cell(evidence: &Evidence, column: Column, sorted: &[f64]) -> Element {
    let estimate = pick(evidence, column);
    let Some((estimate, value)) = estimate.and_then(|e| Some((e, finite(e.value)?))) else {
        return number(NONE);
    };
    // The share of the others that are below: a rank that ties share.
    let below = sorted.iter().filter(|v| **v < value).count() as f64;
    let rank = below / (sorted.len() - 1).max(1) as f64;
    let folds = range(estimate.without.iter().filter_map(|v| *v));
    let folds = folds.map(|(low, high)| format!("folds: {} to {}", decimal(low), decimal(high)));
    let cell = number(decimal(value)).attr("style", format!("--heat:{rank:.2}"));
    folds.into_iter().fold(cell, |cell, text| cell.attr("title", text))
}

/// The estimators' names.
fn title(name: &str) -> &str {
    match name {
        "h_score" => "H-score",
        "logme" => "LogME",
        "knn" => "k-NN",
        "probe" => "Probe",
        "transrate" => "TransRate",
        "nleep" => "N-LEEP",
        other => other,
    }
}

fn explanations(columns: &[Column]) -> Element {
    let mut names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    names.sort_by_key(|name| columns.iter().position(|(other, _)| other == name));
    names.dedup();
    let known = names.into_iter().filter_map(|name| Some((title(name), meaning(name)?)));
    let items = known.flat_map(|(name, text)| [with_text("dt", name), with_text("dd", text)]);
    element("dl").class("terms").children(items)
}

fn meaning(name: &str) -> Option<&'static str> {
    Some(match name {
        "h_score" => "how much of the states' variance the labels explain",
        "logme" => "the evidence for a Bayesian linear model from states to labels",
        "knn" => "how well the nearest other rows tell a row's label",
        "probe" => "what a linear model on the frozen states reaches on rows it has not seen",
        "transrate" => "the information that the states hold about the labels",
        "nleep" => "how well clusters of the states predict the labels",
        _ => return None,
    })
}
