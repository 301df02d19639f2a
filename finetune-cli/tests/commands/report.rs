//! `report.html`: of a training, and with `evaluate --report`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::page::{checked, section, texts};
use crate::resuming::{args, checkpoint, labelled, stopped};
use crate::support::*;

/// Rows of reviews, every fifth with the wrong label.
fn mislabelled(rows: usize, seed: u64) -> String {
    let wrong = |(i, line): (usize, &str)| match i % 5 {
        4 if line.ends_with("good") => line.replace(",good", ",poor") + "\n",
        4 => line.replace(",poor", ",good") + "\n",
        _ => line.to_owned() + "\n",
    };
    reviews(rows, seed).lines().enumerate().map(wrong).collect()
}

fn page(run: &Path) -> String {
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    checked(&page);
    page
}

/// The answers to a file of the model in this folder.
fn answers(run: &Path, file: &str) -> Vec<Value> {
    json_lines(&succeeds(&["predict", "--model", text(run), "--file", file, "--json"]).stdout)
}

/// The texts of these losses, the greatest first, without those that have none.
fn worst(losses: impl Iterator<Item = Option<(String, f64)>>) -> Vec<String> {
    let mut losses: Vec<(String, f64)> = losses.flatten().collect();
    losses.sort_by(|a, b| b.1.total_cmp(&a.1));
    losses.into_iter().take(20).map(|(text, _)| text).collect()
}

/// By the labels of a CSV file, what `predict` says of it.
fn worst_reviews(run: &Path, file: &str) -> Vec<String> {
    let content = fs::read_to_string(file).unwrap();
    let labels: Vec<&str> = content.lines().skip(1).map(|l| l.split_once(',').unwrap().1).collect();
    worst(answers(run, file).iter().zip(labels).map(|(answer, label)| {
        let p = answer["scores"][label].as_f64().unwrap();
        let wrong = answer["label"] != label;
        wrong.then(|| (answer["text"].as_str().unwrap().to_owned(), -p.ln()))
    }))
}

#[test]
fn a_training_leaves_a_page_with_the_worst_examples_first() {
    let place = Place::new(reviews(240, 1));
    let test = place.write("test.csv", mislabelled(60, 2));
    let out = place.train(&[&LEARN[..], &["--test", &test, "--logging-steps", "5"]].concat());
    let shown = place.output.display();
    assert!(
        out.stdout.contains(&format!("\nreport: {shown}/report.html\nsaved to {shown}\n")),
        "{}",
        out.stdout
    );
    let page = page(&place.output);
    let want = worst_reviews(&place.output, &test);
    assert!(want.len() >= 8, "{want:?}");
    assert_eq!(texts(&page), want);
    let accuracy = format!(
        "reaches accuracy {:.3} on the 60 examples of",
        metric(&place.output, "test_accuracy")
    );
    let next = format!("finetune predict --model {shown} &quot;...&quot;");
    for part in
        [&accuracy, "train.csv</bdi> (216 examples)", &next, "<dt>learning-rate</dt><dd>0.002</dd>"]
    {
        assert!(page.contains(part), "{part}");
    }
    // Four epochs, each with a training loss, a validation loss and an accuracy; 11 single steps.
    let curves = section(&page, "curves").unwrap();
    assert_eq!(
        (curves.matches("class=\"dot\"").count(), curves.matches("class=\"single\"").count()),
        (12, 11)
    );
}

#[test]
fn evaluate_writes_the_page_of_a_file() {
    let run = trained();
    let place = Place::new("");
    let file = place.write("other.csv", mislabelled(60, 3));
    let report = place.path("page.html");
    let args = ["evaluate", "--model", &run.folder, &file];
    let plain = succeeds(&args).stdout;
    let out = succeeds(&[&args[..], &["--report", text(&report)]].concat());
    let figures = |text: &str| text.split_once('\n').unwrap().1.to_owned();
    assert_eq!(figures(&out.stdout), figures(&plain), "all but the speed");
    let page = fs::read_to_string(&report).unwrap();
    assert_eq!(texts(checked(&page)), worst_reviews(Path::new(&run.folder), &file));
    assert!(page.contains("other.csv") && section(&page, "curves").is_none());
    assert_eq!(names(place.folder.path()), ["other.csv", "page.html", "train.csv"]);
}

