//! Ids against transformers' `BertTokenizerFast`; `fixtures/make_tokenizer.py` wrote the answers.

use std::fs;
use std::path::{Path, PathBuf};

use bert::{Encoding, Tokenizer};
use serde_json::{Value, json};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer").join(name)
}

fn answers(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(fixture(name)).unwrap()).unwrap()
}

/// A folder with some of the fixture's files, and a `tokenizer_config.json`.
fn folder(files: &[&str], config: Value) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in files {
        fs::copy(fixture(name), dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    dir
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// An answer is the ids, and how many of them, at the end, are of type 1.
fn assert_answer(what: &str, got: &Encoding, want: &Value) {
    let ids: Vec<u32> = serde_json::from_value(want[0].clone()).unwrap();
    let ones = want[1].as_u64().unwrap() as usize;
    assert_eq!(got.ids, ids, "{what}");
    let types: Vec<u32> = (0..ids.len()).map(|i| u32::from(i >= ids.len() - ones)).collect();
    assert_eq!(got.type_ids, types, "{what}");
}

/// Compares every text and pair at every length with the answers.
fn assert_agrees(tokenizer: &Tokenizer, cases: &Value) {
    let inputs = answers("expected.json");
    let singles: Vec<_> = strings(&inputs["texts"]).into_iter().map(|t| (t, None)).collect();
    let pairs = inputs["pairs"].as_array().unwrap().iter().map(strings);
    let pairs: Vec<Vec<&str>> = pairs.collect();
    let pairs: Vec<_> = pairs.iter().map(|pair| (pair[0], Some(pair[1]))).collect();
    let mut truncated = 0;
    for case in cases.as_array().unwrap() {
        let length = case["max_length"].as_u64().unwrap() as usize;
        for (texts, want) in [(&singles, &case["singles"]), (&pairs, &case["pairs"])] {
            let got = tokenizer.encode_batch(texts, length).unwrap();
            assert_eq!(got.len(), want.as_array().unwrap().len());
            for ((got, want), text) in got.iter().zip(want.as_array().unwrap()).zip(texts) {
                assert_answer(&format!("{text:?} at {length}"), got, want);
                assert!(!got.truncated || got.ids.len() == length, "{text:?}");
                truncated += usize::from(got.truncated);
            }
        }
    }
    assert!(truncated > 100, "only {truncated} truncated");
}

#[test]
fn tokenizer_json_gives_the_ids_of_transformers() {
    let tokenizer = Tokenizer::load(folder(&["tokenizer.json"], json!({})).path()).unwrap();
    assert_agrees(&tokenizer, &answers("expected.json")["lower"]);
    assert_eq!((tokenizer.vocab_size(), tokenizer.model_max_length()), (500, None));
}

#[test]
fn vocab_txt_gives_the_ids_of_transformers() {
    let config = json!({"do_lower_case": true, "model_max_length": 512});
    let tokenizer = Tokenizer::load(folder(&["vocab.txt"], config).path()).unwrap();
    assert_agrees(&tokenizer, &answers("expected.json")["lower"]);
    assert_eq!((tokenizer.vocab_size(), tokenizer.model_max_length()), (500, Some(512)));
    let cased = folder(&["vocab.txt"], json!({"do_lower_case": false}));
    let cased = Tokenizer::load(cased.path()).unwrap();
    assert_agrees(&cased, &answers("expected.json")["cased"]);
}

#[test]
fn tokenizer_config_goes_before_the_normalizer_of_tokenizer_json() {
    let config = json!({"do_lower_case": false, "strip_accents": null});
    let cased = Tokenizer::load(folder(&["tokenizer.json"], config).path()).unwrap();
    assert_agrees(&cased, &answers("expected.json")["cased"]);
}

#[test]
fn minilm_gives_the_ids_of_transformers() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models/all-MiniLM-L6-v2");
    if !dir.exists() {
        eprintln!("skipped: there is no {}", dir.display());
        return;
    }
    let tokenizer = Tokenizer::load(&dir).unwrap();
    assert_agrees(&tokenizer, &answers("minilm.json"));
    assert_eq!((tokenizer.vocab_size(), tokenizer.model_max_length()), (30522, Some(512)));
}

#[test]
fn stored_padding_and_truncation_are_off() {
    let mut json = answers("tokenizer.json");
    json["truncation"] =
        json!({"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0});
    json["padding"] = json!({"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"});
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tokenizer.json"), json.to_string()).unwrap();
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    assert_agrees(&tokenizer, &answers("expected.json")["lower"]);
}

#[test]
fn a_template_that_is_missing_is_that_of_bert() {
    let mut json = answers("tokenizer.json");
    json["post_processor"] = Value::Null;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tokenizer.json"), json.to_string()).unwrap();
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    assert_agrees(&tokenizer, &answers("expected.json")["lower"]);
}

#[test]
fn an_empty_text_is_two_special_tokens() {
    let tokenizer = Tokenizer::load(folder(&["vocab.txt"], json!({})).path()).unwrap();
    let got = tokenizer.encode_batch(&[("", None), ("", Some(""))], 4).unwrap();
    assert_eq!(
        got[0],
        Encoding { ids: vec![3, 4], type_ids: vec![0, 0], truncated: false, words: vec![] }
    );
    assert_eq!(
        got[1],
        Encoding { ids: vec![3, 4, 4], type_ids: vec![0, 0, 1], truncated: false, words: vec![] }
    );
    assert_eq!(tokenizer.encode_batch(&[], 3).unwrap(), []);
}

#[test]
fn a_length_without_room_for_a_token_is_refused() {
    let tokenizer = Tokenizer::load(folder(&["vocab.txt"], json!({})).path()).unwrap();
    for length in 0..3 {
        let error = tokenizer.encode_batch(&[("a", None)], length).unwrap_err().to_string();
        assert!(
            error.contains("at least 3 for texts") && error.contains(&length.to_string()),
            "{error}"
        );
    }
    let error =
        tokenizer.encode_batch(&[("a", None), ("a", Some("b"))], 3).unwrap_err().to_string();
    assert!(error.contains("at least 4 for pairs"), "{error}");
    let one = &tokenizer.encode_batch(&[("the the the", None)], 3).unwrap()[0];
    assert_eq!((one.ids.len(), one.truncated), (3, true));
}

#[test]
fn the_order_of_a_large_batch_is_kept() {
    let tokenizer = Tokenizer::load(folder(&["vocab.txt"], json!({})).path()).unwrap();
    let texts: Vec<String> = (0..5000).map(|i| "a ".repeat(i % 50)).collect();
    let inputs: Vec<_> = texts.iter().map(|text| (text.as_str(), None)).collect();
    for (i, encoding) in tokenizer.encode_batch(&inputs, 60).unwrap().iter().enumerate() {
        assert_eq!(encoding.ids.len(), i % 50 + 2);
    }
}

#[test]
fn other_special_tokens_and_added_ones() {
    let vocab = fs::read_to_string(fixture("vocab.txt")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let renamed = vocab.replace("[CLS]", "<cls>").replace("[SEP]", "<sep>");
    fs::write(dir.path().join("vocab.txt"), renamed.replace('\n', "\r\n")).unwrap();
    let added = json!({"content": "<user>", "special": false, "normalized": false, "lstrip": false,
        "rstrip": false, "single_word": false});
    let config = json!({"cls_token": {"content": "<cls>"}, "added_tokens_decoder": {"500": added}});
    fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    fs::write(dir.path().join("special_tokens_map.json"), r#"{"sep_token": "<sep>"}"#).unwrap();
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    let ids = |text| tokenizer.encode_batch(&[(text, None)], 16).unwrap()[0].ids.clone();
    assert_eq!(ids("<user><sep>"), [3, 500, 4, 4]);
    assert_eq!(tokenizer.vocab_size(), 501);
}

#[test]
fn texts_may_lose_their_beginning() {
    let dir = folder(&["vocab.txt"], json!({"truncation_side": "left"}));
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    let ids =
        |text, length| tokenizer.encode_batch(&[(text, None)], length).unwrap()[0].ids.clone();
    assert_eq!(ids("the film is the a", 4), ids("the a", 10));
}

/// Asserts that a folder of these files is refused, in one line that holds every part.
fn assert_refused(files: &[(&str, &[u8])], parts: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    let message = Tokenizer::load(dir.path()).expect_err("refused").to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn files_that_are_not_valid_are_refused() {
    assert_refused(&[], &["looked for tokenizer.json, vocab.txt"]);
    for json in ["", "{", "{}", "[]", "\u{0}", r#"{"version": "9.9", "model": {}}"#] {
        assert_refused(
            &[("tokenizer.json", json.as_bytes())],
            &["tokenizer.json", "not a tokenizer"],
        );
    }
    assert_refused(&[("vocab.txt", b"")], &["vocab.txt", "unk_token [UNK]"]);
    assert_refused(&[("vocab.txt", b"[UNK]\n[CLS]\n")], &["vocab.txt", "sep_token [SEP]"]);
    assert_refused(&[("vocab.txt", b"[UNK]\n\xff\xfe\n")], &["vocab.txt"]);
    let vocab: (&str, &[u8]) = ("vocab.txt", b"[UNK]\n[CLS]\n[SEP]\n");
    let config = |json: &'static [u8]| ("tokenizer_config.json", json);
    assert_refused(&[vocab, config(b"[1]")], &["tokenizer_config.json", "JSON object"]);
    let taken =
        br#"{"added_tokens_decoder": {"1": {"content": "x", "special": true, "normalized": false,
        "lstrip": false, "rstrip": false, "single_word": false}}}"#;
    assert_refused(&[vocab, config(taken)], &["x as 1", "not free"]);
    let no_template: &[u8] =
        br#"{"added_tokens": [], "model": {"type": "WordPiece", "unk_token": "u",
        "continuing_subword_prefix": "", "max_input_chars_per_word": 9, "vocab": {"u": 0}}}"#;
    assert_refused(&[("tokenizer.json", no_template)], &["[CLS] is not in the vocabulary"]);
}

#[test]
fn special_tokens_have_their_ids() {
    let tokenizer = Tokenizer::load(folder(&["vocab.txt"], json!({})).path()).unwrap();
    let vocab = fs::read_to_string(fixture("vocab.txt")).unwrap();
    let line = |token: &str| vocab.lines().position(|l| l == token).map(|id| id as u32);
    assert_eq!((tokenizer.mask_id(), tokenizer.unknown_id()), (line("[MASK]"), line("[UNK]")));
    assert!(tokenizer.mask_id().is_some() && tokenizer.unknown_id().is_some());
    let mut ids = ["[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]"].map(|t| line(t).unwrap());
    ids.sort_unstable();
    assert_eq!(tokenizer.special_ids(), ids);
    // By another name, and none at all.
    let dir = tempfile::tempdir().unwrap();
    let other = vocab.replace("[MASK]", "<hidden>").replace("[PAD]", "x-pad");
    fs::write(dir.path().join("vocab.txt"), other).unwrap();
    assert_eq!(Tokenizer::load(dir.path()).unwrap().mask_id(), None);
    assert_eq!(Tokenizer::load(dir.path()).unwrap().special_ids().len(), 3);
    fs::write(dir.path().join("special_tokens_map.json"), r#"{"mask_token": "<hidden>"}"#).unwrap();
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    assert_eq!(tokenizer.mask_id(), line("[MASK]"));
    assert_eq!(tokenizer.special_ids().len(), 4);
}

#[test]
fn case_is_told_by_trying() {
    for (files, lower) in
        [(["vocab.txt"], true), (["vocab.txt"], false), (["tokenizer.json"], true)]
    {
        let dir = folder(&files, json!({"do_lower_case": lower}));
        assert_eq!(Tokenizer::load(dir.path()).unwrap().lowercases().unwrap(), lower, "{files:?}");
    }
}
