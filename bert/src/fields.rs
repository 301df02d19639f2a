//! Reading the keys of a `config.json`, each with its default, its range and a message that names it.

use std::path::Path;

use serde_json::{Map, Value};

use crate::{Error, Result};

/// Characters of a value that a message quotes: a file may hold anything.
const LONGEST_FOUND: usize = 80;

/// The keys of a configuration. A key that is null counts as absent, as in transformers.
pub(crate) struct Fields<'a> {
    pub path: &'a Path,
    pub map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// The error that `key` holds something other than `expected`.
    pub fn unexpected(&self, key: &str, expected: &str, found: impl std::fmt::Display) -> Error {
        let found: String = found.to_string().chars().take(LONGEST_FOUND).collect();
        Error::config(self.path, format!("{key}: expected {expected}, found {found}"))
    }

    /// A whole number in 1..=limit.
    pub fn size(&self, key: &str, default: usize, limit: usize) -> Result<usize> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let size = value.as_u64().and_then(|n| usize::try_from(n).ok());
        size.filter(|n| (1..=limit).contains(n)).ok_or_else(|| {
            self.unexpected(key, &format!("a whole number from 1 to {limit}"), value)
        })
    }

    /// A number in low..high.
    pub fn number(&self, key: &str, default: f64, low: f64, high: f64) -> Result<f64> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let number = value.as_f64().filter(|x| (low..high).contains(x));
        number.ok_or_else(|| self.unexpected(key, &format!("a number in [{low}, {high})"), value))
    }

    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.get(key)
            .map(|v| v.as_str().ok_or_else(|| self.unexpected(key, "a string", v)))
            .transpose()
    }

    pub fn texts(&self, key: &str) -> Result<Vec<String>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let texts = value.as_array().and_then(|list| {
            list.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<_>>()
        });
        texts.ok_or_else(|| self.unexpected(key, "a list of strings", value))
    }

    pub fn object(&self, key: &str) -> Result<Option<&'a Map<String, Value>>> {
        self.get(key)
            .map(|v| v.as_object().ok_or_else(|| self.unexpected(key, "an object", v)))
            .transpose()
    }

    pub fn switch(&self, key: &str, default: bool) -> Result<bool> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.unexpected(key, "true or false", value))
    }

    /// Refuses a switch that is not `wanted`.
    pub fn only(&self, key: &str, wanted: bool, why: &str) -> Result<()> {
        match self.switch(key, wanted)? == wanted {
            true => Ok(()),
            false => Err(self.unexpected(key, &format!("{wanted}, for {why}"), !wanted)),
        }
    }
}
