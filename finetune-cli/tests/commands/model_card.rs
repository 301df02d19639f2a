//! The model card of a run, against `evaluate`, the log, and the run that its settings give again.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::*;

/// Labels and a file name that are markup where they are not escaped.
const LABELS: [&str; 2] = ["<b>good</b>", "a|b"];

fn card(folder: &Path) -> String {
    fs::read_to_string(folder.join("README.md")).unwrap()
}

/// Keys and values of the metadata in their order; what stands in quotes is JSON.
fn metadata(card: &str) -> Vec<(String, Value)> {
    let (yaml, _) = card.strip_prefix("---\n").unwrap().split_once("---\n").unwrap();
    let pair = |line: &str| {
        let (key, value) = line.split_once(':').unwrap();
        let value = value.trim();
        let parsed = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        (key.trim_start_matches([' ', '-']).to_owned(), parsed)
    };
    yaml.lines().map(pair).collect()
}

/// The cells of the line of a table that begins with this one.
fn row<'a>(card: &'a str, first: &str) -> Vec<&'a str> {
    let line = card.lines().find(|line| line.starts_with(&format!("| {first} |")));
    let line = line.unwrap_or_else(|| panic!("no row {first} in\n{card}"));
    line.trim_matches('|').split(" |").map(str::trim).collect()
}

fn with_labels(reviews: String) -> String {
    reviews
        .replace(",good", &format!(",{}", LABELS[0]))
        .replace(",poor", &format!(",{}", LABELS[1]))
}

#[test]
fn a_run_has_a_model_card_with_its_figures() {
    let place = Place::new(with_labels(reviews(120, 3)));
    let test = place.write("test of #1.csv", with_labels(reviews(40, 4)));
    let flags =
        [&LEARN[..], &["--test", &test, "--load-best-model-at-end", "--epochs", "12"]].concat();
    let out = place.train(&flags);
    let card = card(&place.output);

    let measured = &json_lines(
        &succeeds(&["evaluate", "--model", text(&place.output), &test, "--json"]).stdout,
    )[0];
    let of_card = metadata(&card);
    let value_of = |key: &str| &of_card.iter().find(|(name, _)| name == key).unwrap().1;
    assert_eq!(value_of("library_name"), "transformers");
    assert_eq!(value_of("pipeline_tag"), "text-classification");
    assert_eq!((value_of("name"), value_of("split")), (&json!("run"), &json!("test")));
    assert!(of_card.contains(&("name".to_owned(), json!("test of #1.csv"))));
    let figures: Vec<_> = of_card.windows(2).filter(|pair| pair[1].0 == "value").collect();
    for pair in &figures {
        let want = &measured[pair[0].1.as_str().unwrap()];
        assert_eq!(pair[1].1.as_f64(), want.as_f64(), "{pair:?}");
    }
    assert!(figures.iter().any(|pair| pair[0].1 == "accuracy") && figures.len() > 5, "{card}");

    // The validation figures are those of the weights that were kept.
    let state = read_json(&place.output.join("trainer_state.json"));
    let of_validation = format!("{:.4}", state["best_metric"].as_f64().unwrap());
    let of_test = format!("{:.4}", measured["accuracy"].as_f64().unwrap());
    assert_eq!(row(&card, "accuracy"), ["accuracy", &of_validation, &of_test]);
    for entry in metrics(&place.output).iter().filter(|entry| entry["train_loss"].is_number()) {
        let cells = ["train_loss", "eval_loss", "eval_accuracy"]
            .map(|key| format!("{:.4}", entry[key].as_f64().unwrap()));
        assert_eq!(row(&card, &entry["step"].to_string())[2..], cells, "{entry}");
    }

    for escaped in [r"\<b\>good\</b\>", r"a\|b", r"test of \#1.csv"] {
        assert!(card.contains(escaped), "{escaped}\n{card}");
    }
    assert!(!card.contains(place.path("").to_str().unwrap()), "a path in\n{card}");
    assert!(!out.stderr.contains("README.md"), "{}", out.stderr);
}

#[test]
fn the_settings_of_a_model_card_give_the_same_weights() {
    let place = Place::new(reviews(60, 3));
    place.train(&[&LEARN[..], &["--batch-size", "7", "--max-steps", "11", "--seed", "5"]].concat());
    let card = card(&place.output);
    let (_, toml) = card.split_once("```toml\n").unwrap();
    let config = place.write("card.toml", toml.split_once("```").unwrap().0);
    let again = place.path("again");
    train(&again, &place.train, &["--config", &config]);
    assert!(weights(&again) == weights(&place.output), "the weights differ");
}

#[test]
fn a_model_card_without_held_out_data_has_no_figures() {
    let place = Place::new(reviews(60, 3));
    place.train(&["--max-steps", "2", "--validation-fraction", "0"]);
    let card = card(&place.output);
    assert!(
        card.contains("measured on no held-out data") && !card.contains("model-index"),
        "{card}"
    );
}
