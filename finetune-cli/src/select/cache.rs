//! Intermediate results on disk, under names that follow from what they were made of.
//!
//! ```text
//! OUTPUT/cache/states-KEY.safetensors   the pooled states of a model on a sample of texts
//! OUTPUT/cache/evidence-KEY.json        what was measured of a candidate
//! ```
//!
//! A key is the XXH3 hash of the contents: configuration, tokenizer and weights of the model; texts, labels and
//! settings. So a moved model is found again, a changed one is not, and a selection that was broken off goes on
//! by itself. The hash tells files apart, it is no protection against forgery.

use std::fs;
use std::hash::Hasher;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tensor::safetensors;
use xxhash_rust::xxh3::Xxh3;

use crate::select::states::States;
use crate::select::summary::Evidence;

/// Part of every key, as the version of the program is: a new layout of the files, or a new meaning of what is in
/// them, has a new one.
const VERSION: u64 = 5;

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// A hash of contents.
#[derive(Clone)]
pub struct Key(Xxh3);

impl Default for Key {
    fn default() -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self::of_any_version().with(&VERSION.to_le_bytes()).with(version.as_bytes())
    }
}

impl Key {
    /// A hash of no contents yet, and of nothing about the program: for what another version may compare.
    pub fn of_any_version() -> Self {
        Self(Xxh3::new())
    }

    /// The key with more contents behind it; their length counts, so that parts do not run together.
    pub fn with(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The key with the contents of a file behind it.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn with_file(mut self, path: &Path) -> Result<Self> {
        let unreadable = || format!("{}: can't be read", path.display());
        let mut file = fs::File::open(path).with_context(unreadable)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            match file.read(&mut buffer).with_context(unreadable)? {
                0 => return Ok(self.with(b"end of file")),
                n => self.0.update(&buffer[..n]),
            }
        }
    }

    /// The key with all files of a model that decide on its results.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn with_model(self, folder: &Path) -> Result<Self> {
        self.with_files(folder, |name| {
            is_weights(name) || MODEL.contains(&name) || TOKENIZER.contains(&name)
        })
    }

    /// The key with all files of a tokenizer.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn with_tokenizer(self, folder: &Path) -> Result<Self> {
        self.with_files(folder, |name| TOKENIZER.contains(&name))
    }

    fn with_files(self, folder: &Path, matters: fn(&str) -> bool) -> Result<Self> {
        let entries = fs::read_dir(folder);
        let entries = entries.with_context(|| format!("{}: can't be read", folder.display()))?;
        let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        // What is no file, such as a folder or a named pipe, is no model reads.
        let mut files: Vec<PathBuf> = files
            .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(matters))
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        files.iter().try_fold(self, |key, path| {
            let name = path.file_name().unwrap_or_default();
            key.with(name.as_encoded_bytes()).with_file(path)
        })
    }

    /// The hash in hexadecimal digits.
    pub fn digits(&self) -> String {
        format!("{:016x}", self.0.finish())
    }
}

/// Files of a model besides weights and tokenizer.
const MODEL: [&str; 2] = ["config.json", "modules.json"];
/// Files of a tokenizer.
const TOKENIZER: [&str; 6] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "spm.model",
];

/// Files of weights, by how they end, and the lists of them.
const WEIGHTS: [&str; 4] = [".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json"];

fn is_weights(name: &str) -> bool {
    WEIGHTS.iter().any(|end| name.ends_with(end))
}

/// A folder of intermediate results.
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// In this folder, which is made if it is not there.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| {
            format!("{}: can't be written; try another --output", folder.display())
        })?;
        Ok(Self { folder })
    }

    /// The states of this key, if they are there and whole.
    pub fn states(&self, key: &Key, depth: usize, rows: usize) -> Option<States> {
        let mut file = safetensors::File::open(&self.path("states", key, "safetensors")).ok()?;
        States::from_tensors(depth, rows, |name| file.read(name).ok())
    }

    /// Keeps states.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn keep_states(&self, key: &Key, states: &States) -> Result<()> {
        Ok(safetensors::write(&self.path("states", key, "safetensors"), &states.tensors())?)
    }

    /// The evidence of this key, if it is there and whole.
    pub fn evidence(&self, key: &Key) -> Option<Evidence> {
        serde_json::from_slice(&fs::read(self.path("evidence", key, "json")).ok()?).ok()
    }

    /// Keeps evidence.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn keep_evidence(&self, key: &Key, evidence: &Evidence) -> Result<()> {
        let text = serde_json::to_vec_pretty(evidence)?;
        write_whole(&self.path("evidence", key, "json"), &text)
    }

    fn path(&self, what: &str, key: &Key, extension: &str) -> PathBuf {
        self.folder.join(format!("{what}-{}.{extension}", key.digits()))
    }
}

/// Writes a file under a temporary name first, so that what has its name is whole.
///
/// # Errors
/// When it can't be written.
pub fn write_whole(path: &Path, contents: &[u8]) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let write = || {
        fs::write(&partial, contents)?;
        fs::rename(&partial, path)
    };
    write().with_context(|| format!("{}: can't be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_contents_and_their_borders() {
        let key = |parts: &[&str]| {
            parts.iter().fold(Key::default(), |key, part| key.with(part.as_bytes())).digits()
        };
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["a"]), key(&["a", ""]));
    }

    #[test]
    fn a_changed_model_has_another_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = || Key::default().with_model(folder.path()).expect("a key").digits();
        fs::write(folder.path().join("config.json"), "{}").expect("a file");
        let before = key();
        fs::write(folder.path().join("README.md"), "not read").expect("a file");
        assert_eq!(key(), before);
        let mut keys = vec![before];
        for name in [
            "model.safetensors",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "spm.model",
            "added_tokens.json",
        ] {
            fs::write(folder.path().join(name), "weights").expect("a file");
            assert!(!keys.contains(&key()), "{name}");
            keys.push(key());
        }
    }

    #[test]
    fn what_is_kept_comes_back_and_damage_is_a_miss() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(folder.path().join("cache")).expect("a cache");
        let layer = || [vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0, 7.0, 8.0]];
        let states = States { width: 2, layers: vec![layer(), layer()] };
        let key = Key::default().with(b"x");
        assert_eq!(cache.states(&key, 1, 2), None);
        cache.keep_states(&key, &states).expect("written");
        assert_eq!(cache.states(&key, 1, 2), Some(states));
        assert_eq!(cache.states(&key, 2, 2), None);
        assert_eq!(cache.states(&key, 1, 3), None);
        fs::write(cache.path("states", &key, "safetensors"), "damaged").expect("written");
        assert_eq!(cache.states(&key, 1, 2), None);
    }
}
