//! Pictures: the few shapes that the charts are made of. Colours come from classes, so that they follow the
//! reader's light or dark theme.

use super::axis::Axis;
use super::html::{Element, coordinate, element, with_text};

/// A picture; `label` says to those who can't see it what it shows.
pub fn svg(class: &str, (width, height): (f64, f64), label: &str) -> Element {
    let view = format!("0 0 {} {}", coordinate(width), coordinate(height));
    let picture = element("svg").class(class).attr("viewBox", view);
    let picture = picture.at(&[("width", width), ("height", height)]);
    picture.attr("role", "img").attr("aria-label", label)
}

/// A line between two points.
pub fn line(class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> Element {
    element("line").class(class).at(&[("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)])
}

/// A disc.
pub fn circle(class: &str, (cx, cy): (f64, f64), r: f64) -> Element {
    element("circle").class(class).at(&[("cx", cx), ("cy", cy), ("r", r)])
}

/// A rectangle from its upper left corner.
pub fn rect(class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) -> Element {
    let sizes = [("x", x), ("y", y), ("width", width.max(0.0)), ("height", height.max(0.0))];
    element("rect").class(class).at(&sizes)
}

/// A line of text; the class says which end is at the point.
pub fn label(class: &str, (x, y): (f64, f64), text: &str) -> Element {
    with_text("text", text).class(class).at(&[("x", x), ("y", y)])
}

/// A line through points.
pub fn polyline(class: &str, points: &[(f64, f64)]) -> Element {
    let pairs = points.iter().map(|(x, y)| format!("{},{}", coordinate(*x), coordinate(*y)));
    element("polyline").class(class).attr("points", pairs.collect::<Vec<_>>().join(" "))
}

/// What is told while the pointer rests on an element.
pub fn hover(text: &str) -> Element {
    with_text("title", text)
}

/// Ticks and labels of a horizontal axis, with lines up to `top`.
pub fn below(axis: &Axis, ticks: &[(f64, String)], (top, bottom): (f64, f64)) -> Element {
    ticks.iter().fold(element("g").class("axis"), |group, (value, text)| {
        let x = axis.place(*value);
        let mark = line("grid", (x, top), (x, bottom));
        group.child(mark).child(label("middle", (x, bottom + 16.0), text))
    })
}

/// Ticks and labels of a vertical axis, with lines to `right`.
pub fn beside(axis: &Axis, ticks: &[(f64, String)], (left, right): (f64, f64)) -> Element {
    ticks.iter().fold(element("g").class("axis"), |group, (value, text)| {
        let y = axis.place(*value);
        let mark = line("grid", (left, y), (right, y));
        group.child(mark).child(label("end", (left - 8.0, y + 4.0), text))
    })
}

/// Heights for names: near where they are wanted, but a line apart, and between top and bottom.
pub fn spread(wanted: impl Iterator<Item = f64>, (top, bottom): (f64, f64), line: f64) -> Vec<f64> {
    let mut order: Vec<(usize, f64)> = wanted.enumerate().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut least = top;
    for (_, height) in &mut order {
        *height = height.max(least);
        least = *height + line;
    }
    let mut most = bottom;
    for (_, height) in order.iter_mut().rev() {
        *height = height.min(most);
        most = *height - line;
    }
    order.sort_by_key(|(i, _)| *i);
    order.into_iter().map(|(_, height)| height).collect()
}
