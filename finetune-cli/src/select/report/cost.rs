//! Score against cost: which candidates no other beats in both.

use super::labels::{Area, Labels};
use super::rows::Row;
use crate::memory;
use crate::page::axis::{Axis, decades, range, round_times};
use crate::page::html::{Element, element, with_text};
use crate::page::numbers::{NONE, count, duration, finite, fixed, or_dash, times};
use crate::page::parts;
use crate::page::svg;
use crate::page::table::{Table, columns, number};
use crate::select::summary::{Cost, Score};

/// The picture, and the plot in it: left, right, top, bottom. Above the plot is room for names.
const SIZE: (f64, f64) = (920.0, 470.0);
const PLOT: (f64, f64, f64, f64) = (52.0, 904.0, 44.0, 414.0);

/// Where names may stand: left, top, right, bottom.
const PAPER: Area = (PLOT.0, 2.0, SIZE.0, PLOT.3);

/// The best so many are named, besides those on the front.
const NAMED: usize = 5;

/// From so many candidates on, dots are small and whiskers pale.
const MANY: usize = 40;

/// A candidate in the picture.
struct Point<'a> {
    row: &'a Row<'a>,
    cost: f64,
    score: Score,
    at: (f64, f64),
}

/// The picture and its figures; none if no candidate has a score and a cost.
pub fn section(rows: &[Row]) -> Option<Element> {
    let timed = rows.iter().any(|row| costs(row, true).is_some());
    let found: Vec<_> = rows.iter().filter_map(|row| costs(row, timed)).collect();
    let costs = range(found.iter().map(|(_, cost, _)| *cost))?;
    let x = Axis::log(costs, (PLOT.0, PLOT.1));
    let y = Axis::linear((0.0, 100.0), (PLOT.3, PLOT.2));
    let place = |(row, cost, score): (_, f64, Score)| Point {
        row,
        cost,
        score,
        at: (x.place(cost), y.place(score.value)),
    };
    let points: Vec<Point> = found.into_iter().map(place).collect();
    let what = if timed { "projected training time" } else { "parameters" };
    let text = format!(
        "Upper left is best. No candidate beats those on the line in both score and {what}. Whiskers are 90 % \
         intervals; point at a dot for its figures."
    );
    let missing = rows.iter().filter(|row| row.rank.is_some()).count() - points.len();
    let missing = (missing > 0).then(|| {
        parts::note(&format!("{} without score or cost: not shown.", times(missing, "candidate")))
    });
    let chart = element("figure").class("scroll").child(picture(&points, (x, y), timed));
    let part = parts::section("cost", "Score against cost").child(parts::note(&text));
    Some(part.child(legend()).child(chart).children(missing).child(figures(rows)))
}

/// The candidate, what it costs in seconds or parameters, and its score.
fn costs<'a>(row: &'a Row<'a>, timed: bool) -> Option<(&'a Row<'a>, f64, Score)> {
    let cost = &row.evidence()?.cost;
    let value = if timed { cost.projected_seconds } else { Some(cost.parameters as f64) };
    let value = finite(value).filter(|v| *v > 0.0)?;
    row.rank.and(row.score()).map(|score| (row, value, score))
}

fn legend() -> Element {
    let key = |class: &str, text| with_text("li", text).class(class);
    element("ul")
        .class("legend")
        .child(key("key-measured", "fine-tuned and measured"))
        .child(key("key-estimated", "estimated"))
        .child(key("key-front", "best for its cost"))
}

fn picture(points: &[Point], (x, y): (Axis, Axis), timed: bool) -> Element {
    let (left, right, top, bottom) = PLOT;
    let (round, form, title): (_, fn(f64) -> String, _) = match timed {
        true => (round_times(), duration as _, "projected training time"),
        false => (decades(0..13), count as _, "parameters"),
    };
    let ticks: Vec<_> = x.some_of(&round).into_iter().map(|v| (v, tick(form(v)))).collect();
    let front = front(points);
    let middle = ((left + right) / 2.0, bottom + 40.0);
    let (class, radius) = if points.len() < MANY { ("chart", 5.0) } else { ("chart many", 3.5) };
    svg::svg(class, SIZE, "Score of each candidate against its cost")
        .child(svg::below(&x, &ticks, (top, bottom)))
        .child(svg::beside(&y, &y.ticks(), (left, right)))
        .child(svg::label("middle title", middle, &format!("{title} (log scale)")))
        .child(svg::label("start title", (left - 30.0, top - 14.0), "score"))
        .child(svg::polyline("front", &stairs(points, &front)))
        .children(points.iter().rev().map(|point| dot(point, &y, radius, form)))
        .children(names(points, &front))
}

