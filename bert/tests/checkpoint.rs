//! Stored weights: names, dtypes, shards, and everything that can be wrong with them.

use std::fs;
use std::path::Path;

use autograd::Param;
use bert::{Checkpoint, Error, Family};
use half::{bf16, f16};
use tempfile::TempDir;
use tensor::{DType, Tensor, safetensors};

/// A parameter whose elements are `start`, `start + 1/4`, ...: exact in f16 and bf16.
fn values(start: f32, shape: &[usize]) -> Tensor {
    let n = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..n).map(|i| start + i as f32 * 0.25).collect();
    Tensor::from_vec(values, shape).unwrap()
}

fn params(names: &[(&str, &[usize])]) -> Vec<Param> {
    names.iter().map(|(name, shape)| Param::new(*name, Tensor::zeros(shape))).collect()
}

/// A small part of a BERT: names and shapes.
const PART: [(&str, &[usize]); 4] = [
    ("bert.embeddings.word_embeddings.weight", &[5, 4]),
    ("bert.embeddings.LayerNorm.weight", &[4]),
    ("bert.embeddings.LayerNorm.bias", &[4]),
    ("bert.pooler.dense.weight", &[4, 4]),
];

/// The values of [`PART`] under names that `rename` makes of them.
fn part(rename: impl Fn(&str) -> String) -> Vec<(String, Tensor)> {
    let value =
        |(i, (name, shape)): (usize, &(&str, &[usize]))| (rename(name), values(i as f32, shape));
    PART.iter().enumerate().map(value).collect()
}

