//! What sections are made of: headings, notes, facts, figures, a command to copy.

use super::html::{Element, element, with_text};

/// Labels at most before they are folded.
const LABELS: usize = 12;

/// A section with its heading.
pub fn section(id: &'static str, heading: &str) -> Element {
    element("section").attr("id", id).child(with_text("h2", heading))
}

/// An explanation under a heading.
pub fn note(text: &str) -> Element {
    with_text("p", text).class("note")
}

/// A heading within a section.
pub fn subheading(text: &str) -> Element {
    with_text("h3", text)
}

/// Names with their figures, side by side.
pub fn tiles(tiles: impl IntoIterator<Item = (String, String)>) -> Element {
    let tile =
        |(name, value)| element("div").child(with_text("dt", name)).child(with_text("dd", value));
    element("dl").class("tiles").children(tiles.into_iter().map(tile))
}

/// A name with its value, of a list of facts.
pub fn fact(name: &str, value: Element) -> Element {
    element("div").child(with_text("dt", name)).child(value)
}

/// All labels as the value of a fact; many are folded.
pub fn labels(labels: &[String]) -> Element {
    let all = labels.join(", ");
    match labels.len() {
        0 => with_text("dd", super::numbers::NONE),
        n if n <= LABELS => with_text("dd", all),
        n => {
            let folded = element("details").child(with_text("summary", format!("{n} labels")));
            element("dd").child(folded.text(all))
        }
    }
}

/// A command under its heading, with room for the button that copies it.
pub fn command(heading: &str, command: &str) -> Element {
    let code = element("pre").attr("tabindex", "0").child(with_text("code", command));
    let code = element("div").class("command").child(code);
    element("div").child(with_text("h2", heading)).child(code)
}
