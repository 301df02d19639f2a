//! Pages to look at: one HTML file that needs nothing else, neither network nor script.
//!
//! ```text
//! html, svg           elements that escape what is put into them
//! numbers, axis       numbers for people; values to pixels, round ticks
//! table, parts        tables; headings, facts, commands
//! ```
//!
//! What a page tells stands elsewhere: in `select::report` a selection, in `report` a training or an evaluation. Names,
//! labels and texts come from files of others: they reach a page through `html::Element`, which escapes them.

pub mod axis;
pub mod html;
pub mod numbers;
pub mod parts;
pub mod svg;
pub mod table;

use html::{Element, element, with_text};

/// The whole page; `style` is what its sections need beside the style of all pages.
pub fn page(title: &str, style: &'static str, sections: Vec<Element>) -> String {
    let main = element("main").children(sections);
    // After the page: it only adds a button to what is there.
    let script = element("script").raw(include_str!("script.js"));
    let page = element("html").attr("lang", "en").child(head(title, style));
    let page = page.child(element("body").child(main).child(script));
    format!("<!DOCTYPE html>\n{page}\n")
}

fn head(title: &str, style: &'static str) -> Element {
    let meta = |name, content| element("meta").attr("name", name).attr("content", content);
    element("head")
        .child(element("meta").attr("charset", "utf-8"))
        .child(meta("viewport", "width=device-width, initial-scale=1"))
        .child(meta("color-scheme", "light dark"))
        .child(with_text("title", title))
        .child(element("style").raw(include_str!("style.css")).raw(style))
}
