//! Which checkpoints are meant: folders, names in the Hugging Face cache, `:N` for the first N layers.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::hub;

/// A candidate as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As typed.
    pub name: String,
    /// The folder, or the name of a model in the cache.
    pub model: String,
    /// The first layers that are used; all if none.
    pub truncate: Option<usize>,
}

impl Request {
    /// Reads `FOLDER`, `NAME`, or either with `:N` behind it.
    pub fn parse(name: &str) -> Self {
        let layers = |(model, n): (&str, &str)| Some((model.to_owned(), n.parse().ok()?));
        let split = name.rsplit_once(':').and_then(layers).filter(|&(_, n): &(_, usize)| n > 0);
        // A folder may be called so.
        let split = split.filter(|_| !Path::new(name).is_dir());
        let (model, truncate) = split.map_or((name.to_owned(), None), |(m, n)| (m, Some(n)));
        Self { name: name.to_owned(), model, truncate }
    }

    /// The same with the first `layers` layers only.
    pub fn truncated(&self, layers: usize) -> Self {
        let model = self.model.clone();
        Self { name: format!("{model}:{layers}"), model, truncate: Some(layers) }
    }

    /// What is meant, under whatever name: the folder, if it is there, and its layers.
    pub fn meaning(&self) -> (PathBuf, Option<usize>) {
        let folder = self.folder().ok().and_then(|folder| fs::canonicalize(folder).ok());
        (folder.unwrap_or_else(|| self.model.clone().into()), self.truncate)
    }

    /// The folder: the typed one, or the snapshot in the cache of `hf download`.
    ///
    /// # Errors
    /// When neither is there.
    pub fn folder(&self) -> Result<PathBuf> {
        let folder = hub::resolve(Path::new(&self.model));
        match folder.is_dir() {
            true => Ok(folder),
            false => bail!(hub::not_found(&folder)),
        }
    }
}

/// The candidates of the flags and of the file, each once, in their order. A folder under two names is one.
///
/// # Errors
/// When the file can't be read, or there is no candidate.
pub fn requests(typed: &[String], file: Option<&Path>) -> Result<Vec<Request>> {
    let listed = file.map(read_list).transpose()?.unwrap_or_default();
    let mut known = HashSet::new();
    let all = typed.iter().chain(&listed).map(|name| Request::parse(name));
    let requests: Vec<Request> = all.filter(|request| known.insert(request.meaning())).collect();
    match requests.is_empty() {
        true => bail!("no candidates; give --models, or a --models-file with a line for each"),
        false => Ok(requests),
    }
}

fn read_list(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("--models-file {}: can't be read", path.display()))?;
    let lines = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    let named = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(named.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_stand_behind_a_colon() {
        let parsed = |name| {
            let request = Request::parse(name);
            (request.model, request.truncate)
        };
        assert_eq!(parsed("models/a"), ("models/a".into(), None));
        assert_eq!(parsed("models/a:3"), ("models/a".into(), Some(3)));
        for whole in ["a:0", "a:", "C:\\models", "a:b"] {
            assert_eq!(parsed(whole), (whole.into(), None));
        }
        assert_eq!(Request::parse("a:5").truncated(2), Request::parse("a:2"));
    }

    #[test]
    fn a_list_has_remarks_and_no_doubles() {
        let folder = tempfile::tempdir().expect("a folder");
        let list = folder.path().join("models.txt");
        fs::write(&list, "# mine\na\n\nb # large\n a \n").expect("a list");
        let names = |typed: &[String]| -> Vec<String> {
            let all = requests(typed, Some(&list)).expect("candidates");
            all.into_iter().map(|request| request.name).collect()
        };
        assert_eq!(names(&["b".into()]), ["b", "a"]);
        let place = folder.path().display();
        let typed = [format!("{place}"), format!("{place}/."), format!("{place}:1")];
        assert_eq!(names(&typed), [typed[0].as_str(), typed[2].as_str(), "a", "b"]);
        assert!(requests(&[], None).is_err());
    }
}
