//! Which columns hold the text and the label.

use std::collections::HashSet;

use super::Options;
use super::error::{Error, Result};
use super::schema::{is_of_lists, list_of};
use super::table::{Cell, Table};

/// The columns that are used, the same in every file of a run.
///
/// Guessing takes the first of these groups of which the file has a member, whatever the case of its letters;
/// two members of the same group are ambiguous, and an error.
///
/// | what | groups, in order |
/// |---|---|
/// | text | the pairs `sentence1`+`sentence2`, `question1`+`question2`, `premise`+`hypothesis`, `question`+`sentence`, `text1`+`text2`, `text_a`+`text_b` |
/// |  | `text` |
/// |  | `sentence`, `content`, `review`, `question`, `premise`, `comment`, `message`, `tweet`, `document`, `body`, `utterance`, `query`, and the first names of the pairs |
/// | its label | `label`, `labels` |
/// |  | `score`, `target`, `class`, `category`, `stars`, `rating`, `sentiment`, `intent`, `topic`, `similarity` |
/// | words, lists | `tokens`, `words`, `form` |
/// | their labels, lists | `ner_tags`; `tags`; `pos_tags`; `upos`; `chunk_tags`; `label`, `labels` |
///
/// A file with both lists is about words, unless it has a text and a label of that, or a text and lists that differ in
/// length: they might be any labels of the text. `--problem-type` and `--label-delimiter` are about texts. Lists that
/// are ambiguous are an error only where there is not a text with its label.
///
/// A column that the user named is no candidate for anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The text column, or the two columns of a pair.
    pub text: Vec<String>,
    /// The label column, if there is one. Without, every data set has
    /// [`Labels::Absent`](super::Labels::Absent).
    pub label: Option<String>,
}

const PAIRS: [[&str; 2]; 6] = [
    ["sentence1", "sentence2"],
    ["question1", "question2"],
    ["premise", "hypothesis"],
    ["question", "sentence"],
    ["text1", "text2"],
    ["text_a", "text_b"],
];

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

/// What words in a list are called.
const WORDS: &[&str] = &["tokens", "words", "form"];

/// What the labels of words are called, each a group of its own: CoNLL-2003 has three of them.
const TAGS: [&[&str]; 5] = [&["ner_tags"], &["tags"], &["pos_tags"], &["upos"], &["chunk_tags"]];

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

/// What a column is for, and the flag that names it.
#[derive(Clone, Copy)]
struct Role {
    what: &'static str,
    flag: &'static str,
}

const TEXT: Role = Role { what: "text", flag: "--text-column" };
const LABEL: Role = Role { what: "label", flag: "--label-column" };

impl Columns {
    /// The columns that `options` names, and guesses for those that it does not.
    ///
    /// # Errors
    /// When a named column is not there, or nothing or more than one thing could be the text or the label. A
    /// label that cannot be found is left out; [`Schema::infer`](super::Schema::infer) insists on it.
    pub fn choose(table: &Table, options: &Options) -> Result<Self> {
        let named = options.label_column.as_deref();
        let named = named.map(|name| find(table, name, LABEL)).transpose()?;
        let wanted = options.text_columns.as_ref();
        let wanted = wanted.map(|wanted| find_texts(table, wanted)).transpose()?;
        let is_open = options.problem_type.is_none() && options.label_delimiter.is_none();
        if !is_open {
            return Self::of_texts(table, wanted, named);
        }
        match guess_words(table, wanted.as_deref(), named.as_ref()) {
            Ok(Some(words)) if goes_first(table, &words, wanted.as_deref(), named.as_ref()) => {
                words.distinct()
            }
            Ok(_) => Self::of_texts(table, wanted, named),
            Err(ambiguous) => {
                let texts = Self::of_texts(table, wanted, named).ok();
                texts.filter(|columns| columns.label.is_some()).ok_or(ambiguous)
            }
        }
    }

