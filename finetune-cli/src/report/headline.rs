//! What was learned, from which model and data, how well, and what to run next.

use serde_json::Value;

use super::{Content, LABEL, Measured, Part, Training, curves};
use crate::data::{Labels, Task};
use crate::metrics::are_entities;
use crate::page::html::{Element, element, with_text};
use crate::page::numbers::{self, duration, fixed, grouped, or_dash, percent, shorten, times};
use crate::page::parts;

/// Standard deviations on either side that hold 90 % of a normal distribution.
const NINETY_PERCENT: f64 = 1.645;

/// The top of the page.
pub fn section(content: &Content) -> Element {
    let part = element("section").class("headline").attr("id", "result");
    let command = if content.training.is_some() { "finetune train" } else { "finetune evaluate" };
    let part = part.child(with_text("p", command).class("eyebrow"));
    let (heading, lead) = match &content.training {
        Some(training) => (learned(content.task), trained(content, training)),
        None => (measured_on(content), tested(content)),
    };
    part.child(heading)
        .child(lead)
        .children(content.measured.as_ref().and_then(certainty))
        .child(parts::tiles(tiles(content)))
        .child(parts::command("Use it", content.next))
}

/// So many examples.
pub fn examples(number: usize) -> String {
    times(number, "example")
}

/// The number of an epoch: `2`, `2.35`.
pub fn epoch(epoch: f64) -> String {
    let text = fixed(epoch, 2);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The names of the data that the figures are of.
pub fn names(data: &[Part]) -> &str {
    data.last().map_or("no data", |part| &part.name)
}

/// The best validation of a training.
pub struct Best {
    /// The steps before it.
    pub step: u64,
    /// The same in epochs.
    epoch: f64,
    /// The figure.
    figure: Option<f64>,
}

/// The best validation that a state knows of.
pub fn best(state: &Value) -> Option<Best> {
    let (step, epoch) = (state["best_global_step"].as_u64()?, state["best_epoch"].as_f64()?);
    Some(Best { step, epoch, figure: state["best_metric"].as_f64() })
}

/// The figure that decides on it.
pub fn metric(state: &Value) -> &str {
    state["metric_for_best_model"].as_str().unwrap_or("loss")
}

fn name(text: &str) -> Element {
    with_text("bdi", shorten(text, LABEL)).class("name")
}

fn learned(task: &Task) -> Element {
    let heading = element("h1");
    match task {
        Task::SingleLabel(set) => match set.names() {
            [first, second] => heading
                .text("Learned to tell ")
                .child(name(first))
                .text(" from ")
                .child(name(second)),
            all => heading.text(format!("Learned to tell {} classes apart", all.len())),
        },
        Task::MultiLabel(set) => {
            heading.text(format!("Learned which of {} labels hold", set.len()))
        }
        Task::Regression => heading.text("Learned to give a number"),
        Task::Tags(set) if are_entities(set.names()) => heading.text("Learned to find entities"),
        Task::Tags(set) => heading.text(format!("Learned {} labels of words", set.len())),
    }
}

/// What was made of what, how good it is, and which weights it has.
fn trained(content: &Content, training: &Training) -> Element {
    let lead = element("p").class("lead").text("Made from ").child(name(content.model));
    let lead = content.data.first().into_iter().fold(lead, |lead, part| {
        let number = format!(" ({})", examples(part.examples));
        lead.text(" with ").child(name(&part.name)).text(number)
    });
    let lead = match &content.measured {
        Some(measured) => reaches(lead.text(", it "), content, measured)
            .text(format!(", the {} data. ", measured.role)),
        None => lead.text(". There was no data to measure it on. "),
    };
    weights(lead, training)
}

/// `reaches accuracy 0.887 on the 1 821 examples of test.csv`
fn reaches(lead: Element, content: &Content, measured: &Measured) -> Element {
    let figure = or_dash(measured.figure(content.metric), |v| fixed(v, 3));
    let number = examples(measured.texts.examples.len());
    let reached = match content.metric {
        "loss" => format!("a loss of {figure}"),
        metric => format!("{metric} {figure}"),
    };
    let text = format!("reaches {reached} on the {number} of ");
    lead.text(text).child(name(names(content.data)))
}

/// Which weights were saved, and whether others would have been better.
fn weights(lead: Element, training: &Training) -> Element {
    let state = training.state;
    let end = or_dash(state["epoch"].as_f64(), epoch);
    let Some(best) = best(state) else {
        return lead.text(format!("The weights are those at the end, after epoch {end}."));
    };
    let (when, metric) = (epoch(best.epoch), metric(state));
    let figure = or_dash(best.figure, |v| fixed(v, 3));
    if training.keeps_best {
        return lead.text(format!(
            "The weights of epoch {when} were kept: their validation {metric}, {figure}, was the best."
        ));
    }
    let lead = lead.text(format!("The weights are those at the end, after epoch {end}"));
    if curves::points(state, &format!("eval_{metric}")).len() < 2 {
        return lead.text(".");
    }
    let at_end = curves::last(state, &format!("eval_{metric}"));
    match when == end || best.figure.is_some_and(|figure| at_end == Some(figure)) {
        true => lead.text(format!(", when validation {metric} was best, too.")),
        false => lead
            .text(format!(". Validation {metric} was best after epoch {when} ({figure}): "))
            .child(with_text("code", "--load-best-model-at-end"))
            .text(" keeps those weights."),
    }
}

fn measured_on(content: &Content) -> Element {
    let heading = element("h1").text("How well ").child(name(content.model)).text(" does on ");
    heading.child(name(names(content.data)))
}

fn tested(content: &Content) -> Element {
    let lead = element("p").class("lead").text("It ");
    let lead = content.measured.iter().fold(lead, |lead, m| reaches(lead, content, m));
    lead.text(".")
}

/// How far chance in the choice of examples moves an accuracy, and what an answer without looking would reach.
fn certainty(measured: &Measured) -> Option<Element> {
    let Labels::Class(ids) = &measured.texts.labels else { return None };
    let accuracy = measured.figure("accuracy")?;
    let most = measured.figures.classes.iter().max_by_key(|class| class.support)?;
    let error = NINETY_PERCENT * (accuracy * (1.0 - accuracy) / ids.len() as f64).sqrt();
    let known = format!(
        "From {} an accuracy is known to ± {} (90 %). Always saying ",
        examples(ids.len()),
        fixed(error, 3)
    );
    let share = percent(most.support as f64 / ids.len() as f64);
    let share = format!(", the most frequent class, would be right for {share}.");
    let class = with_text("bdi", shorten(&most.name, LABEL));
    Some(parts::note(&known).child(class).text(share))
}

/// The figures at a glance.
fn tiles(content: &Content) -> Vec<(String, String)> {
    let measured = content.measured.as_ref();
    let of = |name: &str| {
        (name.to_owned(), or_dash(measured.and_then(|m| m.figure(name)), |v| fixed(v, 3)))
    };
    let loss = (content.metric != "loss").then(|| of("loss"));
    let figures = [of(content.metric)].into_iter().chain(loss).filter(|_| measured.is_some());
    let data = content.data.iter();
    let data = data.map(|part| (format!("{} examples", part.role), grouped(part.examples)));
    let parameters = ("parameters".to_owned(), numbers::count(content.parameters as f64));
    let seconds = content.training.as_ref().and_then(|training| curves::seconds(training.state));
    let time = seconds.map(|seconds| ("of training".to_owned(), duration(seconds)));
    figures.chain(data).chain([parameters]).chain(time).collect()
}
