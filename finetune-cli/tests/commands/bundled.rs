//! What works without any file: the bundled model, the bundled reviews, and the runs of a working folder.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use toml::{Table, Value};

use crate::support::*;

/// Enough to see where things go.
const QUICK: [&str; 4] = ["--epochs", "1", "--max-train-samples", "64"];
const TEXT: &str = "The waiter was rude and the soup cold.";

/// A working folder, and the only folder for temporary files.
struct Desk {
    folder: tempfile::TempDir,
    temporary: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = || tempfile::tempdir().unwrap();
        Self { folder: folder(), temporary: folder() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs here, and insists that no temporary file is left or spoken of.
    fn finetune(&self, args: &[&str]) -> Output {
        let mut command = command(args);
        let temporary = self.temporary.path();
        for name in ["TMPDIR", "TEMP", "TMP"] {
            command.env(name, temporary);
        }
        let output = output_of(command.current_dir(self.folder.path()).spawn().unwrap());
        assert!(names(temporary).is_empty(), "{args:?} left {:?}", names(temporary));
        for said in [&output.stdout, &output.stderr] {
            assert!(!said.contains(text(temporary)), "{args:?}: {said}");
        }
        output
    }

    fn succeeds(&self, args: &[&str]) -> Output {
        let output = self.finetune(args);
        assert_eq!(output.code, Some(0), "{args:?}\n{}", output.stderr);
        output
    }

    /// Insists on one error line that holds all of `parts`.
    fn refuses(&self, args: &[&str], parts: &[&str]) {
        let output = self.finetune(args);
        assert_eq!(output.code, Some(1), "{args:?}\n{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        for part in parts {
            assert!(output.stderr.contains(part), "no `{part}` in {}", output.stderr);
        }
    }

    /// A quick training with these flags.
    fn train(&self, more: &[&str]) -> Output {
        self.succeeds(&[&["train"], &QUICK[..], more].concat())
    }

    fn settings(&self, run: &str) -> Table {
        fs::read_to_string(self.path(run).join("train.toml")).unwrap().parse().unwrap()
    }

    /// A folder in `runs` with these files.
    fn put(&self, run: &str, files: &[(&str, &str)]) {
        let folder = self.path("runs").join(run);
        fs::create_dir_all(&folder).unwrap();
        for (name, content) in files {
            fs::write(folder.join(name), content).unwrap();
        }
    }
}

fn recipe() -> Table {
    include_str!("../../assets/tiny/train.toml").parse().unwrap()
}

#[test]
fn train_and_predict_need_nothing() {
    let desk = Desk::new();
    let out = desk.succeeds(&["train"]);
    for part in ["data: the bundled reviews, 1072 training", "model: the bundled tiny model, "] {
        assert!(out.stderr.contains(part), "no `{part}` in {}", out.stderr);
    }
    assert!(out.stdout.contains("\ntest  loss "), "{}", out.stdout);
    let end = format!("saved to runs/train\nnext: finetune predict \"{TEXT}\"\n");
    assert!(out.stdout.ends_with(&end), "{}", out.stdout);
    assert_eq!(names(desk.folder.path()), ["runs"]);
    assert_eq!(names(&desk.path("runs")), ["train"]);
    let config = read_json(&desk.path("runs/train/config.json"));
    assert_eq!(config["architectures"], json!(["BertForSequenceClassification"]));
    assert_eq!(config["id2label"], json!({"0": "negative", "1": "positive"}));

    let settings = desk.settings("runs/train");
    for (key, value) in recipe() {
        assert_eq!(settings.get(&key), Some(&value), "{key}");
    }
    for key in ["model", "train", "validation", "test", "output"] {
        assert!(!settings.contains_key(key), "{key}");
    }
    let out = desk.succeeds(&["predict", TEXT]);
    assert_eq!(out.stderr, "model: runs/train\n");
    assert!(out.stdout.ends_with(&format!("\t{TEXT}\n")), "{}", out.stdout);
}

#[test]
fn the_newest_fine_tuned_model_answers() {
    let desk = Desk::new();
    desk.train(&[]);
    desk.train(&["--seed", "7"]);
    assert_eq!(names(&desk.path("runs")), ["train", "train-2"]);
    // Newer, but none that could answer.
    let masked = r#"{"architectures": ["BertForMaskedLM"]}"#;
    let classifier = r#"{"architectures": ["BertForSequenceClassification"]}"#;
    desk.put("adapted", &[("config.json", masked), ("trainer_state.json", "{}")]);
    desk.put("broken", &[("config.json", "{"), ("trainer_state.json", "{}")]);
    desk.put("downloaded", &[("config.json", classifier)]);
    desk.put("late.partial", &[("config.json", classifier), ("trainer_state.json", "{}")]);
    fs::write(desk.path("runs/notes.txt"), "mine").unwrap();

    let newest = desk.succeeds(&["predict", TEXT]);
    assert_eq!(newest.stderr, "model: runs/train-2\n");
    let named = desk.succeeds(&["predict", "--model", "runs/train-2", TEXT]);
    assert_eq!((named.stdout, named.stderr), (newest.stdout, String::new()));
    fs::write(desk.path("some.csv"), format!("text,label\n{TEXT},negative\n")).unwrap();
    assert_eq!(desk.succeeds(&["evaluate", "some.csv"]).stderr, "model: runs/train-2\n");
    assert_eq!(desk.succeeds(&["predict", "--quiet", TEXT]).stderr, "");
    fs::rename(desk.path("runs/train-2"), desk.path("elsewhere")).unwrap();
    assert_eq!(desk.succeeds(&["predict", TEXT]).stderr, "model: runs/train\n");
    // One that labels words is fine-tuned, too.
    fs::write(desk.path("words.conll"), "a X\nb Y\n\n".repeat(20)).unwrap();
    desk.train(&["--train", "words.conll"]);
    assert_eq!(desk.succeeds(&["predict", TEXT]).stderr, "model: runs/train-2\n");
}

#[test]
fn without_a_run_there_is_nothing_to_ask() {
    let desk = Desk::new();
    fs::write(desk.path("some.csv"), "text,label\na,b\n").unwrap();
    for args in [["predict", TEXT], ["evaluate", "some.csv"]] {
        desk.refuses(
            &args,
            &["runs: no fine-tuned model", "run `finetune train` first", "--model"],
        );
    }
    desk.put("adapted", &[("trainer_state.json", "{}")]);
    desk.refuses(&["predict", TEXT], &["runs: no fine-tuned model"]);
}

#[cfg(unix)]
#[test]
fn a_run_whose_configuration_is_no_file_is_not_waited_for() {
    let desk = Desk::new();
    desk.put("piped", &[("trainer_state.json", "{}")]);
    let pipe = desk.path("runs/piped/config.json");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    desk.refuses(&["predict", TEXT], &["runs: no fine-tuned model"]);
}

#[test]
fn a_bundled_run_is_repeated_from_its_settings() {
    let desk = Desk::new();
    desk.train(&["--learning-rate", "1e-3"]);
    let again = ["train", "--config", "runs/train/train.toml"];
    let out = desk.succeeds(&[&again[..], &["--output", "other"]].concat());
    assert!(out.stdout.ends_with("\nsaved to other\n"), "{}", out.stdout);
    assert_eq!(weights(&desk.path("other")), weights(&desk.path("runs/train")));
    // The free name was no setting of the first run, the typed one is.
    desk.succeeds(&again);
    assert_eq!(weights(&desk.path("runs/train-2")), weights(&desk.path("runs/train")));
    desk.refuses(&["train", "--config", "other/train.toml"], &["already holds a run"]);
}

#[test]
fn typed_flags_and_configuration_files_win_over_the_bundled_recipe() {
    let desk = Desk::new();
    fs::write(desk.path("my.toml"), "learning-rate = 0.25\nbatch-size = 48\nquiet = true\n")
        .unwrap();
    let out = desk.train(&["--config", "my.toml", "--batch-size", "32"]);
    assert!(out.stdout.ends_with("\nsaved to runs/train\n") && out.stderr.is_empty());
    let settings = desk.settings("runs/train");
    let want = [
        ("epochs", Value::Integer(1)),
        ("learning-rate", Value::Float(0.25)),
        ("batch-size", Value::Integer(32)),
    ];
    for (key, value) in want {
        assert_eq!(settings[key], value, "{key}");
    }
}

#[test]
fn another_model_goes_by_the_usual_recipe() {
    let desk = Desk::new();
    let out = desk.train(&["--model", base_model()]);
    let said = ["the bundled reviews, 64 training, 100 validation, 200 test", base_model()];
    assert!(said.iter().all(|part| out.stderr.contains(part)), "{}", out.stderr);
    assert_eq!(desk.settings("runs/train")["learning-rate"], Value::Float(2e-5));
    let toml = format!("model = {:?}\n", base_model());
    fs::write(desk.path("my.toml"), toml).unwrap();
    desk.train(&["--config", "my.toml"]);
    assert_eq!(weights(&desk.path("runs/train-2")), weights(&desk.path("runs/train")));
}

#[test]
fn own_data_goes_to_the_bundled_model() {
    let place = Place::new(reviews(40, 3));
    let desk = Desk::new();
    let out = desk.train(&["--train", text(&place.train)]);
    let said = ["data: 36 training, 4 validation, 0 test", "model: the bundled tiny model, "];
    assert!(said.iter().all(|part| out.stderr.contains(part)), "{}", out.stderr);
    assert!(out.stdout.ends_with("\nnext: finetune predict \"...\"\n"), "{}", out.stdout);
    let settings = desk.settings("runs/train");
    assert_eq!(settings["train"].as_str(), Some(text(&place.train)));
    assert_eq!(settings["learning-rate"], recipe()["learning-rate"]);
}

#[test]
fn bundled_reviews_have_a_validation_file() {
    let desk = Desk::new();
    desk.train(&["--load-best-model-at-end", "--validation-fraction", "0"]);
}

#[test]
fn errors_name_the_bundle_and_leave_nothing() {
    let desk = Desk::new();
    let cases = [
        (&["--text-column", "body"][..], &["error: the bundled reviews", "`body`"][..]),
        (&["--truncate", "99"], &["--truncate 99"]),
        (&["--model", "none"], &["none: no such folder"]),
        (&["--train", "none.csv"], &["none.csv: no such file"]),
        (&["--metric-for-best-model", "best"], &["--metric-for-best-model best"]),
    ];
    for (flags, parts) in cases {
        desk.refuses(&[&["train"], flags].concat(), parts);
        assert!(names(desk.folder.path()).is_empty(), "{flags:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_folder_for_temporary_files_is_needed() {
    let desk = Desk::new();
    let mut command = command(&["train"]);
    command.env("TMPDIR", desk.path("none")).current_dir(desk.folder.path());
    let out = output_of(command.spawn().unwrap());
    let parts = ["error: the bundled tiny model can't be unpacked in", "none", "TMPDIR"];
    assert!(parts.iter().all(|part| out.stderr.contains(part)), "{}", out.stderr);
    assert_eq!((out.code, out.stderr.lines().count()), (Some(1), 1));
}

#[test]
fn a_name_is_free_unless_something_is_there() {
    let desk = Desk::new();
    desk.put("train", &[("thesis.txt", "mine")]);
    desk.put("train-2.partial", &[("thesis.txt", "mine")]);
    // An empty folder and the rest of a killed run are nothing.
    desk.put("train-3", &[]);
    desk.put("train-3.partial", &[("metrics.jsonl", "")]);
    let out = desk.train(&[]);
    assert!(out.stdout.contains("\nsaved to runs/train-3\n"), "{}", out.stdout);
    assert_eq!(names(&desk.path("runs")), ["train", "train-2.partial", "train-3"]);
    assert_eq!(names(&desk.path("runs/train")), ["thesis.txt"]);
}

#[test]
fn help_tells_of_the_bundle_and_its_recipe() {
    let desk = Desk::new();
    for args in [&["train", "--help"][..], &["train", "-h"], &["help", "train"]] {
        let help = desk.succeeds(args).stdout;
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let recipe = recipe();
        let keys = recipe.keys().map(|key| format!("{key} = "));
        for part in keys.chain(["[default: the bundled tiny model".to_owned()]) {
            assert!(help.contains(&part), "{args:?}: no `{part}` in {help}");
        }
    }
    assert!(Path::new(desk.folder.path()).read_dir().unwrap().next().is_none());
}