    /// The columns of texts and of their label.
    fn of_texts(table: &Table, text: Option<Vec<String>>, label: Option<String>) -> Result<Self> {
        let names: Vec<&str> = table.columns().iter().map(|column| column.name.as_str()).collect();
        let text = match text {
            Some(text) => text,
            None => guess_texts(table, &without(&names, label.as_slice()))?,
        };
        let label = match label {
            Some(name) => Some(name),
            None => guess(table, &without(&names, &text), &LABELS, LABEL)?,
        };
        Self { text, label }.distinct()
    }

    /// Whether these are words and their labels: both columns hold lists.
    pub(super) fn are_words(&self, table: &Table) -> bool {
        let both = [self.text.as_slice(), self.label.as_slice()].concat();
        both.len() == 2 && self.label.is_some() && both.iter().all(|name| holds_lists(table, name))
    }

    /// Whether the lists of each row are as long as each other.
    fn are_of_one_length(&self, table: &Table) -> bool {
        let cells = |name: &String| table.column(name).map_or(&[][..], |column| &column.cells);
        let Some(label) = &self.label else { return false };
        let length = |cell: &Cell| list_of(cell).map(|items| items.len());
        let mut rows = cells(&self.text[0]).iter().zip(cells(label));
        rows.all(|(words, labels)| length(words) == length(labels))
    }

    /// The text columns alone, for a file that is to be labelled: whatever else is in it does not matter.
    ///
    /// # Errors
    /// When a named column is not there, or nothing or more than one thing could be the text.
    pub fn of_text(table: &Table, options: &Options) -> Result<Self> {
        let names: Vec<&str> = table.columns().iter().map(|column| column.name.as_str()).collect();
        let text = match &options.text_columns {
            Some(wanted) => find_texts(table, wanted)?,
            None => guess_texts(table, &names)?,
        };
        Self { text, label: None }.distinct()
    }

    /// Whether `table` has the column `name` (the case may differ).
    pub fn has(table: &Table, name: &str) -> bool {
        find(table, name, TEXT).is_ok()
    }

    fn distinct(self) -> Result<Self> {
        let mut used = HashSet::new();
        match self.text.iter().chain(&self.label).find(|&name| !used.insert(name)) {
            Some(name) => Err(Error::SameColumn { name: name.clone() }),
            None => Ok(self),
        }
    }

    /// The same columns under the names that `table` has for them (the case may differ).
    ///
    /// # Errors
    /// When a text column is not there, or two names that differ in case alone are one column here. A missing label
    /// column becomes `None`: a file to predict on.
    pub fn within(&self, table: &Table) -> Result<Self> {
        let text = find_texts(table, &self.text)?;
        let label = self.label.as_deref().and_then(|name| find(table, name, LABEL).ok());
        Self { text, label }.distinct()
    }

    /// Checks that `table` has the label column.
    pub(super) fn require_label(&self, table: &Table) -> Result<()> {
        match &self.label {
            Some(name) => find(table, name, LABEL).map(drop),
            None => Err(no_label(table)),
        }
    }
}

/// The error of a file without labels where there must be some.
pub(super) fn no_label(table: &Table) -> Error {
    not_found(table, LABEL)
}

/// The columns of `names` that are not in `taken`.
fn without<'a>(names: &[&'a str], taken: &[String]) -> Vec<&'a str> {
    names.iter().copied().filter(|name| !taken.iter().any(|taken| taken == name)).collect()
}

/// The column of this name: exactly, or the only one that differs in case alone.
fn find(table: &Table, name: &str, role: Role) -> Result<String> {
    if table.column(name).is_some() {
        return Ok(name.into());
    }
    let columns = names_of(table);
    let same: Vec<&String> = columns.iter().filter(|other| same_name(other, name)).collect();
    if let [only] = same[..] {
        return Ok(only.clone());
    }
    let (path, name) = (table.path().into(), name.into());
    Err(Error::NoSuchColumn { path, name, flag: role.flag, columns })
}

fn find_texts(table: &Table, wanted: &[String]) -> Result<Vec<String>> {
    if wanted.is_empty() || wanted.len() > 2 {
        return Err(Error::TextColumnCount { found: wanted.len() });
    }
    wanted.iter().map(|name| find(table, name, TEXT)).collect()
}

