//! `evaluate`, `predict` and `inspect` on a fine-tuned model.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::*;

fn evaluated(more: &[&str]) -> Output {
    let run = trained();
    succeeds(&[&["evaluate", "--model", &run.folder, &run.test], more].concat())
}

fn predict<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["predict", "--model", &trained().folder], more].concat()
}

/// The texts of a file of reviews.
fn texts(csv: &str) -> Vec<&str> {
    csv.lines().skip(1).map(|line| line.split_once(',').unwrap().0).collect()
}

#[test]
fn evaluate_gives_the_figures_of_the_run() {
    let figures = &json_lines(&evaluated(&["--json"]).stdout)[0];
    let run = Path::new(&trained().folder);
    for name in ["loss", "accuracy", "f1_macro", "matthews_correlation"] {
        assert_eq!(figures[name].as_f64().unwrap(), metric(run, &format!("test_{name}")), "{name}");
    }
    assert_eq!(figures["examples"], 80);
    assert!(figures["per_class"]["good"]["f1"].is_number());
    // Other batches: the same sequences, not to the last bit.
    let one = &json_lines(&evaluated(&["--json", "--batch-size", "1"]).stdout)[0];
    assert_eq!(one["confusion_matrix"], figures["confusion_matrix"]);
    let shown = evaluated(&[]).stdout;
    assert!(shown.starts_with("80 examples, ") && shown.contains("\naccuracy "), "{shown}");
}

#[test]
fn predictions_are_those_that_evaluate_counts() {
    let run = trained();
    let csv = fs::read_to_string(&run.test).unwrap();
    let answers = json_lines(&succeeds(&predict(&["--file", &run.test, "--json"])).stdout);
    let mut confusion = [[0; 2]; 2];
    for (answer, line) in answers.iter().zip(csv.lines().skip(1)) {
        let (text, label) = line.split_once(',').unwrap();
        assert_eq!(answer["text"], text);
        let place = |label: &str| usize::from(label == "poor");
        confusion[place(label)][place(answer["label"].as_str().unwrap())] += 1;
    }
    assert_eq!(answers.len(), 80);
    let figures = &json_lines(&evaluated(&["--json"]).stdout)[0];
    assert_eq!(figures["confusion_matrix"], json!(confusion));
}

#[test]
fn every_way_to_give_texts_gives_the_same_answers() {
    let place = Place::new(reviews(12, 5));
    let csv = fs::read_to_string(&place.train).unwrap();
    let texts = texts(&csv);
    let want = succeeds(&predict(&texts)).stdout;
    assert_eq!(want.lines().count(), 12);
    let first = want.lines().next().unwrap().split('\t').collect::<Vec<_>>();
    assert!(first[0] == "good" && first[1].parse::<f32>().unwrap() > 0.5, "{first:?}");
    assert_eq!(first[2], texts[0]);

    let lines = texts.join("\n");
    let jsonl: String = texts.iter().map(|text| json!({"text": text}).to_string() + "\n").collect();
    for (name, content) in [("t.txt", &lines), ("t.jsonl", &jsonl), ("t.csv", &csv)] {
        let file = place.write(name, content);
        assert_eq!(succeeds(&predict(&["--file", &file])).stdout, want, "{name}");
    }
    for input in [lines.clone(), lines.clone() + "\n", lines.replace('\n', "\r\n")] {
        assert_eq!(finetune_with_input(&predict(&[]), input.as_bytes()).stdout, want);
    }
    let other = csv.replacen("text,", "words,", 1);
    for (flags, input) in [
        (&["--format", "jsonl"][..], &jsonl),
        (&["--format", "csv"], &csv),
        (&["--format", "csv", "--text-column", "words"], &other),
        (&["--format", "csv", "--literal-quotes"], &csv),
    ] {
        let out = finetune_with_input(&predict(flags), input.as_bytes());
        assert_eq!(out.stdout, want, "{flags:?} {}", out.stderr);
    }
}

