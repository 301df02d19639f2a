//! Estimates by layer: one small picture a candidate, all on the same scales.

use super::rows::Row;
use crate::page::axis::{Axis, range};
use crate::page::html::{Element, element, with_text};
use crate::page::numbers::{decimal, finite, or_dash};
use crate::page::parts;
use crate::page::svg;
use crate::select::summary::{Evidence, LayerProfile, Place};

/// So many are shown, the others folded.
const SHOWN: usize = 12;

/// The picture, and the plot in it: left, right, top, bottom. Right of the plot is the mean of all layers.
const SIZE: (f64, f64) = (240.0, 128.0);
const PLOT: (f64, f64, f64, f64) = (10.0, 204.0, 10.0, 106.0);
const ALL: f64 = 226.0;

/// An estimator: its class in the style, its name, its value.
type Estimator = (&'static str, &'static str, fn(&LayerProfile) -> Option<f64>);

const ESTIMATORS: [Estimator; 2] =
    [("logme", "LogME", |p| p.logme), ("hscore", "H-score", |p| p.h_score)];

/// The poolings, each with its class in the style.
const POOLINGS: [&str; 2] = ["mean", "first"];

/// Small multiples in the order of the ranks; none if nothing was measured by layer.
pub fn section(rows: &[Row]) -> Option<Element> {
    let drawn: Vec<(&Row, &Evidence)> =
        rows.iter().filter_map(|row| Some((row, row.evidence()?))).collect();
    let drawn: Vec<_> = drawn.into_iter().filter(|(_, e)| !e.layers.is_empty()).collect();
    let scales = ESTIMATORS.map(|estimator| scale(&drawn, estimator.2));
    let figures: Vec<Element> = drawn.iter().map(|(row, e)| figure(row, e, &scales)).collect();
    let (shown, folded) = figures.split_at(figures.len().min(SHOWN));
    let grid =
        |figures: &[Element]| element("div").class("multiples").children(figures.iter().cloned());
    let rest = (!folded.is_empty()).then(|| {
        let text = format!("{} more", folded.len());
        element("details").child(with_text("summary", text)).child(grid(folded))
    });
    let part = parts::section("layers", "Layer by layer").child(parts::note(
        "How well a linear model on the states of each layer is estimated to do; higher is better. Layer 0 are \
         the embeddings, “all” is the mean of all layers. Each estimator has one scale for all candidates, \
         from the lowest value to the highest. The ring marks the best layer.",
    ));
    (!figures.is_empty()).then(|| part.child(legend()).child(grid(shown)).children(rest))
}

fn legend() -> Element {
    let keys = ESTIMATORS.iter().flat_map(|e| POOLINGS.map(|pooling| (e, pooling)));
    let key = |(estimator, pooling): (&Estimator, &str)| {
        let text = format!("{}, {}", estimator.1, tokens(pooling));
        with_text("li", text).class(format!("key-{} key-{pooling}", estimator.0))
    };
    element("ul").class("legend").children(keys.map(key))
}

/// What a pooling takes.
fn tokens(pooling: &str) -> &str {
    match pooling {
        "mean" => "mean of tokens",
        "first" => "first token",
        other => other,
    }
}

/// From the lowest value of all candidates to the highest.
fn scale(drawn: &[(&Row, &Evidence)], value: fn(&LayerProfile) -> Option<f64>) -> Option<Axis> {
    let values = drawn.iter().flat_map(|(_, e)| e.layers.iter().filter_map(value));
    range(values).map(|range| Axis::linear(range, (PLOT.3, PLOT.2)))
}

fn figure(row: &Row, evidence: &Evidence, scales: &[Option<Axis>; 2]) -> Element {
    let rank = row.rank.map_or(String::new(), |rank| format!("{rank}. "));
    let last = last_layer(evidence);
    let text = format!(
        "best: {}, {}",
        layer(&evidence.best_layer, last),
        tokens(&evidence.best_layer.pooling)
    );
    let caption = element("figcaption").text(rank).child(row.mark());
    let best = with_text("span", &text).class("best");
    let picture = picture(evidence, last, scales, &format!("{} by layer; {text}", row.name));
    element("figure").child(caption.child(best)).child(picture)
}

fn layer(place: &Place, last: usize) -> String {
    match place.layer {
        Some(0) => "embeddings".to_owned(),
        Some(layer) => format!("layer {layer} of {last}"),
        None => "all layers".to_owned(),
    }
}

fn last_layer(evidence: &Evidence) -> usize {
    evidence.layers.iter().filter_map(|p| p.place.layer).max().unwrap_or(0)
}

fn picture(evidence: &Evidence, last: usize, scales: &[Option<Axis>; 2], words: &str) -> Element {
    let (left, right, top, bottom) = PLOT;
    let x = Axis::linear((0.0, last.max(1) as f64), (left, right));
    let mut ticks = vec![0, last / 2, last];
    ticks.dedup();
    let ticks: Vec<_> = ticks.into_iter().map(|l| (l as f64, l.to_string())).collect();
    let mut picture = svg::svg("profile", SIZE, words)
        .child(svg::below(&x, &ticks, (top, bottom)))
        .child(svg::line("base", (left, bottom), (right, bottom)))
        .child(svg::label("middle", (ALL, bottom + 16.0), "all"));
    for (estimator, scale) in ESTIMATORS.iter().zip(scales) {
        let Some(y) = scale else { continue };
        let curves = POOLINGS.map(|pooling| curve(evidence, estimator, pooling, (&x, y)));
        picture = picture.children(curves);
    }
    picture.children(ring(evidence, (&x, scales[0].as_ref())))
}

/// One estimator with one pooling over all layers, and at their mean.
fn curve(
    evidence: &Evidence,
    estimator: &Estimator,
    pooling: &str,
    axes: (&Axis, &Axis),
) -> Element {
    let (class, name, value) = *estimator;
    let pooled = evidence.layers.iter().filter(|profile| profile.place.pooling == pooling);
    let mut points: Vec<(Option<usize>, f64)> =
        pooled.filter_map(|p| Some((p.place.layer, finite(value(p))?))).collect();
    points.sort_by_key(|(layer, _)| layer.unwrap_or(usize::MAX));
    let at = |(layer, v): &(Option<usize>, f64)| (column(*layer, axes.0), axes.1.place(*v));
    let line: Vec<_> = points.iter().filter(|p| p.0.is_some()).map(at).collect();
    let dots = points.iter().map(|point| {
        let layer = point.0.map_or("all layers".to_owned(), |layer| format!("layer {layer}"));
        let text = format!("{name}, {}, {layer}: {}", tokens(pooling), decimal(point.1));
        svg::circle("dot", at(point), 2.2).child(svg::hover(&text))
    });
    let group = element("g").class(format!("curve {class} {pooling}"));
    group.child(svg::polyline("line", &line)).children(dots)
}

fn column(layer: Option<usize>, x: &Axis) -> f64 {
    layer.map_or(ALL, |layer| x.place(layer as f64))
}

/// The mark of the best layer, on the curve of LogME.
fn ring(evidence: &Evidence, (x, y): (&Axis, Option<&Axis>)) -> Option<Element> {
    let best = evidence.layers.iter().find(|profile| profile.place == evidence.best_layer)?;
    let value = finite(best.logme)?;
    let at = (column(best.place.layer, x), y?.place(value));
    let text = format!("the best layer, LogME {}", or_dash(Some(value), decimal));
    Some(svg::circle("ring", at, 6.0).child(svg::hover(&text)))
}