fn folder(tensors: &[(String, Tensor)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    safetensors::write(&dir.path().join("model.safetensors"), tensors).unwrap();
    dir
}

fn load(dir: &Path, params: &[Param]) -> bert::Result<bert::LoadReport> {
    Checkpoint::open(dir, &Family::Bert)?.load(params)
}

fn assert_part_loaded(dir: &Path) {
    let params = params(&PART);
    let report = load(dir, &params).unwrap();
    assert_eq!(report, bert::LoadReport::default());
    for (param, (_, want)) in params.iter().zip(part(str::to_owned)) {
        let value = param.value();
        assert_eq!(value.dtype(), DType::F32);
        assert_eq!(
            value.to_vec::<f32>().unwrap(),
            want.to_vec::<f32>().unwrap(),
            "{}",
            param.name()
        );
    }
}

/// Asserts that opening or loading fails, in one line that holds every part.
fn assert_refused(dir: &Path, parts: &[&str]) {
    let message = load(dir, &params(&PART)).expect_err("refused").to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn names_match_with_and_without_prefix_and_in_the_old_spelling() {
    let bare = |name: &str| name.trim_start_matches("bert.").to_owned();
    let old = |name: &str| {
        name.replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta")
    };
    assert_part_loaded(folder(&part(str::to_owned)).path());
    assert_part_loaded(folder(&part(bare)).path());
    assert_part_loaded(folder(&part(old)).path());
    assert_part_loaded(folder(&part(|name| bare(&old(name)))).path());
}

#[test]
fn half_precision_is_widened() {
    for dtype in [DType::F16, DType::BF16] {
        let tensors: Vec<_> = part(str::to_owned)
            .into_iter()
            .map(|(name, t)| (name, t.to_dtype(dtype).unwrap()))
            .collect();
        assert_part_loaded(folder(&tensors).path());
    }
}

#[test]
fn half_precision_values_are_those_of_the_half_crate() {
    let bits: Vec<u16> = (0..2000u16).map(|i| i * 31 % 0x7c00).collect();
    let halves: Vec<f16> = bits.iter().map(|&b| f16::from_bits(b)).collect();
    let brains: Vec<bf16> = bits.iter().map(|&b| bf16::from_bits(b)).collect();
    let n = bits.len();
    let dir = folder(&[
        ("a".into(), Tensor::from_vec(halves.clone(), &[n]).unwrap()),
        ("b".into(), Tensor::from_vec(brains.clone(), &[n]).unwrap()),
    ]);
    let params = params(&[("a", &[n]), ("b", &[n])]);
    load(dir.path(), &params).unwrap();
    let got = |i: usize| params[i].value().to_vec::<f32>().unwrap();
    assert_eq!(got(0), halves.iter().map(|x| x.to_f32()).collect::<Vec<_>>());
    assert_eq!(got(1), brains.iter().map(|x| x.to_f32()).collect::<Vec<_>>());
}

#[test]
fn the_report_names_what_is_missing_and_unexpected() {
    let mut tensors = part(str::to_owned);
    tensors.remove(1);
    let ids = Tensor::from_vec(vec![0i64, 1, 2], &[1, 3]).unwrap();
    tensors.push(("bert.embeddings.position_ids".into(), ids));
    tensors.push(("cls.predictions.bias".into(), values(0.0, &[5])));
    let deeper = ["encoder.layer.7.output.dense.bias", "bert.encoder.layer.8.output.dense.bias"];
    tensors.extend(deeper.map(|name| (name.to_owned(), values(0.0, &[4]))));
    let dir = folder(&tensors);
    let mut wanted = params(&PART);
    wanted.extend(params(&[("classifier.weight", &[2, 4])]));
    let mut checkpoint = Checkpoint::open(dir.path(), &Family::Bert).unwrap();
    assert!(checkpoint.contains("bert.pooler.dense.weight"));
    assert!(!checkpoint.contains("classifier.weight"));
    assert_eq!(checkpoint.shape("bert.pooler.dense.weight"), Some([4, 4].as_slice()));
    assert_eq!(checkpoint.shape("classifier.weight"), None);
    assert_eq!(checkpoint.tensors().len(), 7);
    let report = checkpoint.load(&wanted).unwrap();
    assert_eq!(report.missing, ["bert.embeddings.LayerNorm.weight", "classifier.weight"]);
    let [bare, prefixed] = deeper;
    let other = ["bert.embeddings.position_ids", prefixed, "cls.predictions.bias", bare];
    assert_eq!(report.unexpected, other);
    assert_eq!(report.unused_encoder, [prefixed, bare]);
}

#[test]
fn every_wrong_shape_is_listed_and_nothing_is_loaded() {
    let mut tensors = part(str::to_owned);
    tensors[0].1 = values(0.0, &[7, 4]);
    tensors[3].1 = values(0.0, &[16]);
    let dir = folder(&tensors);
    assert_refused(
        dir.path(),
        &[
            "bert.embeddings.word_embeddings.weight: expected [5, 4], found [7, 4]",
            "bert.pooler.dense.weight: expected [4, 4], found [16]",
        ],
    );
    let params = params(&PART);
    match load(dir.path(), &params) {
        Err(Error::Shapes { mismatches, .. }) => assert_eq!(mismatches.len(), 2),
        other => panic!("{other:?}"),
    }
    assert!(params.iter().all(|p| p.value().to_vec::<f32>().unwrap().iter().all(|&x| x == 0.0)));
}

#[test]
fn other_dtypes_are_refused_by_name() {
    for dtype in [DType::F64, DType::I64, DType::U32] {
        let mut tensors = part(str::to_owned);
        tensors[3].1 = tensors[3].1.to_dtype(dtype).unwrap();
        let name = dtype.name().to_uppercase();
        assert_refused(folder(&tensors).path(), &["bert.pooler.dense.weight", "BF16", &name]);
    }
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let mut tensors = part(str::to_owned);
            let mut x = tensors[3].1.to_vec::<f32>().unwrap();
            x[15] = bad;
            tensors[3].1 = Tensor::from_vec(x, &[4, 4]).unwrap().to_dtype(dtype).unwrap();
            assert_refused(folder(&tensors).path(), &["bert.pooler.dense.weight", "NaN"]);
        }
    }
}

#[test]
fn two_names_for_one_parameter_are_refused() {
    let mut tensors = part(str::to_owned);
    tensors.push(("embeddings.LayerNorm.gamma".into(), values(0.0, &[4])));
    let both = ["bert.embeddings.LayerNorm.weight", "embeddings.LayerNorm.gamma", "same parameter"];
    assert_refused(folder(&tensors).path(), &both);
}

