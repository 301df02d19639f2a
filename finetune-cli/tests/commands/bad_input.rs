//! Data and models that are wrong: one line, exit code 1, nothing left behind.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::*;

#[test]
fn data_files() {
    let cases: [(&[u8], &[&str]); 9] = [
        (b"", &["train.csv", "empty"]),
        (b"text,label\n", &["train.csv", "no rows"]),
        (b"text,label\na,x\nb,y,z\n", &["train.csv, line 3", "expected 2 fields", "found 3"]),
        (b"text,label\na,x\n\xff\xfe,y\n", &["line 3", "not UTF-8"]),
        (b"text,label\na,x\nb,x\n", &["every label is `x`", "two classes"]),
        (b"words,label\na,x\nb,y\n", &["text column", "`words`, `label`", "--text-column"]),
        (b"text,kind\na,x\nb,y\n", &["label column", "`text`, `kind`", "--label-column"]),
        (b"text,score,stars\na,x,x\nb,y,y\n", &["`score`, `stars`", "choose with --label-column"]),
        (b"text,label\na,x\n\"b,y\n", &["line 3", "never ends"]),
    ];
    for (content, parts) in cases {
        Place::new(content).refuses(&[], parts);
    }
}

#[test]
fn missing_files_and_columns() {
    let place = Place::new(reviews(20, 1));
    let none = text(&place.path("none.csv")).to_owned();
    place.refuses(&["--train", &none], &["none.csv", "no such file"]);
    place.refuses(&["--test", &none], &["none.csv", "no such file"]);
    place.refuses(&["--validation", &none], &["none.csv", "no such file"]);
    place.refuses(&["--model", &none], &["none.csv", "no such folder"]);
    let flags = ["--text-column", "review"];
    place.refuses(&flags, &["no column `review`", "`text`, `label`"]);
    place.refuses(&["--metric-for-best-model", "bleu"], &["bleu", "loss, accuracy"]);
    let test = place.write("test.csv", "text\nthe\n");
    place.refuses(&["--test", &test], &["test.csv", "no column `label`", "`text`"]);
    let test = place.write("test.csv", "text,label\nthe,good\nthe,fair\n");
    place.refuses(&["--test", &test], &["test.csv", "`fair` (1 row)", "known are `good`, `poor`"]);
}

#[test]
fn an_empty_text_is_kept() {
    let place = Place::new("text,label\n,a\nthe,b\nall,a\n,b\n");
    let out = place.train(&["--epochs", "1", "--validation-fraction", "0"]);
    assert!(out.stderr.contains("train.csv: 2 rows have an empty text\n"), "{}", out.stderr);
    assert_eq!(metrics(&place.output)[0]["step"], 1);
}

/// Damages a copy of the base model, and expects these words.
fn broken_model(damage: impl Fn(&Path), parts: &[&str]) {
    let place = Place::new(reviews(8, 1));
    let model = place.copy_of(base_model());
    damage(&model);
    place.refuses(&["--model", text(&model)], parts);
    refused(&["inspect", text(&model)], &[]);
}

fn edit_config(model: &Path, key: &str, value: Value) {
    let mut config = read_json(&model.join("config.json"));
    config[key] = value;
    fs::write(model.join("config.json"), config.to_string()).unwrap();
}

fn edit_weights(model: &Path, edit: impl Fn(&mut Vec<u8>)) {
    let path = model.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    edit(&mut bytes);
    fs::write(&path, bytes).unwrap();
}

#[test]
fn weights_that_are_damaged() {
    broken_model(
        |model| edit_weights(model, |bytes| bytes.truncate(bytes.len() - 10)),
        &["model.safetensors"],
    );
    broken_model(|model| edit_weights(model, |bytes| bytes.truncate(5)), &["model.safetensors"]);
    broken_model(
        |model| edit_weights(model, |bytes| bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes())),
        &["model.safetensors", "header"],
    );
    broken_model(|model| fs::remove_file(model.join("model.safetensors")).unwrap(), &["weights"]);
    broken_model(|model| fs::remove_file(model.join("config.json")).unwrap(), &["config.json"]);
    broken_model(|model| edit_config(model, "model_type", json!("gpt2")), &["model_type", "gpt2"]);
    let few = |model: &Path| edit_config(model, "vocab_size", json!(400));
    broken_model(few, &["500 tokens", "400 rows"]);
}

