//! `spm.model`, the vocabulary of a DeBERTa: the ids of transformers' converter, in a folder and after it is saved.

use std::fs;
use std::path::{Path, PathBuf};

use bert::{Config, Encoding, SavedDType, Tokenizer, save_pretrained};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What `make_sentencepiece.py` wrote.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/sentencepiece").join(name)
}

fn expected() -> Value {
    serde_json::from_str(&fs::read_to_string(golden("ids.json")).unwrap()).unwrap()
}

fn of<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// A folder with a model, and what `tokenizer_config.json` says.
fn folder(model: &str, config: &Value) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(golden(model), dir.path().join("spm.model")).unwrap();
    fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    dir
}

fn encode(tokenizer: &Tokenizer, texts: &[(&str, Option<&str>)]) -> Vec<Encoding> {
    tokenizer.encode_batch(texts, 1000).unwrap()
}

fn ids(tokenizer: &Tokenizer, texts: &[String]) -> Vec<Vec<u32>> {
    let texts: Vec<_> = texts.iter().map(|text| (text.as_str(), None)).collect();
    encode(tokenizer, &texts).into_iter().map(|encoding| encoding.ids).collect()
}

#[test]
fn ids_are_those_of_transformers() {
    let expected = expected();
    let texts: Vec<String> = of(&expected["texts"]);
    assert_eq!(expected["cases"].as_array().unwrap().len(), 7);
    for case in expected["cases"].as_array().unwrap() {
        let dir = folder(case["model"].as_str().unwrap(), &case["config"]);
        let tokenizer = Tokenizer::load(dir.path()).unwrap();
        let want: Vec<Vec<u32>> = of(&case["ids"]);
        for ((text, want), got) in texts.iter().zip(&want).zip(ids(&tokenizer, &texts)) {
            assert_eq!(got, *want, "{text:?} by {} {}", case["model"], case["config"]);
        }
        let pairs: Vec<_> =
            (3..12).map(|i| (texts[i].as_str(), Some(texts[i + 27].as_str()))).collect();
        let got: Vec<[Vec<u32>; 2]> =
            encode(&tokenizer, &pairs).into_iter().map(|e| [e.ids, e.type_ids]).collect();
        assert_eq!(got, of::<Vec<[Vec<u32>; 2]>>(&case["pairs"]));
        let [unk, sep, pad, cls, mask] = of(&case["special"]);
        let found =
            [tokenizer.unknown_id(), tokenizer.sep_id(), tokenizer.cls_id(), tokenizer.mask_id()];
        assert_eq!(found, [unk, sep, cls, mask].map(Some));
        assert!(tokenizer.special_ids().contains(&pad));
    }
}

/// Writes a folder with this tokenizer, without weights.
fn save(tokenizer: &Tokenizer) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::parse("{\"model_type\": \"bert\"}", "config.json".as_ref()).unwrap();
    save_pretrained(dir.path(), &config, &[], tokenizer, SavedDType::F32).unwrap();
    dir
}

#[test]
fn a_saved_folder_has_the_same_ids_and_a_class_that_takes_its_rules() {
    let texts: Vec<String> = of(&expected()["texts"]);
    let class = json!({"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": true});
    for config in [json!({}), json!({"split_by_punct": true}), class] {
        let tokenizer = Tokenizer::load(folder("spm.model", &config).path()).unwrap();
        let saved = save(&tokenizer);
        assert!(
            !saved.path().join("spm.model").exists() && !saved.path().join("vocab.txt").exists()
        );
        let again = Tokenizer::load(saved.path()).unwrap();
        assert_eq!(ids(&again, &texts), ids(&tokenizer, &texts), "{config}");
        let text = fs::read_to_string(saved.path().join("tokenizer_config.json")).unwrap();
        let written: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(written["tokenizer_class"], "PreTrainedTokenizerFast");
        assert_eq!(written["do_lower_case"], config["do_lower_case"]);
    }
}

#[test]
fn tokens_that_were_added_have_their_ids() {
    let added = |name: &str, tokens: Value| {
        let dir = folder("spm.model", &json!({}));
        fs::write(dir.path().join(name), tokens.to_string()).unwrap();
        dir
    };
    // Of the model there are 150 pieces; what transformers adds by itself comes behind what is listed.
    let token = |content: &str, special: bool| {
        json!({"content": content, "special": special, "lstrip": false, "rstrip": false, "normalized": !special,
               "single_word": false})
    };
    let decoder = json!({"added_tokens_decoder": {
        "0": token("[PAD]", true), "150": token("<new>", false), "151": token("[MASK]", true)
    }});
    for dir in [
        added("added_tokens.json", json!({"[MASK]": 151, "<new>": 150})),
        added("tokenizer_config.json", decoder),
    ] {
        let tokenizer = Tokenizer::load(dir.path()).unwrap();
        assert_eq!((tokenizer.mask_id(), tokenizer.vocab_size()), (Some(151), 152));
        let got = ids(&tokenizer, &["a<new>[MASK]".to_owned()]).remove(0);
        assert_eq!(&got[got.len() - 3..], [150, 151, 2]);
    }
    let taken = added("added_tokens.json", json!({"<new>": 7}));
    let message = Tokenizer::load(taken.path()).unwrap_err().to_string();
    assert!(message.contains("the added token <new> as 7"), "{message}");
}

#[test]
fn other_kinds_of_models_are_refused() {
    for (model, part) in [
        ("bpe.model", "model_type: expected 1, unigram, found 2"),
        ("char.model", "found 4"),
        ("suffix.model", "treat_whitespace_as_suffix"),
        ("blanks.model", "remove_extra_whitespaces"),
        ("ids.json", "not a model of SentencePiece"),
    ] {
        let message = Tokenizer::load(folder(model, &json!({})).path()).unwrap_err().to_string();
        assert!(message.contains("spm.model") && message.contains(part), "{message}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::copy(golden("spm.model"), dir.path().join("sentencepiece.bpe.model")).unwrap();
    let message = Tokenizer::load(dir.path()).unwrap_err().to_string();
    assert!(message.contains("sentencepiece.bpe.model alone is not read"), "{message}");
}
