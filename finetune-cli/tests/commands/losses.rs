//! Class weights and label smoothing.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::accumulation::without_dropout;
use crate::selection::Choice;
use crate::support::*;

const BOTH: [&str; 4] = ["--class-weight", "balanced", "--label-smoothing-factor", "0.1"];

/// Texts of one word each way; three of ten with the second one are `rare`, all others `common`.
fn imbalanced(rows: usize, seed: u64) -> String {
    let mut numbers = Numbers::new(seed);
    let mut csv = String::from("text,label\n");
    for row in 0..rows {
        let word = ["hot", "dam"][row % 2];
        let label = if word == "dam" && numbers.below(10) < 3 { "rare" } else { "common" };
        writeln!(csv, "{},{label}", numbers.sentence(word)).unwrap();
    }
    csv
}

/// The likelier class of every text is the common one; where classes count alike, that of the second word is the rare
/// one: 0.3 n / 0.15 against 0.7 n / 0.85.
#[test]
fn balanced_weights_find_the_rare_class() {
    let place = Place::new(imbalanced(480, 1));
    let test = place.write("test.csv", imbalanced(200, 2));
    // Three in ten of a word are few to learn from.
    let longer = ["--learning-rate", "2e-3", "--epochs", "12"];
    let more = |weights| [&longer[..], &["--test", &test, "--class-weight", weights]].concat();
    place.train(&more("none"));
    let plain = metric(&place.output, "test_recall");
    let weighted = place.path("weighted");
    train(&weighted, &place.train, &more("balanced"));
    let recall = metric(&weighted, "test_recall");
    assert!(plain < 0.1 && recall > 0.9, "{plain} {recall}");
    let settings = fs::read_to_string(weighted.join("train.toml")).unwrap();
    assert!(settings.contains("class-weight = \"balanced\""), "{settings}");
}

/// With two classes, e / 2 of the loss is that of the other class: of the same data with its labels swapped, whose first
/// logits are the same.
#[test]
fn the_first_loss_is_smoothed() {
    let rows = reviews(16, 3);
    let swapped = rows.replace("good", "?").replace("poor", "good").replace('?', "poor");
    let place = Place::new(&rows);
    let first_loss = |rows: &str, name: &str, smoothing: &str| {
        let data = place.write("rows.csv", rows);
        let more = ["--label-smoothing-factor", smoothing, "--logging-steps", "1", "--epochs", "1"];
        let more = [&more[..], &["--validation-fraction", "0"]].concat();
        train(&place.path(name), data.as_ref(), &more);
        let entries = metrics(&place.path(name));
        (entries[0]["step"].as_u64(), entries[0]["loss"].as_f64().unwrap())
    };
    let (step, plain) = first_loss(&rows, "plain", "0");
    assert_eq!(step, Some(1));
    let (_, other) = first_loss(&swapped, "other", "0");
    let (_, smoothed) = first_loss(&rows, "smoothed", "0.3");
    assert!((plain - other).abs() > 1e-2, "{plain} {other}");
    let want = 0.85 * plain + 0.15 * other;
    assert!((smoothed - want).abs() < 1e-6, "{smoothed} {want}");
}

/// What is measured is the same loss for every training: the weights begin equal and stay where they were.
#[test]
fn a_validation_loss_is_the_plain_mean() {
    let place = Place::new(imbalanced(60, 1));
    let still = ["--learning-rate", "1e-30", "--weight-decay", "0", "--epochs", "1"];
    place.train(&still);
    let other = place.path("other");
    train(&other, &place.train, &[&still[..], &BOTH].concat());
    assert_eq!(metric(&place.output, "eval_loss"), metric(&other, "eval_loss"));
    assert_ne!(metric(&place.output, "train_loss"), metric(&other, "train_loss"));
}

/// The training loss of an epoch whose weights stay where they were, without dropout, in batches of four: what is
/// measured afterwards on the same rows is the loss of all its steps.
fn train_loss_at_rest(place: &Place, data: &str, more: &[&str]) -> f64 {
    let model = place.path("model");
    let model = if model.exists() { text(&model).to_owned() } else { without_dropout(place) };
    let still =
        "--learning-rate 1e-30 --weight-decay 0 --epochs 1 --batch-size 4 --overwrite --model";
    let still: Vec<&str> = still.split(' ').chain([&model[..]]).collect();
    train(&place.output, Path::new(data), &[&still[..], more].concat());
    metric(&place.output, "train_loss")
}

