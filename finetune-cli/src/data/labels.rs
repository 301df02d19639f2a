//! Class names and their numbers.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::error::{Error, Result};

/// Names of the C classes, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSet {
    names: Vec<String>,
    ids: HashMap<String, u32>,
    /// Of names in lower case; none for those that are only told apart by case.
    lower: HashMap<String, Option<u32>>,
}

impl LabelSet {
    /// The classes of a saved model: name i is class i.
    ///
    /// # Errors
    /// When a name stands twice.
    pub fn from_names(names: Vec<String>) -> Result<Self> {
        let mut ids = HashMap::with_capacity(names.len());
        let mut lower = HashMap::with_capacity(names.len());
        for (id, name) in (0..).zip(&names) {
            if ids.insert(name.clone(), id).is_some() {
                return Err(Error::DuplicateLabel { name: name.clone() });
            }
            lower.entry(name.to_lowercase()).and_modify(|id| *id = None).or_insert(Some(id));
        }
        Ok(Self { names, ids, lower })
    }

    /// The classes of training labels: integers in numeric order if all are integers as programs write them (`7`,
    /// `7.0`, but not `007`, which is a code), else strings in lexicographic order (of code points), as scikit-learn
    /// and the Hugging Face examples number them.
    pub fn from_training<'a>(labels: impl Iterator<Item = &'a str>) -> Self {
        let distinct: BTreeSet<&str> = labels.collect();
        let integers: Option<BTreeSet<i64>> = distinct.iter().map(|label| integer(label)).collect();
        let names: Vec<String> = match integers {
            Some(integers) => integers.iter().map(i64::to_string).collect(),
            None => distinct.into_iter().map(String::from).collect(),
        };
        Self::from_names(names).expect("names out of a set")
    }

    /// The number of classes, C.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no class.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names, in the order of their numbers.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The first name with control characters, a line break say, which would break the lines in which names are shown.
    pub(super) fn unprintable(&self) -> Option<&str> {
        self.names.iter().map(String::as_str).find(|name| name.contains(char::is_control))
    }

    /// The name of class `id`. Panics when there is no such class.
    pub fn name(&self, id: u32) -> &str {
        &self.names[id as usize]
    }

    /// The class of a label as a file writes it: of exactly this name, or of the only one that differs in case
    /// alone. An integer may be written `2` or `2.0`, and also means `LABEL_2`, the name that transformers gives to a
    /// class without one.
    pub fn id(&self, label: &str) -> Option<u32> {
        let exact = self.ids.get(label).copied();
        let other = || {
            let number = integer(label)?;
            let named = |name: String| self.ids.get(&name).copied();
            named(number.to_string()).or_else(|| named(format!("LABEL_{number}")))
        };
        exact.or_else(other).or_else(|| self.lower.get(&label.to_lowercase()).copied().flatten())
    }

    /// `{"0": name, ..}`, as in a `config.json`.
    pub fn id2label(&self) -> Map<String, Value> {
        let names = self.names.iter().enumerate();
        names.map(|(id, name)| (id.to_string(), name.as_str().into())).collect()
    }

    /// `{name: 0, ..}`, as in a `config.json`.
    pub fn label2id(&self) -> Map<String, Value> {
        self.names.iter().enumerate().map(|(id, name)| (name.clone(), id.into())).collect()
    }
}

/// The finite number that a label is.
pub(super) fn number(label: &str) -> Option<f64> {
    label.parse().ok().filter(|x: &f64| x.is_finite())
}

/// The integer that a label is as programs write it: `2`, `2.0`, `-1`, but neither `02` nor `2e0`, which would lose
/// their spelling.
fn integer(label: &str) -> Option<i64> {
    let digits = label.split_once('.').map_or(label, |(digits, zeros)| {
        let only_zeros = !zeros.is_empty() && zeros.bytes().all(|b| b == b'0');
        if only_zeros { digits } else { label }
    });
    whole(digits).filter(|number| number.to_string() == digits)
}

/// The integer that a label means, however it is written: `2`, `02`, `2.0`, `-1`.
pub(super) fn whole(label: &str) -> Option<i64> {
    /// Above 2^53 an f64 no longer holds every integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let rounded = || number(label).filter(|x| x.fract() == 0.0 && x.abs() <= EXACT);
    label.parse().ok().or_else(|| rounded().map(|x| x as i64))
}
