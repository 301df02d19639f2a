//! Predicted numbers against true ones.

use super::Measured;
use crate::data::Labels;
use crate::page::axis::{Axis, range};
use crate::page::html::{Element, element};
use crate::page::numbers::{decimal, times};
use crate::page::{parts, svg};
use crate::predictions::Prediction;

/// The side of the picture, and the plot in it: left, right, top, bottom.
const SIDE: f64 = 460.0;
const PLOT: (f64, f64, f64, f64) = (56.0, 446.0, 14.0, 404.0);
/// Points at most, evenly over the file.
const POINTS: usize = 2000;

/// The picture; none if labels are no numbers.
pub fn section(measured: &Measured) -> Option<Element> {
    let Labels::Score(truth) = &measured.texts.labels else { return None };
    let pair = |(truth, prediction): (&f32, &Prediction)| match prediction {
        Prediction::Score(value) => Some((f64::from(*truth), f64::from(*value))),
        _ => None,
    };
    let points: Vec<(f64, f64)> = truth.iter().zip(measured.predictions).filter_map(pair).collect();
    let all = points.len();
    let points: Vec<_> = points.into_iter().step_by(all.div_ceil(POINTS).max(1)).collect();
    let ends = range(points.iter().flat_map(|(x, y)| [*x, *y]))?;
    let some = match points.len() < all {
        true => format!(", of which {} are drawn", points.len()),
        false => String::new(),
    };
    let text = format!(
        "A dot for each of {}{some}. On the line both numbers are the same; dots above it are predicted too high.",
        times(all, "example")
    );
    let figure = element("figure").class("scroll").child(picture(&points, ends));
    Some(
        parts::section("scatter", "Prediction against truth")
            .child(parts::note(&text))
            .child(figure),
    )
}

fn picture(points: &[(f64, f64)], ends: (f64, f64)) -> Element {
    let (left, right, top, bottom) = PLOT;
    let (x, y) = (Axis::roomy(ends, (left, right)), Axis::roomy(ends, (bottom, top)));
    let dot = |&(truth, value): &(f64, f64)| {
        let text = format!("label {}, predicted {}", decimal(truth), decimal(value));
        svg::circle("dot", (x.place(truth), y.place(value)), 3.5).child(svg::hover(&text))
    };
    svg::svg("scatter", (SIDE, SIDE), "predicted numbers against true ones")
        .child(svg::below(&x, &x.ticks(), (top, bottom)))
        .child(svg::beside(&y, &y.ticks(), (left, right)))
        .child(svg::line("same", (left, bottom), (right, top)))
        .children(points.iter().map(dot))
        .child(svg::label("middle title", ((left + right) / 2.0, bottom + 42.0), "label"))
        .child(svg::label("start title", (left + 6.0, top + 12.0), "predicted"))
}
