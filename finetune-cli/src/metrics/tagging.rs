//! Metrics of labels of words.
//!
//! ```text
//! words   Rick          and            Morty          met   Bob
//! tags    B-creative    I-creative     I-creative     O     B-person       two entities, of words 0..3 and 4..5
//! ```
//!
//! An entity is right if its type and both of its ends are. Tags say how a word belongs to one: `B` begins an entity,
//! `I` goes on with it, `E` or `L` ends it, `S` or `U` is one by itself, `O` belongs to none. Where tags break their
//! own rules, as predicted ones do, they are read as by the scorer of CoNLL and by seqeval (which do not know `L` and
//! `U`): what can't go on begins.
//!
//! Source: Tjong Kim Sang and Buchholz, 2000, <https://aclanthology.org/W00-0726>, and their `conlleval`;
//! <https://github.com/chakki-works/seqeval>.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use super::classification::{Counts, averages, classes, single_label};
use super::{Report, check};

/// Words that are one thing, and what kind of thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entity<'a> {
    /// What stands behind the `-` of the tags; `_` if nothing does.
    pub kind: &'a str,
    /// From the first word to behind the last.
    pub words: Range<usize>,
}

/// Whether all tags are those of entities. Others, such as parts of speech, are classes of words.
pub fn are_entities(names: &[String]) -> bool {
    names.iter().all(|name| is_of_entities(name)) && names.iter().any(|name| name != OUTSIDE)
}

/// Whether a tag says how a word belongs to an entity, or that it does not.
pub fn is_of_entities(name: &str) -> bool {
    name == OUTSIDE || Tag::parse(name).is_some()
}

/// The entities of a sentence, in their order, by the tag of each word. A tag that is none of an entity is a type of
/// its own, which neighbours share.
pub fn entities<'a>(tags: &[&'a str]) -> Vec<Entity<'a>> {
    let mut found: Vec<Entity> = Vec::new();
    let mut last: Option<Tag> = None;
    for (word, name) in tags.iter().enumerate() {
        let tag =
            (*name != OUTSIDE).then(|| Tag::parse(name).unwrap_or(Tag { place: 'I', kind: name }));
        if let Some(tag) = tag {
            let goes_on = last.is_some_and(|last| tag.goes_on_with(last));
            match found.last_mut().filter(|_| goes_on) {
                Some(entity) => entity.words.end = word + 1,
                None => found.push(Entity { kind: tag.kind, words: word..word + 1 }),
            }
        }
        last = tag;
    }
    found
}

/// The tag of words that belong to no entity.
const OUTSIDE: &str = "O";

#[derive(Clone, Copy)]
struct Tag<'a> {
    place: char,
    kind: &'a str,
}

impl<'a> Tag<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (place, kind) = name.split_once('-').unwrap_or((name, "_"));
        match place {
            "B" | "I" | "E" | "L" | "S" | "U" => Some(Self { place: place.chars().next()?, kind }),
            _ => None,
        }
    }

    fn goes_on_with(self, last: Self) -> bool {
        self.kind == last.kind
            && matches!(self.place, 'I' | 'E' | 'L')
            && !matches!(last.place, 'E' | 'L' | 'S' | 'U')
    }
}

/// Metrics of the tags of words, a row a sentence; `names` is `[C]`.
///
/// Tags of [entities](are_entities) give `f1`, `precision` and `recall` of entities, `accuracy` of words, then the
/// averages of the three over the types of entities, `_macro` and `_weighted`, and the table by type. Other tags are
/// measured [word by word](super::single_label).
///
/// # Panics
/// When there are no words, the lengths differ or a class is not below C.
pub fn tagging(targets: &[Vec<u32>], predictions: &[Vec<u32>], names: &[String]) -> Report {
    check(targets.len(), predictions.len());
    let [words, predicted] = [targets.concat(), predictions.concat()];
    if !are_entities(names) {
        return single_label(&words, &predicted, names);
    }
    check(words.len(), predicted.len());
    let right = words.iter().zip(&predicted).filter(|(a, b)| a == b).count();
    let by_kind = count(targets, predictions, names);
    let counts: Vec<Counts> = by_kind.values().copied().collect();
    let averages = averages(&counts);
    let average =
        |name: &str| averages.iter().find(|(other, _)| *other == name).map_or(0.0, |a| a.1);
    let mut metrics = vec![
        ("f1", average("f1_micro")),
        ("precision", average("precision_micro")),
        ("recall", average("recall_micro")),
        ("accuracy", right as f64 / words.len() as f64),
    ];
    metrics.extend(averages.iter().copied().filter(|(name, _)| !name.ends_with("_micro")));
    let kinds: Vec<String> = by_kind.keys().map(|kind| (*kind).to_owned()).collect();
    Report { metrics, classes: classes(&kinds, &counts), confusion: None }
}

/// The entities of each type: true ones, predicted ones, and those that are both.
fn count<'a>(
    targets: &[Vec<u32>],
    predictions: &[Vec<u32>],
    names: &'a [String],
) -> BTreeMap<&'a str, Counts> {
    let found = |ids: &[u32]| -> Vec<Entity<'a>> {
        let tags: Vec<&str> = ids.iter().map(|&id| names[id as usize].as_str()).collect();
        entities(&tags)
    };
    let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
    for (target, prediction) in targets.iter().zip(predictions) {
        assert_eq!(target.len(), prediction.len(), "metrics: tags of a sentence");
        let (target, prediction) = (found(target), found(prediction));
        let known: HashSet<&Entity> = target.iter().collect();
        target.iter().for_each(|entity| counts.entry(entity.kind).or_default().target += 1);
        for entity in &prediction {
            let counts = counts.entry(entity.kind).or_default();
            counts.predicted += 1;
            counts.both += u64::from(known.contains(entity));
        }
    }
    counts
}