/// Names go to terminals.
#[test]
fn names_that_could_write_to_a_terminal_are_refused() {
    for (name, shown) in [
        ("\x1b[31mred", "\\u{1b}[31mred"),
        ("two\nlines", "two\\nlines"),
        ("\u{9b}31m", "\\u{9b}31m"),
    ] {
        let tensors = [(name.to_owned(), values(0.0, &[4]))];
        let parts = ["model.safetensors", "control characters", shown];
        assert_refused(folder(&tensors).path(), &parts);
    }
}

/// A table of them is as wide as the longest name.
#[test]
fn names_as_long_as_a_page_are_refused() {
    let named = |length| {
        let mut tensors = part(str::to_owned);
        tensors.push(("x".repeat(length), values(0.0, &[4])));
        folder(&tensors)
    };
    let parts = ["model.safetensors", "the name of a tensor has more than 1000 bytes: xxx"];
    assert_refused(named(1001).path(), &parts);
    assert_eq!(load(named(1000).path(), &params(&PART)).unwrap().unexpected.len(), 1);
}

#[test]
fn damaged_files_are_refused() {
    let dir = folder(&part(str::to_owned));
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    for length in [0, 4, 8, 20, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert_refused(dir.path(), &["model.safetensors"]);
    }
    for header in [bytes.len() as u64, u64::MAX, 0] {
        let mut bytes = bytes.clone();
        bytes[..8].copy_from_slice(&header.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        assert_refused(dir.path(), &["model.safetensors", "header"]);
    }
    fs::write(&path, [bytes.as_slice(), b"more"].concat()).unwrap();
    assert_refused(dir.path(), &["model.safetensors", "longer"]);
}

#[test]
fn missing_files_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    assert_refused(dir.path(), &["looked for model.safetensors, model.safetensors.index.json"]);
    fs::write(dir.path().join("pytorch_model.bin"), b"\x80\x02").unwrap();
    assert_refused(dir.path(), &["pytorch_model.bin", "not a file of torch.save"]);
    assert_refused(Path::new("/no/such/folder"), &["/no/such/folder"]);
}

/// [`PART`] in two shards with an index of this weight map.
fn sharded(weight_map: &serde_json::Value) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let tensors = part(str::to_owned);
    for (file, shard) in [("a.safetensors", &tensors[..1]), ("b.safetensors", &tensors[1..])] {
        safetensors::write(&dir.path().join(file), shard).unwrap();
    }
    let index = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": weight_map});
    fs::write(dir.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    dir
}

fn weight_map(files: [&str; 4]) -> serde_json::Value {
    PART.iter().zip(files).map(|((name, _), file)| (*name, file)).collect()
}

#[test]
fn shards_are_read_as_one() {
    let [a, b] = ["a.safetensors", "b.safetensors"];
    assert_part_loaded(sharded(&weight_map([a, b, b, b])).path());
    assert_refused(
        sharded(&weight_map([b, b, b, b])).path(),
        &["shard b.safetensors", "word_embeddings"],
    );
    let missing = sharded(&weight_map([a, b, b, "c.safetensors"]));
    assert_refused(missing.path(), &["shard c.safetensors", "not in the folder"]);
    fs::copy(missing.path().join(b), missing.path().join("c.safetensors")).unwrap();
    assert_refused(missing.path(), &["same parameter"]);
}

#[test]
fn an_index_can_not_reach_outside_its_folder() {
    let a = "a.safetensors";
    for hostile in [
        "../a.safetensors",
        "/etc/a.safetensors",
        "x\\a.safetensors",
        "c:a.safetensors",
        "\x1b[31m.safetensors",
        "..",
        "",
    ] {
        assert_refused(
            sharded(&weight_map([a, hostile, a, a])).path(),
            &["name of a file in the folder"],
        );
    }
    assert_refused(sharded(&serde_json::json!({"x": 1})).path(), &["tensor x"]);
    // The names in an index are no safer to show than those in a file.
    assert_refused(sharded(&serde_json::json!({"x\n\x1b": 1})).path(), &["tensor x\\n\\u{1b}"]);
    assert_refused(sharded(&serde_json::json!({"x\n": a})).path(), &["has no tensor x\\n"]);
    assert_refused(sharded(&serde_json::json!([])).path(), &["weight_map"]);
    let dir = sharded(&weight_map([a; 4]));
    fs::write(dir.path().join("model.safetensors.index.json"), "{").unwrap();
    assert_refused(dir.path(), &["index.json", "JSON"]);
}
