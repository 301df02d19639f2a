//! Steps whose gradients are added batch by batch.

use serde_json::{Value, json};

use crate::masked_lm::{Job, sentences};
use crate::resuming::{goes_on_to_the_same_bits, labelled};
use crate::support::*;

/// Every step is logged. SGD: where Adam divides a gradient by its size, roundings of tiny ones show.
const STEPS: [&str; 7] =
    ["--logging-steps", "1", "--validation-fraction", "0", "--optimizer", "sgd", "--overwrite"];

/// One batch, the same as four, and as three that leave some rows over.
const SPLITS: [[&str; 4]; 3] = [
    ["--batch-size", "16", "--gradient-accumulation-steps", "1"],
    ["--batch-size", "4", "--gradient-accumulation-steps", "4"],
    ["--batch-size", "8", "--gradient-accumulation-steps", "2"],
];

/// Losses and gradient norms of all steps.
fn steps(place: &Place) -> Vec<[f64; 2]> {
    let entries = metrics(&place.output).into_iter();
    let figures = |entry: Value| Some([entry["loss"].as_f64()?, entry["grad_norm"].as_f64()?]);
    entries.filter_map(figures).collect()
}

/// Runs `flags` with each of [`SPLITS`], without dropout, and compares the steps: `count` of them.
fn steps_are_the_same(place: &Place, count: usize, flags: &[&str]) {
    let runs = SPLITS.map(|split| {
        succeeds(&[flags, &STEPS, &split].concat());
        steps(place)
    });
    for (run, split) in runs.iter().zip(SPLITS) {
        assert_eq!(run.len(), count, "{split:?}");
        for (found, want) in run.iter().flatten().zip(runs[0].iter().flatten()) {
            assert!((found - want).abs() <= 2e-5 * want, "{split:?}: {found}, {want}");
        }
    }
}

/// The base model without dropout, which would hide other units in each batch.
pub fn without_dropout(place: &Place) -> String {
    let model = place.copy_of(base_model());
    let mut config = read_json(&model.join("config.json"));
    for name in ["hidden_dropout_prob", "attention_probs_dropout_prob"] {
        config[name] = json!(0.0);
    }
    std::fs::write(model.join("config.json"), config.to_string()).unwrap();
    text(&model).to_owned()
}

/// 58 rows are four steps of sixteen, of which the last has ten: as batches of four, four and two.
#[test]
fn texts_and_words_take_the_steps_of_a_larger_batch() {
    let place = Place::new(reviews(58, 5));
    let model = without_dropout(&place);
    let recipe = ["--model", &model, "--learning-rate", "0.1", "--epochs", "2"];
    steps_are_the_same(&place, 8, &train_args(text(&place.output), text(&place.train), &recipe));
    // Sentences of two to seven words: a mean over words is no mean of the means over batches.
    let row = |line: &str| {
        let (sentence, label) = line.split_once(',').unwrap();
        let words: Vec<&str> = sentence.split(' ').collect();
        let mut tags = vec!["other"; words.len()];
        tags[0] = label;
        json!({"tokens": words, "tags": tags}).to_string() + "\n"
    };
    let rows: String = reviews(58, 5).lines().skip(1).map(row).collect();
    let words = place.write("train.jsonl", rows);
    steps_are_the_same(&place, 8, &train_args(text(&place.output), &words, &recipe));
    // Nor is a mean in which some classes count more; of the three, one is in most words.
    let weighted = [&recipe[..], &["--class-weight", "balanced"]].concat();
    steps_are_the_same(&place, 8, &train_args(text(&place.output), &words, &weighted));
}

/// The same tokens are hidden, and the mean is over all of them.
#[test]
fn masked_tokens_take_the_steps_of_a_larger_batch() {
    let job = Job::new(sentences(58, 2));
    let recipe = ["--epochs", "2", "--learning-rate", "0.1", "--line-by-line"];
    steps_are_the_same(&job.place, 8, &job.pretrain(&recipe));
}

/// 600 rows of which 540 are trained on: 90 steps of three batches of two.
#[test]
fn a_step_is_an_update_and_a_run_goes_on_behind_it() {
    let flags = ["--gradient-accumulation-steps", "3", "--epochs", "9", "--save-steps", "20"];
    let place = labelled();
    goes_on_to_the_same_bits(&place, &flags, "-TERM", &[110]);
    let state = read_json(&place.output.join("trainer_state.json"));
    assert_eq!((&state["global_step"], &state["epoch"]), (&json!(9 * 90), &json!(9.0)));
    assert_eq!(state["train_batch_size"], json!(2));
    let recipe = std::fs::read_to_string(place.output.join("train.toml")).unwrap();
    assert!(recipe.contains("gradient-accumulation-steps = 3\n"), "{recipe}");
}
