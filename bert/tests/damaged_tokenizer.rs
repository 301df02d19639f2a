//! Tokenizers that are damaged, or made to do harm: each is refused with the file and the field, and none panics, fills
//! the memory or takes for ever.

use std::fs;
use std::path::Path;

use bert::{Config, Tokenizer};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A small `tokenizer.json` as transformers writes it.
fn tokenizer() -> Value {
    let special = |token: &str, id: u32| json!({"id": token, "ids": [id], "tokens": [token]});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [token("[CLS]", 0), text("A", 0), token("[SEP]", 0)],
            "pair": [token("[CLS]", 0), text("A", 0), token("[SEP]", 0), text("B", 1), token("[SEP]", 1)],
            "special_tokens": {"[CLS]": special("[CLS]", 1), "[SEP]": special("[SEP]", 2)}},
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##b": 4}},
    })
}

/// A piece of a template.
fn token(id: &str, type_id: u32) -> Value {
    json!({"SpecialToken": {"id": id, "type_id": type_id}})
}

fn text(id: &str, type_id: u32) -> Value {
    json!({"Sequence": {"id": id, "type_id": type_id}})
}

/// A unigram model of these pieces, whose ids begin with those of the special tokens.
fn unigram(pieces: &[&str]) -> Value {
    let pieces = ["[UNK]", "[CLS]", "[SEP]"].iter().chain(pieces);
    json!({"type": "Unigram", "unk_id": 0, "vocab": pieces.map(|p| json!([p, -1.0])).collect::<Vec<_>>()})
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// The tokenizer with `value` at this place, as a JSON pointer, in its file.
fn with(place: &str, value: Value) -> TempDir {
    let mut json = tokenizer();
    *json.pointer_mut(place).unwrap() = value;
    folder(&[("tokenizer.json", &json.to_string())])
}

fn ids(dir: &Path, text: &str) -> Vec<u32> {
    Tokenizer::load(dir).unwrap().encode_batch(&[(text, None)], 64).unwrap()[0].ids.clone()
}

/// Asserts that a folder is refused, in one line that holds every part.
fn assert_refused(dir: &Path, parts: &[&str]) {
    let message = Tokenizer::load(dir).map(|_| parts).expect_err("refused").to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    assert!(!message.contains('\n') && message.len() < 500, "{message}");
}

#[test]
fn a_file_that_breaks_off_is_refused_with_the_place() {
    let whole = tokenizer().to_string();
    for length in (0..whole.len()).filter(|length| whole.is_char_boundary(*length)) {
        let dir = folder(&[("tokenizer.json", &whole[..length])]);
        assert_refused(dir.path(), &["tokenizer.json", "line 1 column"]);
    }
    assert_eq!(ids(folder(&[("tokenizer.json", &whole)]).path(), "ab a"), [1, 3, 4, 3, 2]);
    // The last of two keys would hide the first from a check of the value.
    let twice = whole.replacen(
        '{',
        r#"{"normalizer": {"type": "Precompiled", "precompiled_charsmap": ""},"#,
        1,
    );
    assert_eq!(ids(folder(&[("tokenizer.json", &twice)]).path(), "AB"), [1, 3, 4, 2]);
}

#[test]
fn rules_of_sentencepiece_that_lead_nowhere_are_refused() {
    // A trie of one unit, none, one that is longer than the file, no base64, and none at all.
    for charsmap in ["BAAAAAAAAAA=", "", "/P///w==", "BAAAAAAAAAA", "BAAA*AAAAAA=", "A===", "AB=="]
    {
        let step = json!({"type": "Precompiled", "precompiled_charsmap": charsmap});
        let nested = json!({"type": "Sequence", "normalizers": [{"type": "NFC"},
            {"type": "Sequence", "normalizers": [step]}]});
        for normalizer in [step, nested] {
            let dir = with("/normalizer", normalizer);
            assert_refused(dir.path(), &["tokenizer.json", "normalizer.precompiled_charsmap"]);
        }
    }
    assert_refused(
        with("/normalizer", json!({"type": "Precompiled"})).path(),
        &["precompiled_charsmap"],
    );
}

/// That of the only public test model: what it does to texts is held against transformers elsewhere.
#[test]
fn rules_of_sentencepiece_that_are_whole_are_read() {
    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/sentencepiece/spm.model");
    let dir = tempfile::tempdir().unwrap();
    fs::copy(golden, dir.path().join("spm.model")).unwrap();
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    let config = Config::parse(r#"{"model_type": "bert"}"#, "config.json".as_ref()).unwrap();
    let saved = tempfile::tempdir().unwrap();
    bert::save_pretrained(saved.path(), &config, &[], &tokenizer, bert::SavedDType::F32).unwrap();
    let text = fs::read_to_string(saved.path().join("tokenizer.json")).unwrap();
    assert!(text.contains("precompiled_charsmap"));
    assert_eq!(ids(saved.path(), "ﬁlm … ½"), ids(dir.path(), "ﬁlm … ½"));
}

#[test]
fn templates_of_what_is_not_there_are_refused() {
    let post_processor = "post_processor.single";
    for (single, part) in [
        (json!([token("[CLS]", 0), text("A", 0), token("Z", 0)]), "`Z` is not in special_tokens"),
        (json!([token("[CLS]", 0), text("B", 0)]), "expected the sequence A once"),
        (json!([text("A", 0), text("A", 0)]), "expected the sequence A once"),
        (json!([]), "expected the sequence A once"),
        (json!([token("[CLS]", 0), {"Sequence": ["B", 0]}]), "expected the sequence A once"),
        (json!([{"SpecialToken": ["Z", 0]}, text("A", 0)]), "`` is not in special_tokens"),
    ] {
        let dir = with("/post_processor/single", single);
        assert_refused(dir.path(), &["tokenizer.json", post_processor, part]);
    }
    for pair in [json!([text("A", 0)]), json!([text("A", 0), text("A", 0), text("B", 0)])] {
        let dir = with("/post_processor/pair", pair);
        assert_refused(dir.path(), &["post_processor.pair", "A and B once each"]);
    }
    let template = tokenizer()["post_processor"].clone();
    let sequence = |processors: Value| json!({"type": "Sequence", "processors": processors});
    let dir = with("/post_processor", sequence(json!([template, template])));
    assert_refused(dir.path(), &["post_processor", "one template"]);
    let as_list = json!([template["single"], template["pair"], template["special_tokens"]]);
    assert_refused(with("/post_processor", as_list).path(), &["post_processor", "a list"]);
    let dir = with("/post_processor/special_tokens/[CLS]/ids", json!([1, 1]));
    assert_refused(dir.path(), &[post_processor, "as many ids as tokens"]);
    assert_eq!(ids(with("/post_processor", sequence(json!([template]))).path(), "a"), [1, 3, 2]);
}

#[test]
fn merges_without_the_prefix_that_is_cut_off_are_refused() {
    let vocab = json!({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "b": 4, "##b": 5, "ab": 6});
    let bpe = |prefix: &str, merge: Value| {
        json!({"type": "BPE", "unk_token": "[UNK]", "vocab": vocab,
        "continuing_subword_prefix": prefix, "merges": [merge]})
    };
    for merge in [json!(["a", "b"]), json!("a b")] {
        let dir = with("/model", bpe("zzz", merge));
        assert_refused(dir.path(), &["tokenizer.json", "model.merges", "`b`", "zzz"]);
    }
    for merge in [json!(["a", "##b"]), json!("a ##b")] {
        assert_eq!(ids(with("/model", bpe("##", merge)).path(), "ab"), [1, 6, 2]);
    }
}

#[test]
fn pieces_of_no_letters_are_refused() {
    for length in [0, 1] {
        let step = json!({"type": "FixedLength", "length": length});
        let sequence = json!({"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, step]});
        for splitter in [step, sequence] {
            let dir = with("/pre_tokenizer", splitter);
            match length {
                0 => assert_refused(dir.path(), &["tokenizer.json", "pre_tokenizer.length"]),
                _ => assert_eq!(ids(dir.path(), "aa"), [1, 3, 3, 2]),
            }
        }
    }
}

#[test]
fn pieces_of_a_book_each_are_refused() {
    let long = "a".repeat(1_000_000);
    assert_refused(with("/model", unigram(&[&long])).path(), &["model.vocab", "1000000 letters"]);
    let dir = with("/model", unigram(&[&"ä".repeat(512)]));
    assert_eq!(ids(dir.path(), &format!("{} b", "Ä".repeat(512))).len(), 4);
}

#[test]
fn steps_that_make_a_book_of_a_letter_are_refused() {
    let replace =
        |content: &str| json!({"type": "Replace", "pattern": {"String": "a"}, "content": content});
    let regex = json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "a"});
    let sequence = |step: &Value, n| json!({"type": "Sequence", "normalizers": vec![step; n]});
    let mut untyped = replace(&"a".repeat(20));
    untyped.as_object_mut().unwrap().remove("type");
    let mut disguised = replace(&"a".repeat(20));
    disguised["prepend"] = json!("");
    for normalizer in [
        sequence(&replace(&"a".repeat(20)), 8),
        sequence(&untyped, 8),
        sequence(&regex, 40),
        sequence(&json!({"type": "Replace", "pattern": {"String": ""}, "content": "a"}), 40),
        sequence(&disguised, 8),
        replace(&"a".repeat(100_000)),
        json!({"type": "Prepend", "prepend": "a".repeat(100_000)}),
        sequence(&json!({"type": "ByteLevel"}), 40),
    ] {
        assert_refused(
            with("/normalizer", normalizer).path(),
            &["tokenizer.json", "normalizer", "65536"],
        );
    }
    let bytes =
        vec![json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true}); 40];
    let splitter = json!({"type": "Sequence", "pretokenizers": bytes});
    assert_refused(with("/pre_tokenizer", splitter).path(), &["pre_tokenizer", "65536"]);
    let listed = json!([{"String": "a"}, "a".repeat(100_000)]);
    assert_refused(with("/normalizer", listed).path(), &["normalizer", "a list"]);
    // What shortens a text may come as often as it likes; these are the steps of an ALBERT.
    let usual = json!({"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "``"}, "content": "\""}, {"type": "NFKD"},
        {"type": "StripAccents"}, {"type": "Lowercase"},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]});
    assert_eq!(ids(with("/normalizer", usual).path(), "AB  a"), [1, 3, 4, 3, 2]);
    assert_eq!(ids(with("/normalizer", sequence(&replace("a"), 1000)).path(), "a"), [1, 3, 2]);
}

