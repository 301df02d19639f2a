//! `finetune select` with several learning rates.

use serde_json::Value;

use crate::selection::*;
use crate::support::*;

/// What compares rates, on little data.
fn args<'a>(choice: &'a Choice, models: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    let data = ["--train", text(&choice.place.train), "--validation", &choice.validation];
    let rest = ["--output", choice.output(), "--epochs", "2", "--seed", "1", "--no-truncate"];
    [&["select", "--models"], models, &data, &rest, more].concat()
}

fn select(choice: &Choice, models: &[&str], more: &[&str]) -> (Value, Output) {
    let output = succeeds(&args(choice, models, more));
    (read_json(&choice.place.output.join("select.json")), output)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Rates of a candidate, that of `verified` first.
fn rates(candidate: &Value) -> Vec<f64> {
    let others = candidate["other_rates"].as_array().unwrap();
    let all = std::iter::once(&candidate["verified"]).chain(others);
    all.map(|verified| number(&verified["learning_rate"])).collect()
}

/// Each rate is a contender of its own, and what the best came to is what `finetune train` comes to with it.
#[test]
fn the_best_learning_rate_of_each_is_found_and_advised() {
    let choice = Choice::of_reviews();
    let shallow = format!("{}:1", base_model());
    let tried = ["--verify", "2", "--learning-rates", "1e-6,2e-3,1e-6"];
    let (summary, output) = select(&choice, &[base_model(), &shallow], &tried);
    assert_eq!(summary["task"]["learning_rates"].to_string(), "[1e-6,0.002]");
    for candidate in candidates(&summary) {
        // At 1e-6 nothing is learned in 30 steps.
        assert_eq!(rates(candidate), [2e-3, 1e-6], "{candidate}");
        let other = &candidate["other_rates"][0];
        assert!(number(&candidate["verified"]["metric"]) > number(&other["metric"]), "{candidate}");
        assert_eq!(candidate["status"], "verified");
    }
    let first = &candidates(&summary)[0];
    let line = output.stdout.lines().find(|line| line.starts_with("finetune train")).unwrap();
    assert!(line.contains(" --learning-rate 0.002"), "{line}");
    assert!(output.stdout.contains("rate: the best of 1e-6, 2e-3 as learning rate"));
    let rungs = first["verified"]["rungs"].as_array().unwrap();
    // Four contenders, then two.
    assert_eq!(rungs.iter().map(|r| r["steps"].as_u64().unwrap()).collect::<Vec<_>>(), [15, 30]);
    let best = choice.place.path("best");
    let words = line.split_whitespace().skip(1).map(|word| {
        match word == format!("{}/best", choice.output()) {
            true => text(&best),
            false => word,
        }
    });
    succeeds(&words.collect::<Vec<_>>());
    assert_eq!(number(&first["verified"]["metric"]), metric(&best, "eval_accuracy"));
    assert_eq!(number(&rungs[1]["loss"]), metric(&best, "eval_loss"));
    // Once more, from what is on disk.
    let (again, _) = select(&choice, &[base_model(), &shallow], &tried);
    assert_eq!(summary["candidates"], again["candidates"]);
}

/// At rates at which nothing is learned, figures are equal: a constant answer.
#[test]
fn of_equal_figures_the_higher_rate_goes_on() {
    let choice = Choice::of_reviews();
    let tried = ["--verify", "1", "--learning-rates", "1e-12,1e-10,1e-11"];
    let (summary, _) = select(&choice, &[base_model()], &tried);
    let row = row(&summary, base_model());
    let all = [&row["verified"], &row["other_rates"][0], &row["other_rates"][1]];
    let [best, _, last] = all.map(|v| (number(&v["learning_rate"]), number(&v["metric"])));
    assert_eq!((best.0, last.0, best.1), (1e-10, 1e-12, last.1));
    assert_eq!(all.map(|v| v["rungs"].as_array().unwrap().len()), [2, 2, 1]);
}

/// What was measured with one rate is not taken for what another would show.
#[test]
fn rates_are_part_of_what_is_kept() {
    let choice = Choice::of_reviews();
    let verify = |rates: &str| {
        let (summary, _) =
            select(&choice, &[base_model()], &["--verify", "1", "--learning-rates", rates]);
        let row = &candidates(&summary)[0];
        (number(&row["verified"]["learning_rate"]), number(&row["verified"]["rungs"][0]["loss"]))
    };
    let (low, high) = (verify("1e-6"), verify("2e-3"));
    assert_eq!((low.0, high.0), (1e-6, 2e-3));
    assert!(low.1 > high.1, "{low:?} {high:?}");
    let (summary, output) =
        select(&choice, &[base_model()], &["--verify", "1", "--learning-rate", "2e-3"]);
    let row = &candidates(&summary)[0];
    assert_eq!((rates(row), number(&row["verified"]["rungs"][0]["loss"])), (vec![2e-3], high.1));
    assert!(!output.stdout.contains("rate: "), "{}", output.stdout);
}

/// One rate that is too high takes nothing from the candidate but that rate.
#[test]
fn a_rate_at_which_training_fails_is_said() {
    let choice = Choice::of_reviews();
    let (summary, _) =
        select(&choice, &[base_model()], &["--verify", "1", "--learning-rates", "1e30,2e-3"]);
    let row = row(&summary, base_model());
    assert_eq!((&row["status"], rates(row)), (&"verified".into(), vec![2e-3]));
    assert!(remarks(row).contains("verification failed at learning rate 1e30: "), "{row}");
}

#[test]
fn rates_that_are_not_compared_are_refused() {
    let choice = Choice::of_reviews();
    let refuse = |more: &[&str], said: &str| {
        let output = finetune(&args(&choice, &[base_model()], more));
        assert_eq!(output.code, Some(2), "{}", output.stderr);
        assert!(output.stderr.contains(said), "{}", output.stderr);
    };
    refuse(&["--learning-rates", "1e-4,1e-3", "--verify", "0"], "--verify 0 leaves out");
    refuse(&["--learning-rates", "1e-4", "--learning-rate", "1e-3"], "cannot be used with");
    refuse(&["--learning-rates", "1e-4,0"], "a finite number above 0");
    // Scoring takes all of the time.
    let more = ["--learning-rates", "1e-4,1e-3", "--verify", "1", "--budget", "0.05s"];
    let (summary, output) = select(&choice, &[base_model()], &more);
    assert!(output.stderr.contains(" at 2 learning rates; give --budget"), "{}", output.stderr);
    let line = summary["command"].as_str().unwrap();
    assert!(line.contains("--learning-rate 0.0001"), "the first: {line}");
}