#[test]
fn a_page_that_cannot_be_written_is_refused_before_anything_is_computed() {
    let run = trained();
    let place = Place::new("");
    let data = place.write("data.csv", reviews(8, 3));
    fs::create_dir(place.path("folder.html")).unwrap();
    let nowhere = place.path("nowhere/page.html");
    for (page, part) in [
        (text(&nowhere), "can't be written"),
        (text(&place.path("folder.html")), "folder"),
        (data.as_str(), "ends in .html"),
    ] {
        // The file is not there, which is not what is complained of.
        let args = ["evaluate", "--model", &run.folder, "/nowhere.csv", "--report", page];
        refused(&args, &[page, part]);
    }
    assert_eq!(fs::read_to_string(&data).unwrap(), reviews(8, 3));
    assert_eq!(names(place.folder.path()), ["data.csv", "folder.html", "train.csv"]);
}

/// What the best epoch predicted was not kept: it is predicted again. The log is that of all steps.
#[test]
fn after_a_break_the_page_is_whole() {
    let place = labelled();
    let flags = ["--learning-rate", "2e-3", "--load-best-model-at-end", "--epochs", "3"];
    let partial = place.path("run.partial");
    stopped(command(&args(&place, &place.output, &flags)), &partial, "-TERM", 300);
    assert!(checkpoint(&partial) >= 300);
    succeeds(&args(&place, &place.output, &flags));
    let page = page(&place.output);
    let curves = section(&page, "curves").unwrap();
    assert_eq!(curves.matches("class=\"dot\"").count(), 9, "three epochs");
    assert_eq!(curves.matches("class=\"single\"").count(), 81, "every tenth of 810 steps");
    assert!(page.contains("on the 60 examples of <bdi class=\"name\">a part of train.csv</bdi>"));
    let best = read_json(&place.output.join("trainer_state.json"))["best_metric"].as_f64().unwrap();
    assert!(page.contains(&format!("reaches accuracy {best:.3} on")));
}

#[test]
fn a_page_that_cannot_be_written_loses_no_model() {
    let place = labelled();
    let flags = ["--epochs", "2"];
    let partial = place.path("run.partial");
    stopped(command(&args(&place, &place.output, &flags)), &partial, "-TERM", 20);
    fs::create_dir(partial.join("report.html.partial")).unwrap();
    let out = succeeds(&args(&place, &place.output, &flags));
    for part in ["report.html: can't be written: ", "; the model is there without it\n"] {
        assert!(out.stderr.contains(part), "{}", out.stderr);
    }
    assert!(!out.stdout.contains("report: ") && place.output.join("model.safetensors").exists());
}

#[test]
fn numbers_have_the_greatest_errors_first() {
    let rows = |n, seed| {
        let mut numbers = Numbers::new(seed);
        let row = |i: usize| {
            let (word, score) = [("hot", 1.5), ("dam", -0.5), ("fin", 0.5)][i % 3];
            format!("{},{}\n", numbers.sentence(word), score + 0.01 * i as f64)
        };
        "sentence,score\n".to_owned() + &(0..n).map(row).collect::<String>()
    };
    let place = Place::new(rows(120, 1));
    let test = place.write("test.csv", rows(40, 2));
    place.train(&["--epochs", "1", "--test", &test]);
    let content = fs::read_to_string(&test).unwrap();
    let labels =
        content.lines().skip(1).map(|line| line.split_once(',').unwrap().1.parse::<f64>().unwrap());
    let answers = answers(&place.output, &test);
    let want = worst(answers.iter().zip(labels).map(|(answer, label)| {
        let error = (answer["score"].as_f64().unwrap() - label).abs();
        Some((answer["text"].as_str().unwrap().to_owned(), error))
    }));
    let page = page(&place.output);
    assert_eq!(texts(&page), want);
    assert_eq!(section(&page, "scatter").unwrap().matches("class=\"dot\"").count(), 40);
}

