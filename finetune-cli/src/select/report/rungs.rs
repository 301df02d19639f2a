//! What fine-tuning measured: the figure after each stage of training.

use super::rows::Row;
use crate::page::axis::{Axis, range};
use crate::page::html::{Element, element};
use crate::page::numbers::{capital, decimal, duration, finite, fixed, or_dash, shorten, times};
use crate::page::parts;
use crate::page::svg;
use crate::select::summary::{Rung, Summary, Verified};

/// Width of the picture, ends of the plot, where the names begin.
const WIDTH: f64 = 920.0;
const ENDS: (f64, f64) = (60.0, 640.0);
const NAMES: f64 = 672.0;
const TOP: f64 = 16.0;

/// The height of a line of text, which names keep apart.
const LINE: f64 = 17.0;

/// Letters of a name at most.
const LETTERS: usize = 30;

/// Colours in the style.
const COLOURS: usize = 7;

/// A curve: its name, long and short, and its stages with a figure.
struct Curve {
    name: String,
    short: String,
    stages: Vec<(Rung, f64)>,
}

/// The curves; none if nothing was fine-tuned.
pub fn section(summary: &Summary, rows: &[Row]) -> Option<Element> {
    let several = summary.task.learning_rates.len() > 1;
    let curves: Vec<Curve> = rows.iter().flat_map(|row| curves_of(row, several)).collect();
    let figures = curves.iter().flat_map(|curve| curve.stages.iter().map(|stage| stage.1));
    let steps =
        curves.iter().flat_map(|curve| curve.stages.iter().map(|stage| stage.0.steps as f64));
    let bottom = TOP + (curves.len() as f64 * LINE).max(240.0);
    let y = Axis::roomy(range(figures)?, (bottom, TOP));
    let x = Axis::linear((0.0, range(steps)?.1), ENDS);
    let text = format!(
        "{} of the best candidates{} on {} held out, after each stage of training. A candidate whose curve ends \
         early was left behind by others.",
        capital(&summary.task.metric),
        if several { ", each with several learning rates," } else { "" },
        times(summary.task.validation_rows, "row")
    );
    let chart =
        element("figure").class("scroll").child(picture(&curves, (x, y), &summary.task.metric));
    Some(parts::section("rungs", "Fine-tuned for a while").child(parts::note(&text)).child(chart))
}

/// The curves of a candidate, that of the best learning rate first; of several, the rate is behind the name.
fn curves_of(row: &Row, several: bool) -> Vec<Curve> {
    let (best, others) = (&row.candidate.verified, &row.candidate.other_rates);
    let curve = |verified: &Verified| {
        let stages = verified.rungs.iter().filter_map(|r| Some((*r, finite(r.metric)?)));
        let stages: Vec<_> = stages.collect();
        let rate = if several { format!(" {:e}", verified.learning_rate) } else { String::new() };
        // The rate is what tells the curves of one candidate apart: it must not be cut off.
        let short = shorten(row.name, LETTERS - rate.len().min(LETTERS / 2));
        let name = format!("{}{rate}", row.candidate.name);
        (!stages.is_empty()).then(|| Curve { name, short: format!("{short}{rate}"), stages })
    };
    best.iter().chain(others).filter_map(curve).collect()
}

fn picture(curves: &[Curve], (x, y): (Axis, Axis), metric: &str) -> Element {
    let (bottom, top) = y.ends();
    let (left, right) = ENDS;
    let mut steps: Vec<f64> =
        curves.iter().flat_map(|c| c.stages.iter().map(|stage| stage.0.steps as f64)).collect();
    steps.sort_by(f64::total_cmp);
    steps.dedup();
    let ticks = apart(&x, &steps).into_iter().map(|s| (s, fixed(s, 0))).collect::<Vec<_>>();
    let heights = svg::spread(
        curves.iter().map(|c| y.place(c.stages[c.stages.len() - 1].1)),
        (TOP, bottom),
        LINE,
    );
    let drawn = curves.iter().enumerate().zip(heights);
    svg::svg("chart", (WIDTH, bottom + 48.0), &format!("{metric} against steps of training"))
        .child(svg::below(&x, &ticks, (top, bottom)))
        .child(svg::beside(&y, &y.ticks(), (left, right)))
        .child(svg::label(
            "middle title",
            ((left + right) / 2.0, bottom + 40.0),
            "steps of training",
        ))
        .child(svg::label("start title", (left + 6.0, top + 12.0), metric))
        .children(drawn.map(|((i, curve), height)| draw(curve, i % COLOURS, height, (&x, &y))))
}

/// Those of the sorted values whose labels don't touch.
fn apart(x: &Axis, values: &[f64]) -> Vec<f64> {
    let mut kept: Vec<f64> = Vec::new();
    for &value in values {
        if kept.last().is_none_or(|last| x.place(value) - x.place(*last) > 40.0) {
            kept.push(value);
        }
    }
    kept
}

fn draw(curve: &Curve, colour: usize, height: f64, (x, y): (&Axis, &Axis)) -> Element {
    let at = |(rung, figure): &(Rung, f64)| (x.place(rung.steps as f64), y.place(*figure));
    let points: Vec<_> = curve.stages.iter().map(at).collect();
    let name = &curve.name;
    let dots = curve.stages.iter().zip(&points).map(|((rung, figure), point)| {
        let text = format!(
            "{name}: {} after {} steps ({}), loss {}",
            fixed(*figure, 3),
            rung.steps,
            duration(rung.seconds),
            or_dash(rung.loss, decimal)
        );
        svg::circle("dot", *point, 4.5).child(svg::hover(&text))
    });
    let (last, figure) = (points[points.len() - 1], curve.stages[curve.stages.len() - 1].1);
    let text = format!("{} {}", fixed(figure, 3), curve.short);
    element("g")
        .class(format!("curve c{colour}"))
        .child(svg::line("leader", last, (NAMES - 6.0, height)))
        .child(svg::polyline("line", &points))
        .children(dots)
        .child(svg::label("start name", (NAMES, height + 4.0), &text))
}