#[test]
fn json_has_every_score() {
    let answers = json_lines(&succeeds(&predict(&["--json", "the hot act", ""])).stdout);
    for answer in &answers {
        let scores = answer["scores"].as_object().unwrap();
        assert_eq!(scores.keys().collect::<Vec<_>>(), ["good", "poor"]);
        let sum: f64 = scores.values().map(|p| p.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert_eq!(answer["score"], scores[answer["label"].as_str().unwrap()]);
    }
    assert_eq!((answers.len(), &answers[1]["text"]), (2, &json!("")));
}

#[test]
fn a_text_with_line_breaks_stays_on_one_line() {
    let out = succeeds(&predict(&["the\nhot\tact"])).stdout;
    assert!(out.ends_with("\tthe hot act\n"), "{out}");
}

#[test]
fn objects_repeat_the_other_columns_of_a_file() {
    let place = Place::new("");
    let rows = r#"{"id": 7, "text": "the hot act", "label": "-1", "meta": {"a": [1, null]}}
{"id": "x", "text": "the dam was", "label": "-1", "meta": null}"#;
    let answers = json_lines(
        &succeeds(&predict(&["--file", &place.write("t.jsonl", rows), "--json"])).stdout,
    );
    let columns = |i: usize| (&answers[i]["id"], &answers[i]["meta"]);
    assert_eq!(columns(0), (&json!(7), &json!({"a": [1, null]})));
    assert_eq!(columns(1), (&json!("x"), &Value::Null));
    // What is answered stands where the placeholder was.
    assert!(answers[0]["label"] == "good" && answers[1]["label"] == "poor", "{answers:?}");
}

/// A table of many rows is answered block by block, at `--batch-size 1` sixteen rows at a time.
#[test]
fn rows_of_a_long_table_keep_their_columns() {
    let place = Place::new("");
    let text = |i: usize| format!("the hot act{}", " dam".repeat(i % 7));
    let rows: String =
        (0..40).map(|i| format!("{}\n", json!({"id": i, "text": text(i)}))).collect();
    let file = place.write("t.jsonl", rows);
    let answers = |more: &[&str]| {
        let args = predict(&[&["--file", file.as_str(), "--json"], more].concat());
        json_lines(&succeeds(&args).stdout)
    };
    let (by_ones, at_once) = (answers(&["--batch-size", "1"]), answers(&["--batch-size", "64"]));
    assert_eq!((by_ones.len(), at_once.len()), (40, 40));
    for (i, (one, other)) in by_ones.iter().zip(&at_once).enumerate() {
        assert_eq!((&one["id"], &one["text"]), (&json!(i), &json!(text(i))));
        assert_eq!((&one["id"], &one["label"]), (&other["id"], &other["label"]));
        let [one, other] = [one, other].map(|answer| answer["score"].as_f64().unwrap());
        assert!((one - other).abs() < 1e-5, "row {i}: {one} {other}");
    }
}

#[test]
fn placeholders_for_labels_do_not_disturb_predictions() {
    let place = Place::new("id,text,label\n7,the hot act,-1\n8,,-1\n");
    let out = succeeds(&predict(&["--file", text(&place.train)])).stdout;
    assert_eq!(out.lines().count(), 2, "{out}");
}

#[test]
fn a_line_is_answered_before_the_next_one_comes() {
    let mut child = command(&predict(&[])).stdin(Stdio::piped()).spawn().unwrap();
    let (mut input, mut answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for line in ["the hot act\n", "the dam was\n"] {
        input.write_all(line.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while answer.last() != Some(&b'\n') {
            let mut byte = [0];
            answers.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
        assert!(String::from_utf8(answer).unwrap().ends_with(line));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let file = trained().test.clone();
    let commands = [
        predict(&["--file", &file]),
        vec!["inspect", &trained().folder],
        vec!["evaluate", "--model", &trained().folder, &file],
    ];
    for args in commands {
        let mut child = command(&args).spawn().unwrap();
        drop(child.stdout.take());
        let out = output_of(child);
        assert_eq!((out.code, out.stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn inspect_shows_what_is_there() {
    let run = trained();
    let shown = succeeds(&["inspect", &run.folder]).stdout;
    for part in ["2 layers, hidden 32", "one of 2 classes: good, poor", "classifier.bias", "MB"] {
        assert!(shown.contains(part), "no {part} in\n{shown}");
    }
    let object: Value =
        serde_json::from_str(&succeeds(&["inspect", &run.folder, "--json"]).stdout).unwrap();
    let tensors = object["tensors"].as_array().unwrap();
    let elements: u64 = tensors.iter().map(|t| t["elements"].as_u64().unwrap()).sum();
    assert_eq!(object["parameters"], elements);
    assert_eq!(object["memory"]["weights"], 4 * elements);
    assert_eq!(object["config"]["hidden_size"], 32);
    assert_eq!(object["task"], "single_label_classification");
    assert_eq!(object["problem_type"], object["task"]);
    assert_eq!(object["labels"], json!(["good", "poor"]));
    let base = succeeds(&["inspect", base_model()]).stdout;
    assert!(base.contains("task: none"), "{base}");
    let base = succeeds(&["inspect", base_model(), "--json"]).stdout;
    let base: Value = serde_json::from_str(&base).unwrap();
    assert!(["task", "problem_type", "labels"].iter().all(|key| base[key].is_null()), "{base}");
}

#[test]
fn a_head_whose_labels_have_no_names_can_be_used() {
    // transformers leaves LABEL_0 and LABEL_1 out of a configuration.
    let place = Place::new(reviews(4, 1));
    let model = place.copy_of(&trained().folder);
    let mut config = read_json(&model.join("config.json"));
    for key in ["id2label", "label2id", "problem_type"] {
        config.as_object_mut().unwrap().remove(key);
    }
    fs::write(model.join("config.json"), config.to_string()).unwrap();
    let out = succeeds(&["predict", "--model", text(&model), "the hot act"]).stdout;
    assert!(out.starts_with("LABEL_0\t"), "{out}");
}

#[test]
fn the_length_of_the_training_holds_for_the_model() {
    let place = Place::new(reviews(40, 3));
    place.train(&["--epochs", "1", "--max-length", "3"]);
    // Of three tokens one is the first word.
    let args = ["predict", "--model", text(&place.output), "--json", "the hot act", "the dam"];
    let scores: Vec<Value> =
        json_lines(&succeeds(&args).stdout).iter().map(|a| a["score"].clone()).collect();
    assert_eq!(scores[0], scores[1]);
    let longer = [&args[..], &["--max-length", "8"]].concat();
    let scores: Vec<Value> =
        json_lines(&succeeds(&longer).stdout).iter().map(|a| a["score"].clone()).collect();
    assert_ne!(scores[0], scores[1]);
}

/// The folder of a run as another program would have left it: without the flags of the training.
fn from_elsewhere(place: &Place, model_max_length: Value) -> String {
    let model = place.copy_of(&trained().folder);
    fs::remove_file(model.join("train.toml")).unwrap();
    let path = model.join("tokenizer_config.json");
    let mut settings = read_json(&path);
    settings["model_max_length"] = model_max_length;
    fs::write(path, settings.to_string()).unwrap();
    text(&model).to_owned()
}

/// transformers' pipelines cut at `model_max_length`; where it is larger than the model, as in many folders, at the
/// last position.
#[test]
fn texts_for_a_model_from_elsewhere_are_cut_where_its_tokenizer_says() {
    let long = "the ".repeat(80);
    for (noted, cut) in [(json!(10), 10), (json!(1e30), 64), (json!(100), 64)] {
        let place = Place::new("");
        let model = from_elsewhere(&place, noted);
        let answers = |more: &[&str]| {
            succeeds(
                &[&["predict", "--model", &model, "--json", "the hot act", &long], more].concat(),
            )
        };
        let (plain, typed) = (answers(&[]), answers(&["--max-length", &cut.to_string()]));
        assert_eq!(plain.stdout, typed.stdout);
        let says = format!("1 texts truncated to {cut} tokens");
        assert!(plain.stderr.contains(&says), "{}", plain.stderr);
        assert_eq!(plain.stderr.contains("--max-length may be up to 64"), cut < 64);
        assert_eq!(answers(&["--quiet"]).stderr, "");
    }
}

#[test]
fn texts_that_were_cut_are_counted_for_programs_too() {
    let evaluated = evaluated(&["--json", "--max-length", "4"]);
    let cut = json_lines(&evaluated.stdout)[0]["truncated"].as_u64().unwrap();
    assert!(evaluated.stderr.contains(&format!("{cut} texts truncated to 4 tokens")) && cut > 0);
    let csv = fs::read_to_string(&trained().test).unwrap();
    let answers =
        finetune_with_input(&predict(&["--max-length", "4"]), texts(&csv).join("\n").as_bytes());
    assert!(answers.stderr.contains(&format!("{cut} texts truncated")), "{}", answers.stderr);
}

#[test]
fn columns_that_predict_does_not_need_may_be_anything() {
    let place = Place::new("");
    let file = place.write("rows.csv", "text,score,stars\na plain text,1,2\n");
    let out = succeeds(&["predict", "--model", &trained().folder, "--file", &file]);
    assert_eq!(out.stdout.lines().count(), 1);
}

/// Rows with a pair, of which the first text alone is trained on, and labels under an unusual name.
fn odd_rows(rows: usize, seed: u64) -> String {
    let csv = reviews(rows, seed);
    let odd = csv.lines().skip(1).map(|line| {
        let (text, label) = line.split_once(',').unwrap();
        format!("{text},fin dam hot,{label}\n")
    });
    "sentence1,sentence2,verdict\n".to_owned() + &odd.collect::<String>()
}

#[test]
fn later_files_are_read_by_the_columns_of_the_training() {
    let place = Place::new(odd_rows(80, 3));
    let test = place.write("test.csv", odd_rows(40, 4));
    let columns = ["--text-column", "sentence1", "--label-column", "verdict"];
    let more = [&["--epochs", "1", "--test", &test], &columns[..]].concat();
    place.train(&more);
    let model = text(&place.output);
    let evaluate = ["evaluate", "--model", model, &test, "--json"];
    let out = succeeds(&evaluate);
    assert_eq!(
        json_lines(&out.stdout)[0]["loss"].as_f64(),
        Some(metric(&place.output, "test_loss"))
    );
    assert_eq!(out.stderr, "");
    let predict = ["predict", "--model", model, "--file", &test];
    let first = succeeds(&predict).stdout.lines().next().unwrap().to_owned();
    assert_eq!(first.split('\t').count(), 3, "{first}");
    // Typed columns win, and what is odd about them is said.
    let pair = [&predict[..], &["--text-column", "sentence1,sentence2"]].concat();
    let out = succeeds(&pair);
    assert!(out.stderr.contains("trained on single texts, and these are pairs"), "{}", out.stderr);
    assert!(out.stdout.lines().next().unwrap().split('\t').count() == 4, "{}", out.stdout);
    // A file of another layout is read as it looks.
    let other = place.write("other.csv", "id,text\n1,the hot act\n");
    succeeds(&["predict", "--model", model, "--file", &other]);
}

#[test]
fn a_model_of_pairs_says_that_it_is_asked_about_single_texts() {
    let place = Place::new(odd_rows(40, 3).replacen("verdict", "label", 1));
    place.train(&["--epochs", "1"]);
    let predict = ["predict", "--model", text(&place.output), "the hot act"];
    let out = succeeds(&predict);
    assert!(
        out.stderr.contains("trained on pairs of texts, and these are single"),
        "{}",
        out.stderr
    );
    assert_eq!(succeeds(&[&predict[..], &["--pair", "b"]].concat()).stderr, "");
    assert_eq!(succeeds(&[&predict[..], &["--quiet"]].concat()).stderr, "");
}

/// Two stray quotes swallow the rows between them where quotes are read as such.
#[test]
fn literal_quotes_and_formats_of_the_training_hold_for_its_files() {
    let place = Place::new("");
    let rows =
        "sentence\tlabel\n\"the hot act\tgood\nthe dam was\tpoor\nfin for\"\tgood\nbra all\tpoor\n";
    let file = place.write("rows.txt", rows);
    let flags =
        ["--format", "tsv", "--literal-quotes", "--epochs", "1", "--validation-fraction", "0"];
    train(&place.output, Path::new(&file), &flags);
    let evaluate = ["evaluate", "--model", text(&place.output), "--json"];
    for name in ["test.tsv", "test.data"] {
        let test = place.write(name, rows);
        let out = succeeds(&[&evaluate[..], &[&test]].concat());
        assert_eq!(json_lines(&out.stdout)[0]["examples"], 4, "{name}");
    }
    // A file of another format has rules of its own.
    let csv = place.write("test.csv", "sentence,label\n\"the hot, act\",good\n");
    succeeds(&[&evaluate[..], &[&csv]].concat());
}

#[test]
fn models_are_found_by_name_in_the_hugging_face_cache() {
    let place = Place::new(reviews(40, 3));
    let model = place.path("hub/models--org--tuned");
    let snapshot = model.join("snapshots/abc");
    for folder in [&snapshot, &model.join("refs")] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(model.join("refs/main"), "abc").unwrap();
    for name in names(Path::new(&trained().folder)) {
        fs::copy(trained().file(&name), snapshot.join(&name)).unwrap();
    }
    let run = |args: &[&str]| {
        let mut command = command(args);
        let child = command.env("HF_HUB_CACHE", place.path("hub")).current_dir(place.folder.path());
        let out = output_of(child.spawn().unwrap());
        assert_eq!(out.code, Some(0), "{args:?}\n{}", out.stderr);
        out
    };
    let (train_file, quick) = (text(&place.train), ["--model", "org/tuned", "--epochs", "1"]);
    run(&["predict", "--model", "org/tuned", "the hot act"]);
    run(&["evaluate", "--model", "org/tuned", train_file]);
    run(&["inspect", "org/tuned"]);
    run(&[&["train", "--train", train_file, "--output", "run"], &quick[..]].concat());
    run(&[&["adapt", "--text", train_file, "--output", "adapted"], &quick[..]].concat());
    // What is noted is the folder, from which the run is repeated.
    succeeds(&[
        "train",
        "--config",
        text(&place.path("run/train.toml")),
        "--output",
        text(&place.path("again")),
    ]);
    assert_eq!(weights(&place.path("again")), weights(&place.path("run")));
    refused(
        &["predict", "--model", "org/other", "a"],
        &["org/other", "Hugging Face cache", "hf download"],
    );
}
