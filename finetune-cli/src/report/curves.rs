//! Learning curves: losses, and the figure that decides on the best epoch, against steps.
//!
//! All is read from the log of `trainer_state.json`. An entry is drawn at its step, and for each figure that it has:
//! what was measured within an epoch has its place, too.

use serde_json::Value;

use super::Training;
use super::headline::{best, epoch, metric};
use crate::page::axis::{Axis, range};
use crate::page::html::{Element, element, with_text};
use crate::page::numbers::fixed;
use crate::page::{parts, svg};

/// The picture, and the plot in it: left, right, top, bottom. Right of the plot stand the names of the lines.
const SIZE: (f64, f64) = (540.0, 300.0);
const PLOT: (f64, f64, f64, f64) = (52.0, 418.0, 14.0, 252.0);
/// The height of a line of text, which names keep apart.
const LINE: f64 = 15.0;
/// Steps whose losses are drawn at most, and labels below the axis.
const STEPS: usize = 400;
const TICKS: usize = 8;
/// Points of a line up to which each has a dot.
const DOTS: usize = 60;

/// Values at steps.
type Points = Vec<(f64, f64)>;

/// A line: its class in the style, its name, its points.
struct Line<'a> {
    class: &'a str,
    name: &'a str,
    points: Points,
}

/// A picture: what it shows, single values beside the lines, lines, the best point.
struct Chart<'a> {
    name: &'a str,
    single: Points,
    lines: Vec<Line<'a>>,
    best: Option<(f64, f64)>,
}

impl Chart<'_> {
    fn title(&self) -> String {
        match self.name {
            "loss" => "Loss".to_owned(),
            // The name of a figure is spelled as everywhere else.
            name => format!("Validation {name}"),
        }
    }
}

/// Two pictures; none if nothing was logged.
pub fn section(training: &Training) -> Option<Element> {
    let (state, metric) = (training.state, metric(training.state));
    let single = points(state, "loss");
    let all = single.len();
    let single: Points = single.into_iter().step_by(all.div_ceil(STEPS).max(1)).collect();
    let key = format!("eval_{metric}");
    let figures = points(state, &key);
    let best = at_best(state, &figures);
    let line = |class, name, points| Line { class, name, points };
    let losses = [
        line("curve c0", "training", points(state, "train_loss")),
        line("curve c1", "validation", points(state, "eval_loss")),
    ];
    let by_loss = metric == "loss";
    let marked = best.filter(|_| by_loss);
    let losses = Chart { name: "loss", single, lines: losses.into(), best: marked };
    let figures = vec![line("curve c1", "", figures)].into_iter().filter(|_| !by_loss).collect();
    let figures = Chart { name: metric, single: Vec::new(), lines: figures, best };
    let scale = Scale::of(state)?;
    let pictures = [losses, figures].into_iter().filter_map(|chart| figure(&chart, &scale));
    let pictures: Vec<Element> = pictures.collect();
    let part = parts::section("curves", "How it learned");
    Some(match pictures.is_empty() {
        true => part.child(parts::note(&one_point(state, metric))),
        false => part
            .child(parts::note(&explanation(training)))
            .child(element("div").class("pair").children(pictures)),
    })
}

/// What is said where there is nothing to draw a line through.
fn one_point(state: &Value, metric: &str) -> String {
    let key = format!("eval_{metric}");
    let names = [
        ("train_loss", "training loss".to_owned()),
        ("eval_loss", "validation loss".to_owned()),
        (key.as_str(), format!("validation {metric}")),
    ];
    let shown = if metric == "loss" { 2 } else { 3 };
    let value =
        |(key, name): &(&str, String)| Some(format!("{name} {}", fixed(last(state, key)?, 3)));
    let values: Vec<String> = names[..shown].iter().filter_map(value).collect();
    format!(
        "At the end, there was {}. A curve takes more epochs, --eval-steps, or a smaller --logging-steps.",
        values.join(", ")
    )
}

fn explanation(training: &Training) -> String {
    let means = "The training loss is the mean since the point before; pale dots are single steps.";
    match best(training.state) {
        None => format!("{means} There was no validation data."),
        Some(_) => {
            format!(
                "{means} Where it falls on while the validation loss rises, the model learns its examples by heart. \
                 The ring marks the best validation figure."
            )
        }
    }
}

/// The finite values of this name in the log, with their steps.
pub fn points(state: &Value, key: &str) -> Points {
    let entries = state["log_history"].as_array().into_iter().flatten();
    entries.filter_map(|entry| Some((entry["step"].as_f64()?, entry[key].as_f64()?))).collect()
}

/// The last value of this name in the log.
pub fn last(state: &Value, key: &str) -> Option<f64> {
    points(state, key).last().map(|(_, value)| *value)
}

/// How long the training took, without breaks and evaluations.
pub fn seconds(state: &Value) -> Option<f64> {
    let times = points(state, "train_runtime");
    (!times.is_empty()).then(|| times.iter().map(|(_, seconds)| seconds).sum())
}