#[test]
fn words_that_take_for_ever_are_refused() {
    for most in [json!(1001), json!(u64::MAX)] {
        let dir = with("/model/max_input_chars_per_word", most);
        assert_refused(dir.path(), &["tokenizer.json", "model.max_input_chars_per_word", "1000"]);
    }
    let dir = with("/model/continuing_subword_prefix", json!("#".repeat(101)));
    assert_refused(dir.path(), &["model.continuing_subword_prefix", "at most 100 bytes"]);
    assert_eq!(
        ids(with("/model/max_input_chars_per_word", json!(1000)).path(), "ab"),
        [1, 3, 4, 2]
    );
}

#[test]
fn ids_beyond_any_table_are_refused() {
    let dir = with("/model/vocab/a", json!(u32::MAX));
    assert_refused(dir.path(), &["tokenizer.json", "model.vocab", "`a` is 4294967295"]);
    for model in [json!(null), json!([1]), json!("WordPiece")] {
        assert_refused(with("/model", model).path(), &["tokenizer.json", "model"]);
    }
}

/// Asserts that a tokenizer is read, but does not fit a model.
fn assert_unfit(dir: &Path, config: &Value, parts: &[&str]) {
    let config = Config::parse(&config.to_string(), "config.json".as_ref()).unwrap();
    let message = Tokenizer::load(dir).unwrap().check_fit(&config).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn a_vocabulary_is_a_list_of_what_every_text_has_and_words() {
    let list = |lines: &[&str]| folder(&[("vocab.txt", &lines.join("\n"))]);
    // As in transformers the last of equal lines counts.
    let twice = list(&["[UNK]", "[CLS]", "[SEP]", "a", "b", "a \r"]);
    assert_eq!(ids(twice.path(), "a b"), [1, 5, 4, 2]);
    // Blanks are no words; a list that lacks what every text has is another one's.
    let blanks = list(&["[UNK]", "", "[CLS]", "\u{a0}", "[SEP]", "a", ""]);
    assert_eq!(ids(blanks.path(), "a"), [2, 5, 4]);
    for lost in ["[UNK]", "[CLS]", "[SEP]"] {
        let rest: Vec<&str> =
            ["[UNK]", "[CLS]", "[SEP]", "a"].into_iter().filter(|t| *t != lost).collect();
        assert_refused(list(&rest).path(), &["vocab.txt", lost, "is not in the vocabulary"]);
    }
}

#[test]
fn settings_of_another_type_are_refused() {
    let vocab = ("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\n");
    let refuse = |name: &str, json: Value, part: &str| {
        let dir = folder(&[vocab, (name, &json.to_string())]);
        assert_refused(dir.path(), &[name, part]);
    };
    let config = "tokenizer_config.json";
    for key in ["do_lower_case", "tokenize_chinese_chars", "strip_accents", "split_by_punct"] {
        refuse(config, json!({key: 0}), &format!("{key}: expected true or false, found 0"));
        refuse(config, json!({key: "false"}), key);
    }
    refuse(config, json!({"model_max_length": "512"}), "model_max_length: expected a number");
    refuse(
        config,
        json!({"truncation_side": "up"}),
        "truncation_side: expected left or right, found up",
    );
    refuse(config, json!({"truncation_side": true}), "truncation_side: expected a string");
    for name in [config, "special_tokens_map.json"] {
        for key in ["unk_token", "mask_token", "bos_token"] {
            refuse(name, json!({key: 3}), &format!("{key}: expected a token"));
            refuse(name, json!({key: {"text": "a"}}), &format!("{key}: expected a token"));
        }
    }
    let decoder =
        |decoder: Value, part: &str| refuse(config, json!({"added_tokens_decoder": decoder}), part);
    decoder(json!(["[MASK]"]), "added_tokens_decoder: expected an object");
    decoder(json!({"four": {"content": "x"}}), "expected ids as keys, found four");
    decoder(json!({"4": "x"}), "added_tokens_decoder: expected objects");
    decoder(
        json!({"4": {"special": true}}),
        "added_tokens_decoder: expected tokens with their content",
    );
    decoder(json!({"4": {"content": "x", "lstrip": 1}}), "lstrip: expected true or false, found 1");
    refuse("added_tokens.json", json!({"x": "4"}), "x: expected an id, found");
    refuse("added_tokens.json", json!({"x": -1}), "x: expected an id, found -1");
    // What transformers writes: null for what there is none of, 1e30 for no limit, tokens with and without their flags.
    let written = json!({"do_lower_case": null, "strip_accents": null, "model_max_length": 1e30, "mask_token": null,
        "cls_token": {"__type": "AddedToken", "content": "[CLS]"}, "truncation_side": "left", "tokenizer_class": null,
        "added_tokens_decoder": {"4": {"content": "<x>"}}, "additional_special_tokens": ["<x>"]});
    let dir = folder(&[
        vocab,
        (config, &written.to_string()),
        ("special_tokens_map.json", r#"{"pad_token": null}"#),
    ]);
    assert_eq!(ids(dir.path(), "A<x>"), [1, 3, 4, 2]);
}

#[test]
fn ids_and_types_without_a_row_do_not_fit() {
    let config =
        |types: usize| json!({"model_type": "bert", "vocab_size": 5, "type_vocab_size": types});
    let parsed =
        |config: &Value| Config::parse(&config.to_string(), "config.json".as_ref()).unwrap();
    let tokenizer_json = tokenizer();
    let whole = folder(&[("tokenizer.json", &tokenizer_json.to_string())]);
    let tokenizer = Tokenizer::load(whole.path()).unwrap();
    // A single type is that of both texts, whatever the tokenizer says.
    [1, 2, 3].iter().for_each(|types| tokenizer.check_fit(&parsed(&config(*types))).unwrap());
    let small = json!({"model_type": "bert", "vocab_size": 4});
    assert_unfit(whole.path(), &small, &["5 tokens", "4 rows", "different models"]);
    let file = ["tokenizer.json", "post_processor"];
    let single = json!([token("[CLS]", 7), text("A", 0)]);
    let dir = with("/post_processor/single", single);
    assert_unfit(dir.path(), &config(2), &[&file[..], &["type 7 in a text"]].concat());
    let pair = json!([token("[CLS]", 0), text("A", 0), text("B", 2)]);
    let dir = with("/post_processor/pair", pair);
    assert_unfit(dir.path(), &config(2), &[&file[..], &["type 2 in a pair of texts"]].concat());
    let bert = json!({"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", u32::MAX]});
    let dir = with("/post_processor", bert.clone());
    assert_unfit(dir.path(), &config(2), &[&file[..], &["id 4294967295"]].concat());
    // What a step puts around the pieces of another is more than either says.
    let mut processors = vec![tokenizer_json["post_processor"].clone(), bert];
    processors[1]["cls"][1] = json!(1);
    let dir = with("/post_processor", json!({"type": "Sequence", "processors": processors}));
    assert_unfit(dir.path(), &config(2), &[&file[..], &["tokens of a text, found"]].concat());
}