/// The columns of words and of their labels, both of lists; none if the file has no such two. Named columns are taken
/// as they are.
fn guess_words(
    table: &Table,
    text: Option<&[String]>,
    label: Option<&String>,
) -> Result<Option<Columns>> {
    let lists = lists_of(table);
    let named = label.map_or(&[][..], std::slice::from_ref);
    let text: Vec<String> = match text {
        Some(names) => names.to_vec(),
        None => guess(table, &without(&lists, named), &[WORDS], TEXT)?.into_iter().collect(),
    };
    let groups = [&TAGS[..], &LABELS[..1]].concat();
    let label = match label {
        Some(name) => Some(name.clone()),
        None => guess(table, &without(&lists, &text), &groups, LABEL)?,
    };
    Ok(Some(Columns { text, label }).filter(|columns| columns.are_words(table)))
}

/// Whether words are what a file is about. If it has a text, too, they are if the text has no label of its own, and the
/// lists are as long as each other: they might be any labels of the text.
fn goes_first(
    table: &Table,
    words: &Columns,
    text: Option<&[String]>,
    label: Option<&String>,
) -> bool {
    let names: Vec<&str> = table.columns().iter().map(|column| column.name.as_str()).collect();
    let has = |wanted: &str| names.iter().any(|name| same_name(name, wanted));
    let is_text = text.is_none()
        && (TEXTS.concat().into_iter().any(has)
            || PAIRS.iter().any(|pair| pair.iter().all(|name| has(name))));
    let other = guess(table, &without(&names, &words.text), &LABELS, LABEL).ok().flatten();
    let is_label =
        label.is_none() && other.is_some_and(|other| words.label.as_ref() != Some(&other));
    !is_text || (!is_label && words.are_of_one_length(table))
}

/// The columns that hold lists.
fn lists_of(table: &Table) -> Vec<&str> {
    let names = table.columns().iter().map(|column| column.name.as_str());
    names.filter(|name| holds_lists(table, name)).collect()
}

/// Whether a column holds lists, in every row that has something in it.
fn holds_lists(table: &Table, name: &str) -> bool {
    table.column(name).is_some_and(|column| is_of_lists(&column.cells))
}

fn guess_texts(table: &Table, names: &[&str]) -> Result<Vec<String>> {
    let has = |wanted: &str| names.iter().any(|name| same_name(name, wanted));
    let pairs: Vec<_> = PAIRS.iter().filter(|pair| pair.iter().all(|name| has(name))).collect();
    let texts = match pairs[..] {
        [] => vec![match guess(table, names, &TEXTS, TEXT)? {
            Some(text) => Some(text),
            None => guess(table, &lists_of(table), &[WORDS], TEXT)?,
        }],
        [pair] => {
            let one = |name: &&str| guess(table, names, &[&[*name]], TEXT);
            pair.iter().map(one).collect::<Result<_>>()?
        }
        _ => {
            let candidates = pairs.iter().map(|pair| pair.join("+")).collect();
            return Err(ambiguous(table, TEXT, candidates));
        }
    };
    texts.into_iter().map(|text| text.ok_or_else(|| not_found(table, TEXT))).collect()
}

/// The only member of the first group that has any among `names`.
fn guess(table: &Table, names: &[&str], groups: &[&[&str]], role: Role) -> Result<Option<String>> {
    for group in groups {
        let is_member = |name: &&&str| group.iter().any(|member| same_name(name, member));
        let found: Vec<String> = names.iter().filter(is_member).map(|&name| name.into()).collect();
        match &found[..] {
            [] => {}
            [only] => return Ok(Some(only.clone())),
            _ => return Err(ambiguous(table, role, found)),
        }
    }
    Ok(None)
}

fn not_found(table: &Table, Role { what, flag }: Role) -> Error {
    Error::NoColumn { path: table.path().into(), what, flag, columns: names_of(table) }
}

fn ambiguous(table: &Table, Role { what, flag }: Role, candidates: Vec<String>) -> Error {
    Error::Ambiguous { path: table.path().into(), what, flag, candidates, columns: names_of(table) }
}

fn names_of(table: &Table) -> Vec<String> {
    table.columns().iter().map(|column| column.name.clone()).collect()
}

fn same_name(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}