/// The point of the best validation.
fn at_best(state: &Value, figures: &Points) -> Option<(f64, f64)> {
    let step = best(state)?.step as f64;
    figures.iter().find(|point| point.0 == step).copied()
}

fn steps_per_epoch(state: &Value) -> Option<f64> {
    let epochs = points(state, "epoch");
    let (step, epoch) = *epochs.last()?;
    Some(step / epoch).filter(|steps| steps.is_finite() && *steps > 0.0)
}

/// The horizontal axis of both pictures.
struct Scale {
    axis: Axis,
    ticks: Vec<(f64, String)>,
    title: String,
    per_epoch: f64,
}

impl Scale {
    /// In epochs, or where not one is whole, in steps.
    fn of(state: &Value) -> Option<Self> {
        let per_epoch = steps_per_epoch(state)?;
        let end = range(points(state, "epoch").into_iter().map(|(step, _)| step))?.1;
        let axis = Axis::linear((0.0, end), (PLOT.0, PLOT.1));
        // A last epoch that ends at this step is whole, whatever the rounding of its number says.
        let epochs = (end / per_epoch + 1e-6).floor() as usize;
        let every = epochs.div_ceil(TICKS).max(1);
        let whole = (every..=epochs).step_by(every);
        let whole = whole.map(|n| (n as f64 * per_epoch, n.to_string()));
        let steps = axis.ticks().into_iter().filter(|(step, _)| step.fract() == 0.0);
        let (ticks, title): (Vec<_>, _) = match epochs {
            0 => (steps.collect(), "steps".to_owned()),
            _ => (whole.collect(), format!("epochs of {} steps", fixed(per_epoch, 0))),
        };
        Some(Self { axis, ticks, title, per_epoch })
    }
}

/// A picture with its caption; none if there is nothing to draw a line through.
fn figure(chart: &Chart, scale: &Scale) -> Option<Element> {
    let longest = chart.lines.iter().map(|line| &line.points).chain([&chart.single]);
    if longest.map(Vec::len).max() < Some(2) {
        return None;
    }
    let lines = chart.lines.iter().flat_map(|line| &line.points);
    let values = range(lines.chain(&chart.single).map(|(_, value)| *value))?;
    let title = with_text("span", chart.title()).class("name");
    let caption = element("figcaption").child(title);
    // A figure that stays 0 has no scale of its own.
    let values = if values == (0.0, 0.0) { (0.0, 1.0) } else { values };
    let y = Axis::roomy(values, (PLOT.3, PLOT.2));
    let picture = element("div").class("scroll").child(picture(chart, scale, &y));
    Some(element("figure").child(caption).child(picture))
}

fn picture(chart: &Chart, scale: &Scale, y: &Axis) -> Element {
    let (left, right, top, bottom) = PLOT;
    let x = &scale.axis;
    let place = |(step, value): &(f64, f64)| (x.place(*step), y.place(*value));
    let single = chart.single.iter().map(|point| svg::circle("single", place(point), 2.2));
    let drawn: Vec<&Line> = chart.lines.iter().filter(|line| !line.points.is_empty()).collect();
    let ends = drawn.iter().map(|line| y.place(line.points[line.points.len() - 1].1) + 4.0);
    let heights = svg::spread(ends, (top + 4.0, bottom), LINE);
    let lines = drawn.iter().zip(heights).map(|(line, height)| draw(line, (scale, y), height));
    let text = format!("{} against steps of training", chart.name);
    svg::svg("chart learning", SIZE, &text)
        .child(svg::below(x, &scale.ticks, (top, bottom)))
        .child(svg::beside(y, &y.ticks(), (left, right)))
        .child(svg::label("middle title", ((left + right) / 2.0, bottom + 38.0), &scale.title))
        .children(single)
        .children(lines)
        .children(chart.best.iter().map(|point| svg::circle("ring", place(point), 7.0)))
}

fn draw(line: &Line, (scale, y): (&Scale, &Axis), height: f64) -> Element {
    let place = |(step, value): &(f64, f64)| (scale.axis.place(*step), y.place(*value));
    let points: Vec<(f64, f64)> = line.points.iter().map(place).collect();
    let dot = |((step, value), at): (&(f64, f64), &(f64, f64))| {
        let when = epoch(step / scale.per_epoch);
        let text = format!("{} {} after epoch {when}, step {step}", line.name, fixed(*value, 4));
        svg::circle("dot", *at, 3.5).child(svg::hover(text.trim_start()))
    };
    let dots = line.points.iter().zip(&points).filter(|_| points.len() <= DOTS).map(dot);
    let last = line.points[line.points.len() - 1].1;
    let text = format!("{} {}", line.name, fixed(last, 3));
    let right = points[points.len() - 1].0;
    element("g")
        .class(line.class)
        .child(svg::polyline("line", &points))
        .children(dots)
        .child(svg::label("start name", (right + 10.0, height), text.trim_start()))
}
