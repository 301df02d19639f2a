//! The same tiny model as safetensors and as files of `torch.save`: the same logits, bit for bit.

use std::fs;
use std::path::{Path, PathBuf};

use bert::{Batch, Checkpoint, Config, Error, LoadReport, SequenceClassifier};
use nn::Pass;
use tempfile::TempDir;

const SHARDS: [&str; 2] = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"];
const INDEX: &str = "pytorch_model.bin.index.json";

/// What `make_pickle.py` wrote.
fn golden(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(folder)
}

/// A folder with the configuration of the model and some of its files, each under a name.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (from, to) in files.iter().chain(&[("config.json", "config.json")]) {
        fs::copy(golden("bert_pickle").join(from), dir.path().join(to)).unwrap();
    }
    dir
}

fn open(dir: &Path) -> bert::Result<(Config, Checkpoint)> {
    let config = Config::load(dir)?;
    let checkpoint = Checkpoint::open(dir, &config.family)?;
    Ok((config, checkpoint))
}

/// The bits of the logits of two sequences, and what was not used.
fn logits(dir: &Path) -> (Vec<u32>, LoadReport) {
    let (config, mut checkpoint) = open(dir).unwrap();
    let (model, report) = SequenceClassifier::load(&mut checkpoint, &config, 3, 0).unwrap();
    let (a, b) = ([2, 5, 29, 7, 3], [2, 11, 3]);
    let batch = Batch::new([(&a[..], &[0, 0, 0, 1, 1][..]), (&b[..], &[0; 3][..])]).unwrap();
    let logits = model.forward(&Pass::inference(), &batch).unwrap();
    let bits = logits.value().to_vec::<f32>().unwrap().iter().map(|x| x.to_bits()).collect();
    (bits, report)
}

fn refused(dir: &Path, part: &str) -> Error {
    let error = open(dir).expect_err(part);
    assert!(error.to_string().contains(part), "{error}: {part}");
    error
}

#[test]
fn every_format_gives_the_same_logits() {
    let (want, report) = logits(folder(&[("model.safetensors", "model.safetensors")]).path());
    assert!(want.len() == 6 && report == LoadReport::default());
    let whole = "pytorch_model.bin";
    let shards = [SHARDS[0], SHARDS[1], INDEX].map(|name| (name, name));
    for files in [&[(whole, whole)][..], &[("stream.bin", whole)], &shards] {
        let (got, report) = logits(folder(files).path());
        assert_eq!(got, want, "{files:?}");
        // Stored numbers of positions are passed over, as in any file.
        assert_eq!(report.unexpected, ["bert.embeddings.position_ids"]);
        assert!(report.missing.is_empty() && report.unused_encoder.is_empty());
    }
}

#[test]
fn what_is_listed_of_a_file_is_the_same_in_every_format() {
    let tensors =
        |file: &str, name: &str| open(folder(&[(file, name)]).path()).unwrap().1.tensors();
    let mut zip = tensors("pytorch_model.bin", "pytorch_model.bin");
    assert_eq!(zip, tensors("stream.bin", "pytorch_model.bin"));
    zip.retain(|tensor| tensor.name != "bert.embeddings.position_ids");
    assert_eq!(zip, tensors("model.safetensors", "model.safetensors"));
}

#[test]
fn safetensors_go_first() {
    let dir = folder(&[("model.safetensors", "model.safetensors")]);
    fs::write(dir.path().join("pytorch_model.bin"), "no weights").unwrap();
    logits(dir.path());
}

#[test]
fn shards_must_be_there_with_what_the_index_says() {
    let shard = |name: &'static str| (name, name);
    refused(folder(&[shard(INDEX)]).path(), "shard pytorch_model-00001-of-00002.bin is not in");
    let same = [shard(INDEX), shard(SHARDS[0]), (SHARDS[0], SHARDS[1])];
    refused(folder(&same).path(), "shard pytorch_model-00002-of-00002.bin has no tensor");
    let dir = folder(&[]);
    for name in ["../a.bin", "a.safetensors", "a\\b.bin", ".bin"] {
        let index = serde_json::json!({"weight_map": {"w": name}});
        fs::write(dir.path().join(INDEX), index.to_string()).unwrap();
        refused(dir.path(), "expected the name of a file in the folder");
    }
}

#[test]
fn a_pickle_of_something_else_says_how_to_convert_it() {
    let dir = folder(&[]);
    fs::copy(golden("pickle/module.bin"), dir.path().join("pytorch_model.bin")).unwrap();
    let error = refused(dir.path(), "the global `torch.nn.modules.linear.Linear`");
    assert!(matches!(error, Error::Pickle { .. }));
    assert!(error.to_string().contains("from_pretrained(FOLDER).save_pretrained(FOLDER)"));
}