/// `0.5 s` and `10 k`, not `1.0 s` and `10.0 k`.
fn tick(text: String) -> String {
    text.replace(".0 ", " ")
}

/// The dot and its whisker, the best ones last so that they lie on top.
fn dot(point: &Point, y: &Axis, radius: f64, form: fn(f64) -> String) -> Element {
    let Point { row, cost, score, at } = point;
    let metric = row.metric().map(|m| format!(", measured {}", fixed(m, 3))).unwrap_or_default();
    let text = format!(
        "{}: score {} ({} to {}){metric}, {}",
        row.candidate.name,
        fixed(score.value, 1),
        fixed(score.low, 1),
        fixed(score.high, 1),
        form(*cost)
    );
    let kind = if row.metric().is_some() { "measured" } else { "estimated" };
    let end = |value: f64| (at.0, y.place(value.clamp(0.0, 100.0)));
    element("g")
        .class(format!("point {kind}"))
        .child(svg::hover(&text))
        .child(svg::line("whisker", end(score.low), end(score.high)))
        .child(svg::circle("dot", *at, radius))
}

/// The candidates that none beats in both, from the cheapest to the best.
fn front(points: &[Point]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    let key = |i: &usize| (points[*i].cost, -points[*i].score.value);
    order.sort_by(|a, b| key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal));
    let mut best = f64::NEG_INFINITY;
    order.retain(|&i| {
        let better = points[i].score.value > best;
        best = best.max(points[i].score.value);
        better
    });
    order
}

/// The best score that each cost buys: flat up to the next candidate on the front.
fn stairs(points: &[Point], front: &[usize]) -> Vec<(f64, f64)> {
    let mut line = Vec::new();
    let mut height = PLOT.3;
    for (x, y) in front.iter().map(|&i| points[i].at) {
        line.extend([(x, height), (x, y)]);
        height = y;
    }
    line.push((PLOT.1, height));
    line
}

/// Names of the best and of those on the front, where there is room.
fn names(points: &[Point], front: &[usize]) -> Vec<Element> {
    let mut labels = Labels::around(points.iter().map(|point| point.at), PAPER);
    let named = points.iter().enumerate().filter(|(i, _)| *i < NAMED || front.contains(i));
    named.filter_map(|(_, point)| labels.place(point.at, point.row.name)).collect()
}

/// All figures of cost, folded.
fn figures(rows: &[Row]) -> Element {
    let names = [
        "Candidate",
        "Layers",
        "Width",
        "FLOP per epoch",
        "Time per example",
        "Projected time",
        "Peak, measured",
        "Memory, projected",
    ];
    let line =
        |row: &Row| Some(element("tr").child(row.head()).children(cells(&row.evidence()?.cost)));
    let lines: Vec<Element> = rows.iter().filter_map(line).collect();
    let table =
        Table { class: "figures", text: "What each candidate costs", head: columns(&names) }
            .whole(&lines);
    element("details").child(with_text("summary", "Costs in numbers")).child(table)
}

fn cells(cost: &Cost) -> [Element; 7] {
    [
        cost.layers.to_string(),
        cost.hidden.to_string(),
        or_dash(Some(cost.epoch_flops), count),
        or_dash(cost.seconds_per_example, |s| fixed(s * 1000.0, 1) + " ms"),
        or_dash(cost.projected_seconds, duration),
        cost.step_memory.map_or(NONE.to_owned(), memory::human),
        memory::human(cost.projected_memory),
    ]
    .map(number)
}
