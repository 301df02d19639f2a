//! Tables that can be wider than the page, with long ones folded.

use super::html::{Element, element, with_text};

/// Rows that are shown before the others are folded.
const SHOWN: usize = 40;

/// A table without its rows.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its class in the style.
    pub class: &'static str,
    /// What it shows, for those who can't see it.
    pub text: &'static str,
    /// Its head.
    pub head: Element,
}

impl Table {
    /// With all rows.
    pub fn whole(&self, rows: &[Element]) -> Element {
        let caption = with_text("caption", self.text).class("hidden");
        let body = element("tbody").children(rows.iter().cloned());
        let table = element("table").class(self.class).child(caption);
        let table = table.child(self.head.clone()).child(body);
        let scroll = element("div").class("scroll").attr("tabindex", "0").attr("role", "region");
        scroll.attr("aria-label", self.text).child(table)
    }

    /// With the first rows, and the others below where they can be unfolded.
    pub fn folded(&self, rows: &[Element]) -> Element {
        self.folded_behind(SHOWN, rows)
    }

    /// Likewise, with so many rows.
    pub fn folded_behind(&self, shown: usize, rows: &[Element]) -> Element {
        let (shown, others) = rows.split_at(rows.len().min(shown));
        let others = (!others.is_empty()).then(|| {
            let summary = with_text("summary", format!("{} more", others.len()));
            element("details").child(summary).child(self.whole(others))
        });
        element("div").child(self.whole(shown)).children(others)
    }
}

/// The head of a table with a row of column names.
pub fn columns(names: &[&str]) -> Element {
    let cells = names.iter().map(|name| with_text("th", name).attr("scope", "col"));
    element("thead").child(element("tr").children(cells))
}

/// A cell with a number.
pub fn number(text: impl std::fmt::Display) -> Element {
    with_text("td", text).class("number")
}