#[test]
fn several_labels_have_the_greatest_losses_first() {
    let mut numbers = Numbers::new(1);
    let sets =
        [("hot", json!(["warm"])), ("dam", json!(["wet"])), ("hot dam", json!(["warm", "wet"]))];
    let mut row = |i: usize| {
        let (words, labels) = &sets[i % 3];
        json!({"text": numbers.sentence(words), "labels": labels})
    };
    let rows: Vec<Value> = (0..90).map(&mut row).collect();
    let lines = |rows: &[Value]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    let place = Place::new("");
    let (train_file, test) = (
        place.write("train.jsonl", lines(&rows[..60])),
        place.write("test.jsonl", lines(&rows[60..])),
    );
    train(&place.output, Path::new(&train_file), &["--epochs", "1", "--test", &test]);
    let answers = answers(&place.output, &test);
    let want = worst(answers.iter().zip(&rows[60..]).map(|(answer, row)| {
        let truth = row["labels"].as_array().unwrap();
        let p = |name: &str| answer["scores"][name].as_f64().unwrap();
        let loss = ["warm", "wet"].map(|name| match truth.contains(&json!(name)) {
            true => -p(name).ln(),
            false => -(1.0 - p(name)).ln(),
        });
        let text = answer["text"].as_str().unwrap().to_owned();
        (answer["labels"] != row["labels"]).then(|| (text, loss.iter().sum()))
    }));
    assert!(want.len() > 5, "{want:?}");
    assert_eq!(texts(&page(&place.output)), want);
}

#[test]
fn words_are_marked_where_they_are_wrong() {
    let rows = |n, seed| {
        let mut numbers = Numbers::new(seed);
        let row = |i: usize| {
            let sentence = numbers.sentence(["hot", "dam"][i % 2]);
            let tag = |word: &str| match word {
                "hot" => "B-warm",
                "dam" => "B-wet",
                _ => "O",
            };
            sentence.split(' ').map(|word| format!("{word}\t{}\n", tag(word))).collect::<String>()
                + "\n"
        };
        (0..n).map(row).collect::<String>()
    };
    let place = Place::new("");
    let (train_file, test) =
        (place.write("train.conll", rows(60, 1)), place.write("test.conll", rows(30, 2)));
    train(
        &place.output,
        Path::new(&train_file),
        &["--epochs", "1", "--learning-rate", "1e-3", "--test", &test],
    );
    let content = fs::read_to_string(&test).unwrap();
    let sentences = content.trim().split("\n\n");
    let answers = answers(&place.output, &test);
    let list = |answer: &Value, key: &str| answer[key].as_array().unwrap().clone();
    let want = worst(answers.iter().zip(sentences).map(|(answer, sentence)| {
        let tags = sentence.lines().map(|line| line.split_once('\t').unwrap().1);
        let (given, scores) = (list(answer, "tags"), list(answer, "scores"));
        let wrong = tags.zip(given).zip(scores).filter(|((truth, given), _)| given != truth);
        let losses: Vec<f64> = wrong.map(|(_, p)| -(1.0 - p.as_f64().unwrap()).ln()).collect();
        let words: Vec<String> =
            list(answer, "tokens").iter().map(|w| w.as_str().unwrap().to_owned()).collect();
        (!losses.is_empty()).then(|| (words.join(" "), losses.iter().sum()))
    }));
    let page = page(&place.output);
    let marks = section(&page, "examples").unwrap().matches("<mark>").count();
    assert!(want.len() > 5 && marks >= want.len(), "{want:?}");
    assert_eq!(texts(&page), want);
}
