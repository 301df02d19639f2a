//! Files of a model folder that are no files: what would be waited for, read without end, or is not there.
#![cfg(unix)]

use std::error::Error as _;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use bert::{Checkpoint, Config, Error, Family, Tokenizer};

/// What reads a folder.
type Read = fn(&Path) -> bert::Result<()>;

/// The small files of a folder, and what each is read by.
const FILES: [(&str, Read); 8] = [
    ("config.json", |dir| Config::load(dir).map(drop)),
    ("tokenizer.json", tokenizer),
    ("vocab.txt", tokenizer),
    ("spm.model", tokenizer),
    ("tokenizer_config.json", tokenizer),
    ("special_tokens_map.json", tokenizer),
    ("added_tokens.json", tokenizer),
    ("model.safetensors.index.json", weights),
];

fn tokenizer(dir: &Path) -> bert::Result<()> {
    Tokenizer::load(dir).map(drop)
}

fn weights(dir: &Path) -> bert::Result<()> {
    Checkpoint::open(dir, &Family::Bert).map(drop)
}

/// Puts a file of this name into a folder that has none, and asserts that it is refused by name, for that reason.
fn assert_refused(name: &str, read: Read, put: impl Fn(&Path), reason: &str) {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join(name));
    let error = read(dir.path()).unwrap_err();
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    let message = format!("{error}: {source}");
    assert!(message.contains(name) && message.contains(reason), "{name}: {message}");
}

#[test]
fn what_is_no_file_is_refused() {
    let pipe = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    let device = |path: &Path| symlink("/dev/zero", path).unwrap();
    let folder = |path: &Path| fs::create_dir(path).unwrap();
    for (name, read) in FILES {
        assert_refused(name, read, pipe, "not a regular file");
        assert_refused(name, read, device, "not a regular file");
        assert_refused(name, read, folder, "not a regular file");
    }
}

#[test]
fn what_is_no_small_file_is_refused() {
    for (name, read) in FILES {
        let huge = |path: &Path| File::create(path).unwrap().set_len((100 << 20) + 1).unwrap();
        assert_refused(name, read, huge, "more than 100 MiB");
    }
}

/// With the rest of the folder whole, it would be another model than the one that was fetched.
#[test]
fn a_link_to_nothing_is_no_missing_file() {
    let link = |path: &Path| symlink("../blobs/abc", path).unwrap();
    for (name, read) in FILES {
        assert_refused(name, read, link, "a link to ../blobs/abc, which is not there");
    }
    for name in ["model.safetensors", "pytorch_model.bin", "pytorch_model.bin.index.json"] {
        assert_refused(name, weights, link, "a link to ../blobs/abc, which is not there");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("vocab.txt"), "[UNK]\n[CLS]\n[SEP]\n").unwrap();
    tokenizer(dir.path()).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        link(&dir.path().join(name));
        assert!(
            matches!(tokenizer(dir.path()), Err(Error::Read { path, .. }) if path.ends_with(name))
        );
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    // A link to a file is that file.
    symlink("vocab.txt", dir.path().join("spm.model")).unwrap();
    fs::rename(dir.path().join("vocab.txt"), dir.path().join("blob")).unwrap();
    symlink("blob", dir.path().join("vocab.txt")).unwrap();
    tokenizer(dir.path()).unwrap();
}
