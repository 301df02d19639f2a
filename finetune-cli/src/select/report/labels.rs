//! Names in a chart that keep clear of each other and of the dots.

use crate::page::html::{Element, element};
use crate::page::numbers::shorten;
use crate::page::svg;

/// A rectangle: left, top, right, bottom.
pub type Area = (f64, f64, f64, f64);

/// Letters of a name at most, and the pixels that a letter and a line of them take at most.
const LETTERS: usize = 30;
const LETTER: (f64, f64) = (6.4, 14.0);

/// From a dot to its name.
const GAP: f64 = 9.0;

/// Names so far above or below their dot have a line to it.
const FAR: f64 = 20.0;

/// Where a name can stand: right of its dot, and how far below its middle. A line through dots that leads
/// upwards leaves the left and the upper side free.
const SPOTS: [(bool, f64); 10] = [
    (false, 4.0),
    (false, -9.0),
    (true, -9.0),
    (true, 17.0),
    (false, 17.0),
    (true, 4.0),
    (false, -23.0),
    (true, -23.0),
    (false, -38.0),
    (true, -38.0),
];

/// What is taken: dots, and the names that were placed.
#[derive(Clone, Debug)]
pub struct Labels {
    taken: Vec<Area>,
    paper: Area,
}

impl Labels {
    /// Names on a paper with dots on it.
    pub fn around(dots: impl Iterator<Item = (f64, f64)>, paper: Area) -> Self {
        let area = |(x, y): (f64, f64)| (x - 4.0, y - 4.0, x + 4.0, y + 4.0);
        Self { taken: dots.map(area).collect(), paper }
    }

    /// The name of a dot; none if there is no room for it.
    pub fn place(&mut self, dot: (f64, f64), name: &str) -> Option<Element> {
        let name = shorten(name, LETTERS);
        let width = name.chars().count() as f64 * LETTER.0;
        let free = |spot: &&(bool, f64)| self.is_free(area(dot, width, **spot));
        let &(right, shift) = SPOTS.iter().find(free)?;
        self.taken.push(area(dot, width, (right, shift)));
        let (class, x) = match right {
            true => ("start name", dot.0 + GAP),
            false => ("end name", dot.0 - GAP),
        };
        let end = (x, dot.1 + shift - 3.0);
        let leader = (shift.abs() > FAR).then(|| svg::line("leader", dot, end));
        let text = svg::label(class, (x, dot.1 + shift), &name);
        Some(element("g").children(leader).child(text))
    }

    fn is_free(&self, area: Area) -> bool {
        let paper = self.paper;
        let inside =
            area.0 >= paper.0 && area.1 >= paper.1 && area.2 <= paper.2 && area.3 <= paper.3;
        inside && !self.taken.iter().any(|other| overlap(&area, other))
    }
}

/// What a name takes.
fn area((x, y): (f64, f64), width: f64, (right, shift): (bool, f64)) -> Area {
    let (top, bottom) = (y + shift - LETTER.1 + 3.0, y + shift + 3.0);
    match right {
        true => (x + GAP, top, x + GAP + width, bottom),
        false => (x - GAP - width, top, x - GAP, bottom),
    }
}

fn overlap(a: &Area, b: &Area) -> bool {
    a.0 < b.2 && b.0 < a.2 && a.1 < b.3 && b.1 < a.3
}