#[test]
fn a_training_loss_is_the_mean_over_all_words() {
    // Two to seven words each: a step has more of them than another.
    let row = |line: &str| {
        let (sentence, label) = line.split_once(',').unwrap();
        let words: Vec<&str> = sentence.split(' ').collect();
        let tags = vec![if words.len() > 4 { "long" } else { label }; words.len()];
        json!({"tokens": words, "tags": tags}).to_string() + "\n"
    };
    let place = Place::new("");
    let words = place.write("t.jsonl", reviews(58, 5).lines().skip(1).map(row).collect::<String>());
    let loss = train_loss_at_rest(&place, &words, &["--validation", &words]);
    let want = metric(&place.output, "eval_loss");
    assert!((loss - want).abs() < 1e-6, "{loss} {want}");
}

/// By balanced weights the mean over all texts is the mean over the classes of the mean over the texts of each.
#[test]
fn a_training_loss_is_weighted_as_its_steps_are() {
    let place = Place::new(imbalanced(58, 1));
    let flags = ["--validation-fraction", "0", "--class-weight", "balanced"];
    let loss = train_loss_at_rest(&place, text(&place.train), &flags);
    let rows = imbalanced(58, 1);
    let of_class = |class: &str| {
        let of = |line: &&str| line.ends_with(class) || line.ends_with(",label");
        let file = place.write("c.csv", rows.lines().filter(of).collect::<Vec<_>>().join("\n"));
        let args = ["evaluate", "--model", text(&place.output), &file, "--json"];
        json_lines(&succeeds(&args).stdout)[0]["loss"].as_f64().unwrap()
    };
    let want = (of_class("rare") + of_class("common")) / 2.0;
    assert!((loss - want).abs() < 1e-6, "{loss} {want}");
}

/// The verification measures the training that the next command does.
#[test]
fn a_selection_verifies_with_the_same_loss() {
    let choice = Choice::new(imbalanced(120, 3), imbalanced(60, 4));
    let more = [&["--verify", "1", "--no-truncate", "--train-best"], &BOTH[..]].concat();
    let (weighted, output) = choice.select(&[base_model()], &more);
    let line = output.stdout.lines().find(|line| line.starts_with("finetune train")).unwrap();
    for flag in ["--class-weight balanced", "--label-smoothing-factor 0.1"] {
        assert!(line.contains(flag), "{line}");
    }
    let loss = |summary: &serde_json::Value| {
        summary["candidates"][0]["verified"]["rungs"][0]["loss"].as_f64().unwrap()
    };
    assert_eq!(loss(&weighted), metric(&choice.place.output.join("best"), "eval_loss"));
    // Not from what is on disk.
    let (plain, _) = choice.select(&[base_model()], &more[..3]);
    assert_ne!(loss(&weighted), loss(&plain));
}

#[test]
fn numbers_and_sets_of_labels_have_no_classes_to_weigh() {
    let place = Place::new("text,label\nthe hot,a|b\nthe dam,b\nall,a\nfor all,\n");
    let scores = place.write("scores.csv", "text,label\nthe hot,1.5\nthe dam,0.25\nall,0.5\n");
    let output = text(&place.output);
    let sets = [text(&place.train), "--label-delimiter", "|"];
    let weights = ["--class-weight", "balanced"];
    let smoothing = ["--label-smoothing-factor", "0.1"];
    for (data, name) in
        [(&sets[..], "multi_label_classification"), (&[scores.as_str()], "regression")]
    {
        for flags in [weights, smoothing] {
            let train = ["train", "--model", base_model(), "--output", output, "--train"];
            let select = ["select", "--models", base_model(), "--output", output, "--train"];
            for command in [train, select] {
                let args = [&command[..], data, &["--validation-fraction", "0.3"], &flags].concat();
                let out = finetune(&args);
                let says = out.stderr.contains(flags[0]) && out.stderr.contains(name);
                assert!(out.code == Some(2) && says, "{args:?}\n{}", out.stderr);
                assert!(out.stderr.contains(&format!("Usage: finetune {}", args[0])));
                place.assert_nothing_left();
            }
        }
    }
}
