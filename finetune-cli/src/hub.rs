//! Models by name: folders, and snapshots in the Hugging Face cache.
//!
//! Every `--model` and every candidate of `select` takes a folder, or the name of a model that `hf download` has put
//! into the cache.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of a model: the typed one if it is there, else the snapshot of that name in the cache, else the typed
/// one, which whoever opens it refuses by [`not_found`].
pub fn resolve(typed: &Path) -> PathBuf {
    let snapshot = || cached(typed.to_str()?, &hub());
    let snapshot = if typed.is_dir() { None } else { snapshot() };
    snapshot.unwrap_or_else(|| typed.to_owned())
}

/// What to say of a model that is neither.
pub fn not_found(typed: &Path) -> String {
    format!(
        "{}: no such folder, and no model of that name in the Hugging Face cache; fetch it with `hf download`, or \
         correct the path",
        typed.display()
    )
}

/// Where `huggingface_hub` keeps models.
///
/// Source: <https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables>.
fn hub() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(hub) = variable("HF_HUB_CACHE") {
        return hub;
    }
    let home = variable("HF_HOME").unwrap_or_else(|| {
        let cache = variable("XDG_CACHE_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".cache")))
            .unwrap_or_default();
        cache.join("huggingface")
    });
    home.join("hub")
}

/// The snapshot of a model that `refs/main` names.
fn cached(name: &str, hub: &Path) -> Option<PathBuf> {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('\\');
    if !name.split('/').all(plain) {
        return None;
    }
    let folder = hub.join(format!("models--{}", name.replace('/', "--")));
    let commit = fs::read_to_string(folder.join("refs/main")).ok()?;
    let commit = Some(commit.trim())
        .filter(|c| !c.is_empty() && c.chars().all(|c| c.is_ascii_alphanumeric()))?;
    Some(folder.join("snapshots").join(commit)).filter(|snapshot| snapshot.is_dir())
}

/// The name of the model of which this folder is a snapshot in the cache, if it is one: what [`resolve`] was given.
pub fn name_of(snapshot: &Path) -> Option<String> {
    let mut parts = snapshot.components().rev().map(|part| part.as_os_str());
    let [_commit, snapshots, model] = [parts.next()?, parts.next()?, parts.next()?];
    let name = model.to_str()?.strip_prefix("models--").filter(|_| snapshots == "snapshots")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    Some(name.replacen("--", "/", 1)).filter(|_| name.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_in_the_cache() {
        let hub = tempfile::tempdir().expect("a folder");
        let model = hub.path().join("models--org--name");
        fs::create_dir_all(model.join("snapshots/abc123")).expect("a snapshot");
        fs::create_dir_all(model.join("refs")).expect("refs");
        fs::write(model.join("refs/main"), "abc123\n").expect("a ref");
        let snapshot = model.join("snapshots/abc123");
        assert_eq!(cached("org/name", hub.path()), Some(snapshot.clone()));
        assert_eq!(name_of(&snapshot).as_deref(), Some("org/name"));
        assert_eq!(name_of(&model), None);
        for missing in ["org/other", "../name", "", "org//name"] {
            assert_eq!(cached(missing, hub.path()), None, "{missing}");
        }
        for wrong in ["../../elsewhere", "\n"] {
            fs::write(model.join("refs/main"), wrong).expect("a ref");
            assert_eq!(cached("org/name", hub.path()), None);
        }
    }
}
