//! The columns that a user did not name, by what they are called. The rules are those of [`Columns`].
//!
//! ```text
//! texts            the columns of TEXT_PAIRS or TEXTS, and of LABELS
//! words            the columns of WORDS and TAGS (or `label`) that hold lists
//! words or texts   words, unless the file has a text that seems to be what it is about
//! ```

use super::columns::{Columns, LABEL, Role, TEXT, ambiguous, holds_lists, not_found, same_name};
use super::error::Result;
use super::table::Table;

/// What both texts of a pair are called.
const TEXT_PAIRS: [[&str; 2]; 6] = [
    ["sentence1", "sentence2"],
    ["question1", "question2"],
    ["premise", "hypothesis"],
    ["question", "sentence"],
    ["text1", "text2"],
    ["text_a", "text_b"],
];

/// What texts are called, in groups of which the first comes first.
const TEXTS: [&[&str]; 2] = [
    &["text"],
    &[
        "sentence",
        "content",
        "review",
        "question",
        "premise",
        "comment",
        "message",
        "tweet",
        "document",
        "body",
        "utterance",
        "query",
        "sentence1",
        "question1",
        "text1",
        "text_a",
    ],
];

/// What labels of texts are called, likewise.
const LABELS: [&[&str]; 2] = [
    &["label", "labels"],
    &[
        "score",
        "target",
        "class",
        "category",
        "stars",
        "rating",
        "sentiment",
        "intent",
        "topic",
        "similarity",
    ],
];

/// What words in a list are called.
const WORDS: [&[&str]; 1] = [&["tokens", "words", "form"]];

/// What the labels of words are called, nearly each a group of its own: CoNLL-2003 has three of them.
const TAGS: [&[&str]; 6] =
    [&["ner_tags"], &["tags"], &["pos_tags"], &["upos"], &["chunk_tags"], LABELS[0]];

/// A table, and the columns that the user named, by their names in it; the others are to be guessed.
pub(super) struct Guess<'a> {
    pub(super) table: &'a Table,
    pub(super) text: Option<Vec<String>>,
    pub(super) label: Option<String>,
}

impl Guess<'_> {
    /// Words and their labels if the file is about those, else texts and their label.
    ///
    /// # Errors
    /// When nothing could be the text, or more than one thing could have a role.
    pub(super) fn words_or_texts(&self) -> Result<Columns> {
        match self.words() {
            Ok(Some(words)) if self.is_about(&words) => Ok(words),
            Ok(_) => self.texts(),
            // Which lists are meant is no question beside a text with its label.
            Err(ambiguous) => {
                let texts = self.texts().ok();
                texts.filter(|texts| texts.label.is_some()).ok_or(ambiguous)
            }
        }
    }

    /// Texts and their label, if they have one.
    ///
    /// # Errors
    /// As [`words_or_texts`](Self::words_or_texts).
    pub(super) fn texts(&self) -> Result<Columns> {
        let text = self.text()?;
        let label = match &self.label {
            Some(label) => Some(label.clone()),
            None => self.first_of(&LABELS, &self.names_but(&text), LABEL)?,
        };
        Ok(Columns { text, label })
    }

    /// The text column, or the two of a pair.
    ///
    /// # Errors
    /// As [`words_or_texts`](Self::words_or_texts).
    pub(super) fn text(&self) -> Result<Vec<String>> {
        if let Some(text) = &self.text {
            return Ok(text.clone());
        }
        let names = self.names_but(self.label.as_slice());
        let found: Option<Vec<String>> = match &pairs_in(&names)[..] {
            [] => self.single_text(&names)?.map(|text| vec![text]),
            [pair] => {
                let column = |name: &&str| self.first_of(&[&[*name]], &names, TEXT);
                pair.iter().map(column).collect::<Result<_>>()?
            }
            several => {
                let candidates = several.iter().map(|pair| pair.join("+")).collect();
                return Err(ambiguous(self.table, TEXT, candidates));
            }
        };
        found.ok_or_else(|| not_found(self.table, TEXT))
    }

    /// The text column among these; in a file without one, words are a text.
    fn single_text(&self, names: &[&str]) -> Result<Option<String>> {
        match self.first_of(&TEXTS, names, TEXT)? {
            Some(text) => Ok(Some(text)),
            None => self.first_of(&WORDS, &self.lists_but(&[]), TEXT),
        }
    }

    /// Words and their labels; none if the file has no two such columns of lists.
    fn words(&self) -> Result<Option<Columns>> {
        let text = match &self.text {
            Some(text) => text.clone(),
            None => {
                let lists = self.lists_but(self.label.as_slice());
                self.first_of(&WORDS, &lists, TEXT)?.into_iter().collect()
            }
        };
        let label = match &self.label {
            Some(label) => Some(label.clone()),
            None => self.first_of(&TAGS, &self.lists_but(&text), LABEL)?,
        };
        Ok(Some(Columns { text, label }).filter(|columns| columns.are_words(self.table)))
    }

    /// Whether a file that has these words is about them: it has no text; or the text has no label of its own, and the
    /// lists are as long as each other, so that they are not just any labels of the text.
    fn is_about(&self, words: &Columns) -> bool {
        !self.has_text() || (!self.has_label_beside(words) && words.are_of_one_length(self.table))
    }

    /// Whether a column could be a text, where the user named none.
    fn has_text(&self) -> bool {
        let names = self.names_but(&[]);
        let is_there = |name: &&str| has(&names, name);
        self.text.is_none() && (TEXTS.concat().iter().any(is_there) || !pairs_in(&names).is_empty())
    }

    /// Whether a column other than these could be the label of a text, where the user named none.
    fn has_label_beside(&self, words: &Columns) -> bool {
        let found = self.first_of(&LABELS, &self.names_but(&words.text), LABEL);
        self.label.is_none() && found.is_ok_and(|label| label.is_some() && label != words.label)
    }

    /// The column that the first group with any among `names` has there; it must be the only one.
    fn first_of(&self, groups: &[&[&str]], names: &[&str], role: Role) -> Result<Option<String>> {
        for group in groups {
            let mut found: Vec<String> =
                names.iter().filter(|name| has(group, name)).map(|&name| name.into()).collect();
            match found.len() {
                0 => {}
                1 => return Ok(found.pop()),
                _ => return Err(ambiguous(self.table, role, found)),
            }
        }
        Ok(None)
    }

    /// The names of all columns but some.
    fn names_but(&self, taken: &[String]) -> Vec<&str> {
        let names = self.table.columns().iter().map(|column| column.name.as_str());
        names.filter(|name| !taken.iter().any(|taken| taken == name)).collect()
    }

    /// The names of all columns of lists but some.
    fn lists_but(&self, taken: &[String]) -> Vec<&str> {
        let mut names = self.names_but(taken);
        names.retain(|name| holds_lists(self.table, name));
        names
    }
}

/// The pairs of which both names are among these.
fn pairs_in(names: &[&str]) -> Vec<&'static [&'static str; 2]> {
    TEXT_PAIRS.iter().filter(|pair| pair.iter().all(|name| has(names, name))).collect()
}

/// Whether a name is among these, in any case.
fn has(names: &[&str], name: &str) -> bool {
    names.iter().any(|other| same_name(other, name))
}
