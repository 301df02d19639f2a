//! The choice in a sentence, how sure it is, and what to run next.

use super::rows::Row;
use crate::memory;
use crate::page::html::{Element, element, with_text};
use crate::page::numbers::{self, NONE, decimal, duration, fixed, grouped, or_dash, times};
use crate::page::parts;
use crate::select::summary::Summary;

/// Names at most in a sentence.
const NAMED: usize = 3;

/// Standard deviations on either side that hold 90 % of a normal distribution.
const NINETY_PERCENT: f64 = 1.645;

/// The top of the page.
pub fn section(summary: &Summary, rows: &[Row]) -> Element {
    let part = element("section").class("headline").attr("id", "choice");
    let part = part.child(with_text("p", "finetune select").class("eyebrow"));
    match rows.iter().find(|row| row.rank.is_some()) {
        Some(first) => part.children(choice(summary, rows, first)).children(command(summary)),
        None => part.children(nothing(rows)),
    }
}

fn nothing(rows: &[Row]) -> [Element; 2] {
    let reason = match rows.len() {
        0 => "There were no candidates.".to_owned(),
        n => format!("Of {} none could be scored; the table says why.", times(n, "candidate")),
    };
    [with_text("h1", "No starting point was found"), with_text("p", reason).class("lead")]
}

fn choice(summary: &Summary, rows: &[Row], first: &Row) -> Vec<Element> {
    let heading = with_text("h1", "Start from ").child(first.mark());
    let sentence = format!("{}; {}.", measure(summary, rows, first), certainty(rows, first));
    let lead = element("p").class("lead").child(first.mark()).text(" ").text(sentence);
    let doubt = sampling(summary, rows, first).map(|text| with_text("p", text).class("note"));
    let parts = [Some(heading), Some(lead), doubt, tiles(summary, first)];
    parts.into_iter().flatten().collect()
}

/// What stands behind the choice.
fn measure(summary: &Summary, rows: &[Row], first: &Row) -> String {
    let tried = rows.iter().filter(|row| row.metric().is_some()).count();
    if let Some(metric) = first.metric() {
        let (name, held) = (&summary.task.metric, summary.task.validation_rows);
        let measured = format!("reached {name} {} on {}", fixed(metric, 3), times(held, "row"));
        return match tried {
            1 => format!("{measured} held out, the only candidate that was fine-tuned"),
            n => format!("{measured} held out, first of {n} candidates that were fine-tuned"),
        };
    }
    match first.score() {
        Some(score) => format!(
            "has an estimated score of {} in 100 (90 % interval {} to {}), not yet checked by fine-tuning",
            fixed(score.value, 0),
            fixed(score.low, 0),
            fixed(score.high, 0)
        ),
        None => "stands first, though it has no score".to_owned(),
    }
}

/// With whom the choice is tied, as far as the estimates tell.
fn certainty(rows: &[Row], first: &Row) -> String {
    let scored: Vec<&Row> =
        rows.iter().filter(|r| r.rank.is_some() && r.score().is_some()).collect();
    let value = |row: &Row| row.score().map_or(f64::NEG_INFINITY, |score| score.value);
    let best = scored.iter().map(|row| value(row)).fold(f64::NEG_INFINITY, f64::max);
    let among = |row: &Row| row.tied || value(row) == best;
    let (inside, others): (Vec<&Row>, Vec<&Row>) = scored.into_iter().partition(|row| among(row));
    let rivals: Vec<&str> =
        inside.iter().filter(|r| r.rank != first.rank).map(|row| row.name).collect();
    match (among(first), rivals.is_empty(), others.is_empty()) {
        (_, true, true) => "nothing else was scored".to_owned(),
        (true, true, false) => "the estimates set it apart from all others".to_owned(),
        (true, false, _) => format!("the estimates can't tell it from {}", list(&rivals)),
        (false, ..) => format!("by estimates alone, it would come after {}", list(&rivals)),
    }
}

/// `a`, `a and b`, `a, b, c and 4 more`.
fn list(names: &[&str]) -> String {
    // "1 more" would take the room of the name.
    let room = if names.len() == NAMED + 1 { NAMED + 1 } else { NAMED };
    let (named, left) = names.split_at(names.len().min(room));
    let more = (!left.is_empty()).then(|| format!("{} more", left.len()));
    let mut parts: Vec<String> = named.iter().map(|name| (*name).to_owned()).chain(more).collect();
    let last = parts.pop().unwrap_or_default();
    if parts.is_empty() { last } else { format!("{} and {last}", parts.join(", ")) }
}

/// How far chance in the choice of validation rows moves an accuracy, if there is one to compare with.
fn sampling(summary: &Summary, rows: &[Row], first: &Row) -> Option<String> {
    let held = summary.task.validation_rows;
    let metric = first.metric().filter(|m| (0.0..=1.0).contains(m))?;
    let tried: Vec<&Row> =
        rows.iter().filter(|row| row.rank != first.rank && row.metric().is_some()).collect();
    if summary.task.metric != "accuracy" || held == 0 || tried.is_empty() {
        return None;
    }
    let error = NINETY_PERCENT * (metric * (1.0 - metric) / held as f64).sqrt();
    let close = tried.iter().filter(|row| row.metric().is_some_and(|m| metric - m < error));
    let names: Vec<&str> = close.map(|row| row.name).collect();
    let known =
        format!("On {} an accuracy is known to ± {} (90 %)", times(held, "row"), fixed(error, 3));
    Some(match names.is_empty() {
        true => format!("{known}; the others that were fine-tuned are further behind."),
        false => format!("{known}: {} may be as good.", list(&names)),
    })
}

/// The figures of the choice.
fn tiles(summary: &Summary, first: &Row) -> Option<Element> {
    let cost = &first.evidence()?.cost;
    let epochs = times(summary.task.epochs as usize, "epoch");
    let score = first.score().map_or(NONE.to_owned(), |score| fixed(score.value, 0));
    let several = summary.task.learning_rates.len() > 1;
    let rate = first.learning_rate().filter(|_| several);
    let tiles = [
        (summary.task.metric.clone(), or_dash(first.metric(), decimal)),
        ("learning rate".to_owned(), or_dash(rate, |rate| format!("{rate:e}"))),
        ("score of 100".to_owned(), score),
        ("parameters".to_owned(), numbers::count(cost.parameters as f64)),
        (format!("projected for {epochs}"), or_dash(cost.projected_seconds, duration)),
        ("projected memory".to_owned(), memory::human(cost.projected_memory)),
        ("rows to train on".to_owned(), grouped(summary.task.train_rows)),
    ];
    let shown = tiles.into_iter().filter(|(_, value)| value != NONE);
    Some(parts::tiles(shown))
}

fn command(summary: &Summary) -> Option<Element> {
    summary.command.as_ref().map(|command| parts::command("Run next", command))
}
