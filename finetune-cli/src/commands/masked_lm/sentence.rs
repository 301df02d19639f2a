//! What sentence-transformers keeps beside the weights of an encoder: how states become the vector of a sentence, and
//! how long a text may be.
//!
//! `adapt` changes weights and nothing of this, so that the files go over as they are.

use std::fs;
use std::path::{Component, Path};

use anyhow::{Context, Result};
use serde_json::Value;

/// The list of the modules, each with its folder.
const MODULES: &str = "modules.json";
const SETTINGS: [&str; 2] = ["sentence_bert_config.json", "config_sentence_transformers.json"];

/// Copies these files and the folders of the modules, if `from` is a folder of sentence-transformers.
///
/// # Errors
/// When one can't be read or written.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let Some(list) = bert::read_text(&from.join(MODULES))? else { return Ok(()) };
    for name in [MODULES].into_iter().chain(SETTINGS) {
        if from.join(name).is_file() {
            copy_file(&from.join(name), &to.join(name))?;
        }
    }
    let folders = folders(&list);
    folders.iter().try_for_each(|name| copy_folder(&from.join(name), &to.join(name)))
}

/// The folders of the modules beside the encoder, whose own path is empty. Those outside are left where they are.
fn folders(list: &str) -> Vec<String> {
    let modules: Vec<Value> = serde_json::from_str(list).unwrap_or_default();
    let paths = modules.iter().filter_map(|module| module["path"].as_str());
    let inside = |path: &&str| {
        let mut parts = Path::new(path).components();
        matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
    };
    paths.filter(inside).map(str::to_owned).collect()
}

/// Copies the files of a folder; that of a module without settings may not be there.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    fs::create_dir_all(to).with_context(|| format!("{}: can't be made", to.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("{}: can't be read", from.display()))?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            copy_file(&path, &to.join(name))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let copied = fs::copy(from, to).map(drop);
    copied.with_context(|| format!("{}: can't be copied to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_modules_are_inside() {
        let list = r#"[{"path": ""}, {"path": "1_Pooling"}, {"path": "../x"}, {"path": "/etc"}, {"path": "a/b"},
            {"idx": 3}]"#;
        assert_eq!(folders(list), ["1_Pooling"]);
        assert!(folders("{").is_empty());
    }
}
