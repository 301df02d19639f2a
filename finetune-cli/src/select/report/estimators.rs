//! What the score is made of: every estimator's value for every candidate.

use std::cmp::Ordering;

use super::rows::Row;
use crate::page::axis::range;
use crate::page::html::{Element, element, with_text};
use crate::page::numbers::{NONE, decimal, finite};
use crate::page::parts;
use crate::page::table::{Table, number};
use crate::select::summary::{Estimated, Evidence};

/// A role, which says at which place, and an estimator.
type Column<'a> = (&'a str, &'a str);

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
    let part = parts::section("estimators", "What the estimators say").child(parts::note(
        "No estimator is right alone: each looks at the same frozen states from another side, and the score is \
         the weighted mean of the ranks that they give at several places: at the state with which a new head \
         begins, at the best layer, and at the mean of all layers. Values compare within a column only; higher is better, \
         and the stronger the colour of a cell the higher its rank. Trust a candidate that is coloured \
         in most columns more than one that leads in a single one. Point at a value to see what it becomes when a part of the sample is \
         left out.",
    ));
    (!columns.is_empty()).then(|| part.child(explanations(&columns)).child(table))
}

/// Roles and estimators in the order in which they appear, estimators of a role side by side.
fn columns<'a>(measured: &[(&Row, &'a Evidence)]) -> Vec<Column<'a>> {
    let estimates = || measured.iter().flat_map(|(_, evidence)| &evidence.estimates);
    let roles = unique(estimates().map(|e| e.role.as_str()));
    let names = unique(estimates().map(|e| e.estimator.as_str()));
    let all = roles.iter().flat_map(|role| names.iter().map(|name| (*role, *name)));
    let found = |column: &Column| measured.iter().any(|(_, e)| pick(e, *column).is_some());
    all.filter(found).collect()
}

/// Each once, in the order in which they first come.
fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut unique = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}

fn pick<'a>(evidence: &'a Evidence, (role, estimator): Column) -> Option<&'a Estimated> {
    evidence.estimates.iter().find(|e| e.role == role && e.estimator == estimator)
}

/// All values of a column, in order.
fn values(measured: &[(&Row, &Evidence)], column: Column) -> Vec<f64> {
    let values = measured.iter().filter_map(|(_, evidence)| finite(pick(evidence, column)?.value));
    let mut values: Vec<f64> = values.collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    values
}

fn head(columns: &[Column]) -> Element {
    let group = |role| {
        let span = columns.iter().filter(|column| column.0 == role).count();
        let cell = with_text("th", place(role)).attr("scope", "colgroup");
        cell.class("group").attr("colspan", span)
    };
    let first = with_text("th", "Candidate").attr("scope", "col").attr("rowspan", 2);
    let roles = unique(columns.iter().map(|(role, _)| *role));
    let groups = element("tr").child(first).children(roles.into_iter().map(group));
    // A soft hyphen: eighteen columns have no room for the longest name in one line.
    let text = |name| title(name).replace("TransRate", "Trans\u{ad}Rate");
    let names = columns.iter().map(|(_, name)| with_text("th", text(name)).attr("scope", "col"));
    element("thead").child(groups).child(element("tr").children(names))
}

/// What a role stands for.
fn place(role: &str) -> &str {
    match role {
        "head" => "where a new head begins",
        "best" => "best layer",
        "mean" => "mean of all layers",
        other => other,
    }
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
    let names = unique(columns.iter().map(|(_, name)| *name));
    let known = names.into_iter().filter_map(|name| Some((title(name), meaning(name)?)));
    let items = known.flat_map(|(name, text)| [with_text("dt", name), with_text("dd", text)]);
    element("dl").class("terms").children(items)
}

fn meaning(name: &str) -> Option<&'static str> {
    Some(match name {
        "h_score" => "how much of the states' variance the labels explain",
        "logme" => "the evidence for a Bayesian linear model from states to labels",
        "knn" => "how well the nearest rows of other texts tell a row's label",
        "probe" => "what a linear model on the frozen states reaches on rows it has not seen",
        "transrate" => "the information that the states hold about the labels",
        "nleep" => "how well clusters of the states predict the labels",
        _ => return None,
    })
}