#[test]
fn weights_that_are_not_numbers() {
    let place = Place::new(reviews(8, 1));
    let model = place.copy_of(base_model());
    edit_weights(&model, |bytes| {
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    place.refuses(&["--model", text(&model)], &["tensor bert.", "NaN"]);
}

/// Overwrites the first values of a tensor.
fn fill(model: &Path, name: &str, values: &[f32]) {
    let new: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    edit_weights(model, |bytes| {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let begin = 8 + length + header[name]["data_offsets"][0].as_u64().unwrap() as usize;
        bytes[begin..begin + new.len()].copy_from_slice(&new);
    });
}

#[test]
fn answers_that_are_no_numbers() {
    let place = Place::new(reviews(8, 1));
    let model = place.copy_of(&trained().folder);
    let (folder, file) = (text(&model), text(&place.train));
    fill(&model, "classifier.weight", &[3e38; 64]);
    let ask = ["predict", "--model", folder, "the hot act", "the dam"];
    for args in [&ask[..], &[&ask[..], &["--json"]].concat()] {
        refused(args, &[folder, "the logits of the text \"the hot act\" are not finite"]);
        assert_eq!(finetune(args).stdout, "");
    }
    let parts = [folder, "the logits of the text", "are not finite"];
    refused(&["predict", "--model", folder, "--file", file], &parts);
    refused(&["evaluate", "--model", folder, file], &parts);

    // One logit is minus the largest number, and some more of either sign: the other class would look certain.
    fill(&model, "classifier.weight", &[0.0; 64]);
    fill(&model, "classifier.bias", &[-f32::MAX]);
    let overflows = |weight: &&f32| {
        fill(&model, "classifier.weight", &[**weight]);
        finetune(&ask[..4]).code == Some(1)
    };
    assert_eq!([f32::MAX, -f32::MAX].iter().filter(overflows).count(), 1);
}

#[test]
fn settings_of_a_training_that_are_damaged() {
    let place = Place::new(reviews(8, 1));
    let model = place.copy_of(&trained().folder);
    let (folder, file) = (text(&model), text(&place.train));
    let path = model.join("train.toml");
    let refuses = |parts: &[&str]| {
        let parts = [&["train.toml"], parts].concat();
        refused(&["predict", "--model", folder, "the hot act"], &parts);
        refused(&["predict", "--model", folder, "--file", file], &parts);
        refused(&["evaluate", "--model", folder, file], &parts);
    };
    let cases: [(&[u8], &[&str]); 7] = [
        (b"max-length = 4\ntext-column = [\"b\"", &["not the settings of a training", "line 2"]),
        (b"max-length = \"4\"", &["not the settings of a training", "max-length"]),
        (b"\xff", &["not the settings of a training"]),
        (b"text-column = []", &["text-column: 0 columns"]),
        (b"text-column = [\"text\", \"text\", \"label\"]", &["text-column: 3 columns"]),
        // Nobody typed --max-length.
        (b"max-length = 1000", &["max-length 1000", "64 positions"]),
        (b"max-length = 2", &["max-length 2", "64 positions"]),
    ];
    for (content, parts) in cases {
        fs::write(&path, content).unwrap();
        refuses(parts);
    }
    fs::remove_file(&path).unwrap();
    succeeds(&["predict", "--model", folder, "the hot act"]);
    fs::create_dir(&path).unwrap();
    refuses(&["not the settings of a training"]);
}

#[test]
fn weights_that_do_not_fit_are_all_listed() {
    let place = Place::new(reviews(8, 1));
    let model = place.copy_of(base_model());
    edit_config(&model, "intermediate_size", json!(48));
    let layer = |i: u32, part: &str| format!("bert.encoder.layer.{i}.{part}: expected ");
    let names = [
        layer(0, "intermediate.dense.weight"),
        layer(0, "intermediate.dense.bias"),
        layer(1, "output.dense.weight"),
    ];
    let parts: Vec<&str> =
        names.iter().map(String::as_str).chain(["[48, 32], found [64, 32]"]).collect();
    place.refuses(&["--model", text(&model)], &parts);
}

#[test]
fn a_model_is_no_longer_than_its_positions() {
    let place = Place::new(reviews(8, 1));
    place.refuses(&["--max-length", "65"], &["--max-length 65", "64 positions"]);
}

#[test]
fn a_base_model_can_not_predict() {
    let place = Place::new(reviews(8, 1));
    let parts = ["not fine-tuned", "classifier.weight", "finetune train"];
    refused(&["predict", "--model", base_model(), "the"], &parts);
    refused(&["evaluate", "--model", base_model(), text(&place.train)], &parts);
}

#[test]
fn labels_that_a_model_does_not_have() {
    let place = Place::new("text,label\nthe,good\nall,fair\n");
    let model = &trained().folder;
    refused(&["evaluate", "--model", model, text(&place.train)], &["train.csv", "`fair`"]);
    let unlabelled = place.write("unlabelled.csv", "text,id\nthe,1\n");
    let parts = ["unlabelled.csv", "label column", "`text`, `id`", "--label-column"];
    refused(&["evaluate", "--model", model, &unlabelled], &parts);
    let copy = place.copy_of(model);
    edit_config(&copy, "id2label", json!({"0": "a", "1": "b", "2": "c"}));
    edit_config(&copy, "label2id", json!({"a": 0, "b": 1, "c": 2}));
    refused(&["predict", "--model", text(&copy), "the"], &["3 labels", "2 rows"]);
}

#[test]
fn texts_that_can_not_be_read() {
    let model = &trained().folder;
    let place = Place::new(reviews(4, 1));
    let latin = place.write("latin.txt", b"the\nall \xe9\n");
    refused(&["predict", "--model", model, "--file", &latin], &["latin.txt, line 2", "UTF-8"]);
    let none = text(&place.path("none.txt")).to_owned();
    refused(&["predict", "--model", model, "--file", &none], &["none.txt", "can't be read"]);
    let out = finetune_with_input(&["predict", "--model", model], b"\xff\n");
    assert_eq!(out.code, Some(1));
    assert!(out.stderr.starts_with("error: standard input, line 1: "), "{}", out.stderr);
}

#[test]
fn a_loss_that_is_no_number_stops_the_run() {
    let place = Place::new(reviews(60, 1));
    let flags = ["--learning-rate", "1e30", "--epochs", "3", "--warmup-ratio", "0"];
    place.refuses(&flags, &["training diverged at step 2 of 12", "--learning-rate"]);
    // One step only: no loss comes after the update that did the damage.
    let last = ["--learning-rate", "3.4e38", "--epochs", "1", "--warmup-ratio", "0"];
    let last = [&last[..], &["--batch-size", "64", "--validation-fraction", "0"]].concat();
    place.refuses(&last, &["training diverged at step 1 of 1", "not finite"]);
}

#[test]
fn a_truncated_file_with_one_class_left() {
    let sorted: String = (0..20).map(|i| format!("word {i},{}\n", i / 10)).collect();
    let place = Place::new(format!("text,label\n{sorted}"));
    place.refuses(&["--max-train-samples", "5"], &["every label is `0`", "two classes"]);
}

#[test]
fn a_polynomial_that_would_rise() {
    let place = Place::new(reviews(20, 1));
    let flags = ["--lr-scheduler-type", "polynomial", "--learning-rate", "1e-8"];
    let args = train_args(text(&place.output), text(&place.train), &flags);
    let out = finetune(&args);
    assert_eq!(out.code, Some(2), "{}", out.stderr);
}

/// The file lists two classes, and all rows are of one.
#[test]
fn one_class_of_those_that_a_file_lists_is_refused() {
    let file = format!("{}/tests/fixtures/parquet/one_class.parquet", env!("CARGO_MANIFEST_DIR"));
    let place = Place::new("");
    refused(
        &train_args(text(&place.output), &file, &["--validation-fraction", "0"]),
        &["one_class.parquet: every label is `world`", "two classes"],
    );
    place.assert_nothing_left();
}

/// A line break would cut the line of a prediction in two, an escape sequence paint the terminal.
#[test]
fn labels_with_control_characters() {
    let csv = "text,label\na,\"p\nq\u{1b}[31m\"\nb,r\n";
    Place::new(csv).refuses(&[], &["train.csv", r#""p\nq\u{1b}[31m""#, "control characters"]);
    let place = Place::new("");
    let model = place.copy_of(&trained().folder);
    edit_config(&model, "id2label", json!({"0": "p\nq\u{1b}[31m", "1": "r"}));
    let parts = ["config.json", "id2label.0", r#""p\nq\u{1b}[31m""#, "control characters"];
    refused(&["predict", "--model", text(&model), "a"], &parts);
    refused(&["inspect", text(&model)], &parts);
    let out = finetune(&["predict", "--model", "/nowhere/\u{1b}[31m", "a"]);
    assert!(out.code == Some(1) && !out.stderr.contains('\u{1b}'), "{}", out.stderr);
}
