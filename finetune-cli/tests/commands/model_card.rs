//! The model card of a run, against `evaluate`, the log, and the run that its settings give again; those of `adapt`,
//! `pretrain` and of an adapter.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::masked_lm::{Job, sentences};
use crate::support::*;

/// Labels and a file name that are markup where they are not escaped.
const LABELS: [&str; 2] = ["<b>good</b>", "a|b"];

fn card(folder: &Path) -> String {
    fs::read_to_string(folder.join("README.md")).unwrap()
}

/// Keys and values of the metadata in their order, and items of lists; what stands in quotes is JSON.
fn metadata(card: &str) -> Vec<(String, Value)> {
    let (yaml, _) = card.strip_prefix("---\n").unwrap().split_once("---\n").unwrap();
    let pair = |line: &str| {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
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
    let config = place.write("card.toml", settings(&card));
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

#[test]
fn an_adapter_has_a_card_of_its_own() {
    let place = Place::new(reviews(120, 3));
    place.train(&[&LEARN[..], &["--max-steps", "4", "--lora-r", "2"]].concat());
    let (whole, own) = (card(&place.output), card(&place.output.join("adapter")));
    let of_adapter = metadata(&own);
    assert!(of_adapter.contains(&("library_name".to_owned(), json!("peft"))), "{own}");
    assert!(own.contains("tags:\n- lora\n- transformers\n"), "{own}");
    for part in ["PeftModel.from_pretrained(base, \"ADAPTER\")", "num_labels=2", "lora-r = 2"] {
        assert!(own.contains(part), "{part}\n{own}");
    }
    // Figures and settings are those of the run.
    let behind = |card: &str| card.split_once("## Data").unwrap().1.to_owned();
    assert_eq!(behind(&own), behind(&whole));
    let accuracy = |card: &str| row(card, "accuracy").join(" ");
    assert_eq!(accuracy(&own), accuracy(&whole));
    assert!(!own.contains(place.path("").to_str().unwrap()), "a path in\n{own}");
}

/// The settings in a card.
fn settings(card: &str) -> &str {
    card.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0
}

#[test]
fn what_learned_from_text_has_a_card_that_gives_its_weights_again() {
    let job = Job::new("");
    let words = job.place.write("words *of* #1.txt", sentences(120, 1));
    let flags = ["--max-steps", "6", "--batch-size", "8", "--line-by-line", "--seed", "3"];
    let config = job.place.write("config.json", crate::masked_lm::CONFIG);
    let output = text(&job.place.output).to_owned();
    let pretrained =
        ["pretrain", "--architecture", &config, "--vocab-size", "100", "--text", &words];
    succeeds(&[&pretrained[..], &["--output", &output], &flags].concat());
    let adapted = job.place.path("adapted");
    let adapt = ["adapt", "--model", &output, "--text", &words];
    succeeds(&[&adapt[..], &["--output", text(&adapted)], &flags].concat());

    for (run, command, files) in [
        (&job.place.output, "pretrain", vec!["--architecture", &config]),
        (&adapted, "adapt", vec!["--model", &output]),
    ] {
        let card = card(run);
        assert!(
            metadata(&card).contains(&("pipeline_tag".to_owned(), json!("fill-mask"))),
            "{card}"
        );
        assert!(card.contains(r"words \*of\* \#1.txt"), "{card}");
        assert!(!card.contains(job.place.path("").to_str().unwrap()), "a path in\n{card}");
        let log = metrics(run);
        let looks: Vec<_> =
            log.iter().filter(|e| e.get("eval_pseudo_perplexity").is_some()).collect();
        for (name, key) in [("loss", "eval_loss"), ("pseudo-perplexity", "eval_pseudo_perplexity")]
        {
            let want = [looks[0], looks[looks.len() - 1]]
                .map(|e| format!("{:.4}", e[key].as_f64().unwrap()));
            assert_eq!(row(&card, name)[1..], want, "{card}");
        }
        for entry in log.iter().filter(|entry| entry["train_loss"].is_number()) {
            let cells = ["train_loss", "eval_loss"]
                .map(|key| format!("{:.4}", entry[key].as_f64().unwrap()));
            assert_eq!(row(&card, &entry["step"].to_string())[2..], cells, "{entry}");
        }
        let tokens: u64 = row(&card, "text")[3].parse().unwrap();
        assert!(tokens > 120 * 6, "{card}");

        let toml = job.place.write("card.toml", settings(&card));
        let again = job.place.path("again");
        let fixed =
            [command, "--config", &toml, "--text", &words, "--overwrite", "--output", text(&again)];
        succeeds(&[&fixed[..], &files].concat());
        assert!(weights(&again) == weights(run), "{command}: the weights differ");
    }
}

#[test]
fn the_adapter_of_a_model_for_words_is_opened_as_one() {
    let place = Place::new("");
    let words = place.write("words.conll", "hot\tB-warm\nfin\tO\n\n".repeat(40));
    train(&place.output, Path::new(&words), &["--max-steps", "2", "--lora-r", "2"]);
    let own = card(&place.output.join("adapter"));
    let pipeline = ("pipeline_tag".to_owned(), json!("token-classification"));
    assert!(metadata(&own).contains(&pipeline), "{own}");
    let labels =
        read_json(&place.output.join("config.json"))["id2label"].as_object().unwrap().len();
    let opened =
        format!("AutoModelForTokenClassification.from_pretrained(\"BASE\", num_labels={labels},");
    assert!(own.contains(&opened), "{own}");
}
