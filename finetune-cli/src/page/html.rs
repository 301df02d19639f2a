//! Markup that is well formed and escaped by construction: an element opens, closes and escapes by itself.

use std::fmt::{self, Display, Write};

/// An HTML or SVG element.
#[derive(Clone, Debug)]
pub struct Element {
    name: &'static str,
    attributes: String,
    inside: String,
}

/// An empty element.
pub fn element(name: &'static str) -> Element {
    Element { name, attributes: String::new(), inside: String::new() }
}

/// An element with text in it.
pub fn with_text(name: &'static str, text: impl Display) -> Element {
    element(name).text(text)
}

impl Element {
    /// Adds an attribute.
    pub fn attr(mut self, name: &'static str, value: impl Display) -> Self {
        let value = escape(&value.to_string());
        let _ = write!(self.attributes, " {name}=\"{value}\"");
        self
    }

    /// Adds the attribute `class`.
    pub fn class(self, value: impl Display) -> Self {
        self.attr("class", value)
    }

    /// Adds attributes that are coordinates. A value that is no number becomes 0: a misplaced mark can be
    /// seen, a broken picture can't.
    pub fn at(mut self, coordinates: &[(&'static str, f64)]) -> Self {
        for (name, value) in coordinates {
            let _ = write!(self.attributes, " {name}=\"{}\"", coordinate(*value));
        }
        self
    }

    /// Adds text.
    pub fn text(mut self, text: impl Display) -> Self {
        self.inside += &escape(&text.to_string());
        self
    }

    /// Adds an element.
    pub fn child(mut self, child: Element) -> Self {
        let _ = write!(self.inside, "{child}");
        self
    }

    /// Adds elements; an `Option` is none or one.
    pub fn children(self, children: impl IntoIterator<Item = Element>) -> Self {
        children.into_iter().fold(self, Element::child)
    }

    /// Adds text as it is: style and script, which know no escapes. Only text of this program fits the type.
    pub fn raw(mut self, text: &'static str) -> Self {
        self.inside += text;
        self
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, attributes, inside } = self;
        match *name {
            "meta" => writeln!(f, "<meta{attributes}>"),
            // A line each keeps the file readable where white space means nothing.
            "section" | "tr" | "svg" | "figure" | "table" | "details" | "p" => {
                writeln!(f, "<{name}{attributes}>{inside}</{name}>")
            }
            _ => write!(f, "<{name}{attributes}>{inside}</{name}>"),
        }
    }
}

/// A coordinate, to a tenth of a pixel.
pub fn coordinate(value: f64) -> String {
    let tenths = if value.is_finite() { (value * 10.0).round() / 10.0 } else { 0.0 };
    // Adding 0 turns -0 into 0.
    format!("{}", tenths.clamp(-1e6, 1e6) + 0.0)
}

/// Text that can stand between tags and in quotes. Control characters, which HTML forbids, become `�`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
