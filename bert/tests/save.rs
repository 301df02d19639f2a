//! A saved folder is whole, opens again, and is the same model.

use std::fs;
use std::path::{Path, PathBuf};

use autograd::Param;
use bert::{Checkpoint, Config, Family, SavedDType, Tokenizer, save_pretrained};
use serde_json::{Value, json};
use tensor::{DType, Tensor};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer").join(name)
}

fn config() -> Config {
    let json = json!({"model_type": "bert", "vocab_size": 500, "hidden_size": 8, "num_attention_heads": 2,
        "max_position_embeddings": 40, "architectures": ["BertForMaskedLM"], "custom": {"kept": true},
        "dtype": "bfloat16", "id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}});
    Config::parse(&json.to_string(), Path::new("config.json")).unwrap()
}

/// A tokenizer from some of the fixture's files.
fn tokenizer(files: &[&str]) -> Tokenizer {
    let dir = tempfile::tempdir().unwrap();
    for name in files {
        fs::copy(fixture(name), dir.path().join(name)).unwrap();
    }
    Tokenizer::load(dir.path()).unwrap()
}

fn params() -> Vec<Param> {
    let value = |n: usize| Tensor::from_vec((0..n).map(|i| i as f32 / 7.0).collect(), &[2, n / 2]);
    [("bert.embeddings.word_embeddings.weight", 4000), ("classifier.weight", 16)]
        .map(|(name, n)| Param::new(name, value(n).unwrap()))
        .to_vec()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn file_names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const ALL_FILES: [&str; 6] = [
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
];

#[test]
fn a_folder_comes_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new/folder");
    let (params, vocab_only) = (params(), tokenizer(&["vocab.txt"]));
    // Twice: files that are there are replaced.
    for _ in 0..2 {
        save_pretrained(&folder, &config(), &params, &vocab_only, SavedDType::F32).unwrap();
    }
    assert_eq!(file_names(&folder), ALL_FILES);
    let loaded: Vec<Param> =
        params.iter().map(|p| Param::new(p.name(), Tensor::zeros(&p.shape()))).collect();
    let report = Checkpoint::open(&folder, &Family::Bert).unwrap().load(&loaded).unwrap();
    assert_eq!(report, bert::LoadReport::default());
    for (a, b) in params.iter().zip(&loaded) {
        assert_eq!(a.value().to_vec::<f32>().unwrap(), b.value().to_vec::<f32>().unwrap());
    }
    let again = Config::load(&folder).unwrap();
    assert_eq!((again.labels, again.vocab_size), (vec!["no".into(), "yes".into()], 500));
}

#[test]
fn config_json_says_what_was_saved() {
    let dir = tempfile::tempdir().unwrap();
    save_pretrained(dir.path(), &config(), &params(), &tokenizer(&["vocab.txt"]), SavedDType::F32)
        .unwrap();
    let json = read_json(&dir.path().join("config.json"));
    assert_eq!(json["architectures"], json!(["BertForSequenceClassification"]));
    assert_eq!((&json["torch_dtype"], &json["dtype"]), (&json!("float32"), &json!("float32")));
    assert_eq!(json["custom"], json!({"kept": true}));
    assert_eq!(json["label2id"], json!({"no": 0, "yes": 1}));
    save_pretrained(
        dir.path(),
        &config(),
        &params()[..1],
        &tokenizer(&["vocab.txt"]),
        SavedDType::F32,
    )
    .unwrap();
    let json = read_json(&dir.path().join("config.json"));
    assert_eq!(json["architectures"], json!(["BertModel"]));
}

#[test]
fn saved_tokenizers_encode_the_same_from_either_file() {
    let texts = read_json(&fixture("expected.json"))["texts"].clone();
    let texts: Vec<_> =
        texts.as_array().unwrap().iter().map(|t| (t.as_str().unwrap(), None)).collect();
    for source in [["vocab.txt"], ["tokenizer.json"]] {
        let (dir, original) = (tempfile::tempdir().unwrap(), tokenizer(&source));
        save_pretrained(dir.path(), &config(), &[], &original, SavedDType::F32).unwrap();
        let want = original.encode_batch(&texts, 64).unwrap();
        assert_eq!(Tokenizer::load(dir.path()).unwrap().encode_batch(&texts, 64).unwrap(), want);
        fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
        assert_eq!(Tokenizer::load(dir.path()).unwrap().encode_batch(&texts, 64).unwrap(), want);
        assert_eq!(
            fs::read(dir.path().join("vocab.txt")).unwrap(),
            fs::read(fixture("vocab.txt")).unwrap()
        );
    }
}

#[test]
fn tokenizer_files_keep_what_was_there_and_add_what_is_needed() {
    let source = tempfile::tempdir().unwrap();
    fs::copy(fixture("tokenizer.json"), source.path().join("tokenizer.json")).unwrap();
    let settings =
        json!({"mine": 1, "do_lower_case": false, "tokenizer_class": "BertTokenizerFast"});
    fs::write(source.path().join("tokenizer_config.json"), settings.to_string()).unwrap();
    let tokenizer = Tokenizer::load(source.path()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    save_pretrained(dir.path(), &config(), &[], &tokenizer, SavedDType::F32).unwrap();
    let saved = read_json(&dir.path().join("tokenizer_config.json"));
    assert_eq!((&saved["mine"], &saved["do_lower_case"]), (&json!(1), &json!(false)));
    assert_eq!(saved["tokenizer_class"], "BertTokenizerFast");
    assert_eq!((&saved["model_max_length"], &saved["cls_token"]), (&json!(40), &json!("[CLS]")));
    let json = read_json(&dir.path().join("tokenizer.json"));
    assert_eq!(json["normalizer"]["lowercase"], false);
    assert_eq!((&json["truncation"], &json["padding"]), (&Value::Null, &Value::Null));
    let special = read_json(&dir.path().join("special_tokens_map.json"));
    assert_eq!(special["mask_token"], "[MASK]");
}

#[test]
fn a_vocabulary_with_gaps_leaves_no_vocab_txt_behind() {
    let mut json = read_json(&fixture("tokenizer.json"));
    json["model"]["vocab"].as_object_mut().unwrap().shift_remove("the");
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("tokenizer.json"), json.to_string()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("vocab.txt"), "of another model\n").unwrap();
    save_pretrained(
        dir.path(),
        &config(),
        &[],
        &Tokenizer::load(source.path()).unwrap(),
        SavedDType::F32,
    )
    .unwrap();
    assert!(!dir.path().join("vocab.txt").exists());
}

#[test]
fn a_folder_that_can_not_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let save = |folder: &Path| {
        save_pretrained(folder, &config(), &params(), &tokenizer(&["vocab.txt"]), SavedDType::F32)
            .unwrap_err()
            .to_string()
    };
    for folder in [file.clone(), file.join("below")] {
        let error = save(&folder);
        assert!(error.contains("file") && error.contains("can't be written"), "{error}");
    }
    // A name that is taken by a folder: the file fails, and nothing unfinished stays.
    for taken in ["config.json", "model.safetensors", "tokenizer.json"] {
        let folder = dir.path().join("taken").join(taken);
        fs::create_dir_all(folder.join(taken).join("x")).unwrap();
        let error = save(&folder);
        assert!(error.contains(taken), "{error}");
        assert!(!file_names(&folder).iter().any(|name| name.ends_with(".partial")));
    }
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(dir.path().join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write to read-only folders");
        return;
    }
    let saved = save_pretrained(
        dir.path(),
        &config(),
        &params(),
        &tokenizer(&["vocab.txt"]),
        SavedDType::F32,
    );
    let error = saved.unwrap_err().to_string();
    assert!(error.contains("can't be written") && error.contains("choose a folder"), "{error}");
}

#[test]
fn weights_are_rounded_to_the_dtype_that_was_asked_for() {
    let cases = [
        (SavedDType::F32, DType::F32, "float32"),
        (SavedDType::F16, DType::F16, "float16"),
        (SavedDType::BF16, DType::BF16, "bfloat16"),
    ];
    for (saved, dtype, name) in cases {
        let dir = tempfile::tempdir().unwrap();
        let (params, vocab_only) = (params(), tokenizer(&["vocab.txt"]));
        save_pretrained(dir.path(), &config(), &params, &vocab_only, saved).unwrap();
        let json = read_json(&dir.path().join("config.json"));
        assert_eq!((&json["torch_dtype"], &json["dtype"]), (&json!(name), &json!(name)));
        let mut file =
            tensor::safetensors::File::open(&dir.path().join("model.safetensors")).unwrap();
        for param in &params {
            let stored = file.read(param.name()).unwrap();
            assert_eq!(stored.dtype(), dtype);
            // The nearest of the dtype, by the library that defines it.
            let nearest = |x: &f64| match dtype {
                DType::F16 => f64::from(half::f16::from_f64(*x)),
                DType::BF16 => f64::from(half::bf16::from_f32(*x as f32)),
                _ => *x,
            };
            let want: Vec<f64> = param.value().to_f64_vec().unwrap().iter().map(nearest).collect();
            assert_eq!(stored.to_f64_vec().unwrap(), want);
        }
    }
}

#[test]
fn a_weight_beyond_half_precision_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("model");
    let large = Param::new("bert.large", Tensor::from_vec(vec![1.0f32, 7e4], &[2]).unwrap());
    let save = |dtype| {
        save_pretrained(
            &folder,
            &config(),
            std::slice::from_ref(&large),
            &tokenizer(&["vocab.txt"]),
            dtype,
        )
    };
    let error = save(SavedDType::F16).unwrap_err().to_string();
    assert!(error.contains("bert.large") && error.contains("f16"), "{error}");
    assert!(!folder.exists());
    save(SavedDType::BF16).unwrap();
}
