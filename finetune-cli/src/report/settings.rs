//! How it was made: flags, sizes, times.

use super::{Content, Flag, Training, curves};
use crate::page::html::{Element, element, with_text};
use crate::page::numbers::{count, duration, grouped, or_dash};
use crate::page::parts::{self, fact, labels};

/// The foot of the page.
pub fn section(content: &Content) -> Element {
    let task = content.task;
    let of_data = content.data.iter().map(|part| {
        let text = format!("{}, {}", part.name, super::headline::examples(part.examples));
        (format!("{} data", crate::page::numbers::capital(part.role)), text)
    });
    let first = [("Model".to_owned(), content.model.to_owned())];
    let parameters = ("Parameters".to_owned(), grouped(content.parameters));
    let training = content.training.as_ref().map_or(Vec::new(), of_training);
    let facts = first.into_iter().chain(of_data).chain([parameters]).chain(training);
    let facts = facts.map(|(name, value)| fact(&name, with_text("dd", value)));
    let names = task.label_set().map(|set| fact("Labels", labels(set.names())));
    let list = element("dl").class("facts").children(facts).children(names);
    let flags = content.training.as_ref().map(|training| flags(&training.flags));
    parts::section("settings", "How it was made").child(list).children(flags)
}

fn of_training(training: &Training) -> Vec<(String, String)> {
    let state = training.state;
    let number = |key: &str| state[key].as_f64();
    let steps = match (number("global_step"), number("max_steps")) {
        (Some(done), Some(all)) if done < all => format!("{done} of {all}"),
        (done, _) => or_dash(done, |done| grouped(done as usize)),
    };
    let (seconds, speed) =
        (curves::seconds(state), curves::last(state, "train_samples_per_second"));
    let facts = [
        ("Parameters trained", grouped(training.trained)),
        ("Steps", steps),
        ("Epochs", or_dash(number("epoch"), super::headline::epoch)),
        ("Training took", or_dash(seconds, duration)),
        ("Examples a second", or_dash(speed, count)),
    ];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Those that were given, and the others folded.
fn flags(flags: &[Flag]) -> Element {
    let (plain, given): (Vec<&Flag>, Vec<&Flag>) = flags.iter().partition(|flag| flag.is_default);
    let list = |flags: &[&Flag]| {
        let facts = flags.iter().map(|flag| fact(&flag.name, with_text("dd", &flag.value)));
        element("dl").class("facts flags").children(facts)
    };
    let heading = parts::subheading("Flags");
    let note = parts::note(
        "Those of train.toml, which repeats the run with --config. Columns and lengths that were guessed are filled \
         in.",
    );
    let none = given.is_empty().then(|| parts::note("All are the defaults."));
    let others = (!plain.is_empty()).then(|| {
        let text = format!("{} at their defaults", plain.len());
        element("details").child(with_text("summary", text)).child(list(&plain))
    });
    element("div").child(heading).child(note).children(none).child(list(&given)).children(others)
}
