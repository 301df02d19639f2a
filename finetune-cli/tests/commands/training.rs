//! What a run learns, writes and says.

use std::f64::consts::PI;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::*;

#[test]
fn it_learns_what_it_has_not_seen() {
    let accuracy = metric(Path::new(&trained().folder), "test_accuracy");
    assert!(accuracy > 0.9, "{accuracy}");
}

#[test]
fn the_output_is_a_model_with_the_figures_of_the_run() {
    let run = trained();
    let want = [
        "README.md",
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "report.html",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "train.toml",
        "trainer_state.json",
        "vocab.txt",
    ];
    assert_eq!(names(Path::new(&run.folder)), want);
    assert!(!Path::new(&format!("{}.partial", run.folder)).exists());
    let config = read_json(&run.file("config.json"));
    assert_eq!(config["id2label"], json!({"0": "good", "1": "poor"}));
    assert_eq!(config["label2id"], json!({"good": 0, "poor": 1}));
    assert_eq!(config["problem_type"], "single_label_classification");
}

#[test]
fn every_line_of_the_metrics_is_an_object() {
    let run = trained();
    let entries = metrics(Path::new(&run.folder));
    let has = |name: &str| entries.iter().filter(|entry| entry[name].is_number()).count();
    // 216 examples of 240 are left for training: 14 steps an epoch, 56 in all, 11 of them logged.
    assert_eq!((has("loss"), has("grad_norm"), has("learning_rate")), (11, 11, 15));
    for name in ["train_loss", "eval_loss", "eval_accuracy", "eval_f1_macro", "train_runtime"] {
        assert_eq!(has(name), 4, "{name}");
    }
    for name in ["test_loss", "test_accuracy", "test_f1_macro", "test_samples_per_second"] {
        assert_eq!(has(name), 1, "{name}");
    }
    let state = read_json(&run.file("trainer_state.json"));
    assert_eq!(state["log_history"], Value::Array(entries));
    assert_eq!((&state["global_step"], &state["max_steps"]), (&json!(56), &json!(56)));
    assert_eq!((&state["epoch"], &state["num_train_epochs"]), (&json!(4.0), &json!(4)));
    assert_eq!((&state["train_batch_size"], &state["seed"]), (&json!(16), &json!(42)));
    assert_eq!(state["metric_for_best_model"], "accuracy");
    assert!(state["best_metric"].is_number() && state["best_epoch"].is_number());
}

#[test]
fn it_says_where_the_validation_data_comes_from_and_how_each_epoch_went() {
    let run = trained();
    let said = "no --validation: 24 of 240 training examples are held out";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    assert!(run.stderr.contains("classifier.weight"), "{}", run.stderr);
    let epochs = run.stdout.lines().filter(|line| line.starts_with("epoch ")).count();
    assert_eq!(epochs, 4, "{}", run.stdout);
    assert!(run.stdout.ends_with(&format!("saved to {}\n", run.folder)), "{}", run.stdout);
    assert!(!run.stderr.contains('\x1b'), "a bar where there is no terminal");
}

#[test]
fn quiet_leaves_results_only() {
    let place = Place::new(reviews(40, 3));
    assert_eq!(place.train(&["--epochs", "1", "--quiet"]).stderr, "");
}

#[test]
fn the_test_file_changes_nothing_but_its_own_figures() {
    let place = Place::new(reviews(40, 3));
    let test = place.write("test.csv", reviews(20, 4));
    place.train(&["--epochs", "1"]);
    let other = place.path("other");
    train(&other, &place.train, &["--epochs", "1", "--test", &test]);
    assert_eq!(weights(&place.output), weights(&other));
}

#[test]
fn several_labels_at_once() {
    let rows = |n, seed| {
        let mut numbers = Numbers::new(seed);
        let row = |i: usize| {
            let (words, labels) = [
                ("hot", json!(["warm"])),
                ("dam", json!(["wet"])),
                ("hot dam", json!(["warm", "wet"])),
                ("bra", json!([])),
            ][i % 4]
                .clone();
            json!({"text": numbers.sentence(words), "labels": labels}).to_string() + "\n"
        };
        (0..n).map(row).collect::<String>()
    };
    let place = Place::new("");
    let train_file = place.write("train.jsonl", rows(240, 1));
    let test = place.write("test.jsonl", rows(80, 2));
    let more = ["--learning-rate", "2e-3", "--epochs", "10", "--test", &test];
    train(&place.output, Path::new(&train_file), &more);
    let f1 = metric(&place.output, "test_f1_micro");
    assert!(f1 > 0.9, "{f1}");
    let config = read_json(&place.output.join("config.json"));
    assert_eq!(config["problem_type"], "multi_label_classification");
    let model = text(&place.output);
    let both = succeeds(&["predict", "--model", model, "the hot dam was", "--json"]);
    assert_eq!(json_lines(&both.stdout)[0]["labels"], json!(["warm", "wet"]));
    let all = succeeds(&["predict", "--model", model, "the", "--threshold", "0"]).stdout;
    assert!(all.starts_with("warm 0.") && all.contains(", wet 0."), "{all}");
    let recall = |threshold: &str| {
        let args = ["evaluate", "--model", model, &test, "--json", "--threshold", threshold];
        json_lines(&succeeds(&args).stdout)[0]["recall_micro"].as_f64().unwrap()
    };
    assert_eq!((recall("0"), recall("1")), (1.0, 0.0));
}

#[test]
fn label_delimiters_are_remembered() {
    let place = Place::new("text,label\nthe hot,a|b\nthe dam,b\nall,a\nfor all,\n");
    place.train(&["--epochs", "1", "--label-delimiter", "|", "--validation-fraction", "0"]);
    let model = text(&place.output);
    succeeds(&["evaluate", "--model", model, text(&place.train)]);
}

#[test]
fn scores() {
    let rows = |n, seed| {
        let mut numbers = Numbers::new(seed);
        let row = |i: usize| {
            let (word, score) = [("hot", 1.5), ("dam", -0.5), ("fin", 0.5)][i % 3];
            format!("{},{score}\n", numbers.sentence(word))
        };
        "sentence,score\n".to_owned() + &(0..n).map(row).collect::<String>()
    };
    let place = Place::new(rows(240, 1));
    let test = place.write("test.csv", rows(60, 2));
    let out = place.train(&["--learning-rate", "2e-3", "--epochs", "6", "--test", &test]);
    let pearson = metric(&place.output, "test_pearson");
    assert!(pearson > 0.9, "{pearson}");
    // What is shown is what picks the epoch.
    let state = read_json(&place.output.join("trainer_state.json"));
    let best = format!(" pearson {:.4}  ", state["best_metric"].as_f64().unwrap());
    assert!(
        out.stdout.lines().any(|l| l.starts_with("epoch") && l.contains(&best)),
        "{}",
        out.stdout
    );
    assert!(out.stdout.contains(&format!(" pearson {pearson:.4}  ")), "{}", out.stdout);
    let config = read_json(&place.output.join("config.json"));
    assert_eq!(config["problem_type"], "regression");
    assert_eq!(config["id2label"], json!({"0": "LABEL_0"}));
    let out = succeeds(&["predict", "--model", text(&place.output), "--json", "the hot act"]);
    let value = json_lines(&out.stdout)[0]["score"].as_f64().unwrap();
    assert!(value > 0.8, "{value}");
}

#[test]
fn pairs() {
    let rows = |n, seed| {
        let mut numbers = Numbers::new(seed);
        let row = |i: usize| {
            let (word, label) = [("hot", 1), ("dam", 0)][i % 2];
            let other = ["hot", "dam"][numbers.below(2)];
            format!("{}\t{}\t{label}\n", numbers.sentence(other), numbers.sentence(word))
        };
        "premise\thypothesis\tlabel\n".to_owned() + &(0..n).map(row).collect::<String>()
    };
    let place = Place::new("");
    let train_file = place.write("train.tsv", rows(320, 1));
    let test = place.write("test.tsv", rows(80, 2));
    let more = ["--learning-rate", "2e-3", "--epochs", "8", "--test", &test];
    train(&place.output, Path::new(&train_file), &more);
    let accuracy = metric(&place.output, "test_accuracy");
    assert!(accuracy > 0.85, "{accuracy}");
    let args = ["predict", "--model", text(&place.output), "the dam was", "--pair", "all hot"];
    let out = succeeds(&args).stdout;
    assert!(out.starts_with("1\t") && out.ends_with("\tthe dam was\tall hot\n"), "{out}");
}

#[test]
fn learning_rates_follow_the_schedules() {
    let place = Place::new(reviews(60, 3));
    // 20 steps, of which 4 warm up.
    let rate = |name: &str, s: f64| {
        let t = (s - 4.0) / 16.0;
        1e-3 * match name {
            _ if s < 4.0 => s / 4.0,
            "constant" => 1.0,
            "linear" => 1.0 - t,
            "cosine" => (1.0 + (PI * t).cos()) / 2.0,
            _ => (1.0 - t) * (1.0 - 1e-4) + 1e-4,
        }
    };
    for name in ["constant", "linear", "cosine", "polynomial"] {
        let recipe = "--epochs 2 --batch-size 6 --learning-rate 1e-3 --warmup-ratio 0.2 \
             --logging-steps 1 --validation-fraction 0 --overwrite --lr-scheduler-type";
        let flags: Vec<&str> = recipe.split_whitespace().chain([name]).collect();
        place.train(&flags);
        let entries = metrics(&place.output);
        let steps: Vec<&Value> = entries.iter().filter(|e| e["loss"].is_number()).collect();
        assert_eq!(steps.len(), 20);
        for (i, entry) in steps.iter().enumerate() {
            let (found, want) = (entry["learning_rate"].as_f64().unwrap(), rate(name, i as f64));
            assert!((found - want).abs() < 1e-12, "{name}, step {i}: {found}, {want}");
        }
    }
}

#[test]
fn a_frozen_encoder_stays_bit_for_bit() {
    let place = Place::new(reviews(60, 3));
    place.train(&["--epochs", "1", "--freeze-encoder", "--learning-rate", "1e-2"]);
    let base = Path::new(base_model());
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let mut file = tensor::safetensors::File::open(&base.join("model.safetensors")).unwrap();
    for name in file.names() {
        let start = file.read(&name).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(bits(tensor(&place.output, &name)), bits(start), "{name}");
    }
    // The head has moved on from its first values, which are the same for any data.
    let once = place.path("once");
    train(&once, &place.train, &["--epochs", "1", "--freeze-encoder", "--learning-rate", "1e-20"]);
    let head = "classifier.weight";
    assert_ne!(tensor(&place.output, head), tensor(&once, head));
}

#[test]
fn from_scratch_leaves_the_weights_of_the_model_behind() {
    let place = Place::new(reviews(40, 3));
    let out = place.train(&["--epochs", "1", "--from-scratch", "--learning-rate", "1e-20"]);
    assert!(out.stderr.contains("all weights"), "{}", out.stderr);
    let name = "bert.encoder.layer.0.attention.self.query.weight";
    assert_ne!(tensor(&place.output, name), tensor(Path::new(base_model()), name));
}

#[test]
fn sgd_turns_a_trained_model_round() {
    // From random weights SGD is slow; from those of a run it has to unlearn every label.
    let flipped = |rows, seed| {
        let csv = reviews(rows, seed).replace(",good\n", ",?\n").replace(",poor\n", ",good\n");
        csv.replace(",?\n", ",poor\n")
    };
    let place = Place::new(flipped(240, 1));
    let test = place.write("test.csv", flipped(80, 2));
    let model = &trained().folder[..];
    let before = succeeds(&["evaluate", "--model", model, &test, "--json"]).stdout;
    assert!(json_lines(&before)[0]["accuracy"].as_f64().unwrap() < 0.1, "{before}");
    let recipe = "--optimizer sgd --momentum 0.9 --learning-rate 0.02 --epochs 10 --weight-decay 0";
    let flags = recipe.split_whitespace().chain(["--test", &test, "--model", model]);
    place.train(&flags.collect::<Vec<_>>());
    let accuracy = metric(&place.output, "test_accuracy");
    assert!(accuracy > 0.9, "{accuracy}");
}

/// As torch's SGD without arguments: the weights move by the learning rate times the gradient, so by its norm. With
/// momentum, what is left of the first step is added in the second.
#[test]
fn sgd_has_no_momentum_unless_asked_for() {
    let steps = |momentum: &[&str]| {
        let place = Place::new(reviews(64, 1));
        let recipe = "--optimizer sgd --epochs 1 --batch-size 32 --weight-decay 0 --max-grad-norm 0 \
             --lr-scheduler-type constant --warmup-ratio 0 --learning-rate 1e-3 --logging-steps 1 \
             --validation-fraction 0";
        place.train(&recipe.split_whitespace().chain(momentum.iter().copied()).collect::<Vec<_>>());
        weights(&place.output)
    };
    assert!(
        steps(&[]) == steps(&["--momentum", "0"]) && steps(&[]) != steps(&["--momentum", "0.9"])
    );
}

#[test]
fn the_best_epoch_is_kept_and_patience_ends() {
    let place = Place::new(reviews(60, 3));
    let validation = place.write("validation.csv", reviews(20, 4));
    // A rate that ruins the model after its first epochs, judged by the loss.
    let recipe = "--epochs 12 --learning-rate 0.3 --lr-scheduler-type constant --warmup-ratio 0 \
         --load-best-model-at-end --metric-for-best-model eval_loss --early-stopping-patience 2 --validation";
    let flags: Vec<&str> = recipe.split_whitespace().chain([&validation[..]]).collect();
    let out = place.train(&flags);
    let losses: Vec<f64> =
        metrics(&place.output).iter().filter_map(|entry| entry["eval_loss"].as_f64()).collect();
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let best = losses.iter().position(|&loss| loss == least).unwrap() + 1;
    assert_eq!(losses.len(), (best + 2).min(12), "{losses:?}");
    assert!(out.stdout.contains("stopped early"), "{}", out.stdout);
    let state = read_json(&place.output.join("trainer_state.json"));
    assert_eq!((&state["best_epoch"], &state["best_metric"]), (&json!(best as f64), &json!(least)));
    let args = ["evaluate", "--model", text(&place.output), &validation, "--json"];
    assert_eq!(json_lines(&succeeds(&args).stdout)[0]["loss"], json!(least));
}

/// 60 rows are 10 steps an epoch. Numbers of steps and epochs are those of transformers' `TrainerState`.
#[test]
fn max_steps_wins_over_epochs() {
    let place = Place::new(reviews(60, 3));
    let recipe = "--batch-size 6 --learning-rate 1e-3 --warmup-ratio 0 --logging-steps 1 \
         --validation-fraction 0 --overwrite";
    let run = |flags: &[&str]| {
        let out = place
            .train(&recipe.split_whitespace().chain(flags.iter().copied()).collect::<Vec<_>>());
        let starts = |line: &str| Some(line.split_once("  loss")?.0.to_owned());
        out.stdout.lines().filter_map(starts).collect::<Vec<_>>()
    };
    for (steps, epochs, lines) in [
        (4, 1, &["epoch 0.4/1"][..]),
        (10, 1, &["epoch 1/1"]),
        (25, 3, &["epoch 1/3", "epoch 2/3", "epoch 2.5/3"]),
    ] {
        assert_eq!(run(&["--epochs", "2", "--max-steps", &steps.to_string()]), lines);
        let state = read_json(&place.output.join("trainer_state.json"));
        assert_eq!((&state["global_step"], &state["max_steps"]), (&json!(steps), &json!(steps)));
        let at_end = (json!(f64::from(steps) / 10.0), json!(epochs));
        assert_eq!((&state["epoch"], &state["num_train_epochs"]), (&at_end.0, &at_end.1));
        let noted = fs::read_to_string(place.output.join("train.toml")).unwrap();
        assert!(noted.contains(&format!("max-steps = {steps}\n")), "{noted}");
        // The learning rate falls to 0 over all steps, and each belongs to the line of its epoch.
        let (mut seen, mut sum, mut last) = (0, 0.0, 0);
        for entry in metrics(&place.output) {
            if let Some(loss) = entry["loss"].as_f64() {
                let want = 1e-3 * (1.0 - f64::from(seen) / f64::from(steps));
                assert!((entry["learning_rate"].as_f64().unwrap() - want).abs() < 1e-12, "{entry}");
                (seen, sum) = (seen + 1, sum + loss);
            } else {
                assert_eq!(entry["epoch"], json!(f64::from(seen) / 10.0), "{entry}");
                let mean = sum / f64::from(seen - last);
                assert!((entry["train_loss"].as_f64().unwrap() - mean).abs() < 1e-12, "{entry}");
                (sum, last) = (0.0, seen);
            }
        }
        assert_eq!((seen, last), (steps, steps));
    }
    // Steps of whole epochs are these epochs.
    run(&["--max-steps", "20"]);
    let by_steps = weights(&place.output);
    run(&["--epochs", "2"]);
    assert!(weights(&place.output) == by_steps, "the weights differ");
}

/// 60 rows are 10 steps an epoch, and 4 does not divide it.
#[test]
fn eval_steps_measures_within_epochs() {
    let place = Place::new(reviews(60, 3));
    let validation = place.write("validation.csv", reviews(20, 4));
    let run = |flags: &str| {
        let fixed = "--batch-size 6 --learning-rate 2e-3 --epochs 3 --max-steps 26 --logging-steps 1 \
             --metric-for-best-model loss --overwrite";
        let flags = fixed.split_whitespace().chain(flags.split_whitespace());
        place.train(&flags.chain(["--validation", &validation]).collect::<Vec<_>>())
    };
    let out = run("--eval-steps 4 --load-best-model-at-end");
    let starts = |line: &str| Some(line.split_once("  loss")?.0.to_owned());
    let lines: Vec<_> = out.stdout.lines().filter_map(starts).collect();
    let want = [4, 8, 12, 16, 20, 24, 26];
    let line = |step: u32| format!("step {step}/26  epoch {:.2}", f64::from(step) / 10.0);
    assert_eq!(lines, want.map(line));
    // Each step belongs to one line, beyond the ends of epochs, too.
    let (mut sum, mut last, mut losses) = (0.0, 0, Vec::new());
    for entry in metrics(&place.output) {
        let step = entry["step"].as_u64().unwrap();
        match entry["loss"].as_f64() {
            Some(loss) => sum += loss,
            None => {
                let mean = sum / (step - last) as f64;
                assert!((entry["train_loss"].as_f64().unwrap() - mean).abs() < 1e-12, "{entry}");
                losses.push((step, entry["eval_loss"].as_f64().unwrap()));
                (sum, last) = (0.0, step);
            }
        }
    }
    let state = read_json(&place.output.join("trainer_state.json"));
    assert_eq!((&state["eval_steps"], last), (&json!(4), 26));
    let least = losses.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let best = (state["best_global_step"].as_u64(), state["best_metric"].as_f64());
    assert_eq!(best, (Some(least.0), Some(least.1)));
    assert!(out.stdout.contains(&format!("the weights of step {} are kept", least.0)));
    let args = ["evaluate", "--model", text(&place.output), &validation, "--json"];
    assert_eq!(json_lines(&succeeds(&args).stdout)[0]["loss"], json!(least.1));
    // To look at the validation data changes nothing of the training.
    run("--eval-steps 4");
    let looked = weights(&place.output);
    run("");
    assert!(weights(&place.output) == looked, "the weights differ");
}

#[test]
fn patience_counts_validations() {
    let place = Place::new(reviews(60, 3));
    let validation = place.write("validation.csv", reviews(20, 4));
    // A rate that ruins the model, judged by the loss.
    let recipe = "--batch-size 6 --epochs 9 --learning-rate 0.3 --lr-scheduler-type constant --warmup-steps 3 \
         --metric-for-best-model loss --eval-steps 3 --early-stopping-patience 4";
    let flags = recipe.split_whitespace().chain(["--validation", &validation]);
    let out = place.train(&flags.collect::<Vec<_>>());
    let state = read_json(&place.output.join("trainer_state.json"));
    let best = state["best_global_step"].as_u64().unwrap();
    assert_eq!(state["global_step"], json!(best + 4 * 3), "{}", out.stdout);
    assert!(out.stdout.contains("no better figure in 4 validations: stopped early"));
}

#[test]
fn an_epoch_that_is_broken_off_can_be_the_best() {
    let place = Place::new(reviews(60, 3));
    let validation = place.write("validation.csv", reviews(20, 4));
    let kept = |flags: &str| {
        let fixed =
            "--batch-size 6 --load-best-model-at-end --metric-for-best-model loss --overwrite";
        let flags = fixed.split(' ').chain(flags.split(' ')).chain(["--validation", &validation]);
        let out = place.train(&flags.collect::<Vec<_>>());
        let state = read_json(&place.output.join("trainer_state.json"));
        let args = ["evaluate", "--model", text(&place.output), &validation, "--json"];
        assert_eq!(json_lines(&succeeds(&args).stdout)[0]["loss"], state["best_metric"]);
        let line =
            format!("the weights of epoch {} are kept", state["best_epoch"]).replace(".0 ", " ");
        assert!(out.stdout.lines().any(|l| l == line), "{line}\n{}", out.stdout);
        assert!(!out.stdout.contains("stopped early"), "{}", out.stdout);
        state["best_epoch"].as_f64().unwrap()
    };
    assert_eq!(kept("--learning-rate 2e-3 --max-steps 15"), 1.5);
    // At a rate that ruins the model it is the first; there is nothing left that patience could spare.
    let ruin = "--learning-rate 0.3 --lr-scheduler-type constant --warmup-steps 10 --max-steps 15";
    assert_eq!(kept(&format!("{ruin} --early-stopping-patience 1")), 1.0);
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let place = Place::new("");
    let assets = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");
    let (model, data) = (format!("{assets}/tiny"), format!("{assets}/reviews/train.csv"));
    // Large enough that products, rows and updates are all split between threads.
    let run = |name: &str, flags: [&str; 4]| {
        let output = place.path(name);
        let args = ["train", "--model", &model, "--from-scratch", "--train", &data, "--output"];
        let recipe =
            [text(&output), "--max-train-samples", "96", "--batch-size", "32", "--epochs", "1"];
        succeeds(&[&args[..], &recipe, &flags].concat());
        weights(&output)
    };
    let one = run("one", ["--threads", "1", "--seed", "7"]);
    assert_eq!(one, run("two", ["--threads", "2", "--seed", "7"]));
    assert_ne!(one, run("other", ["--threads", "2", "--seed", "8"]));
}

#[test]
fn checkpointed_activations_give_the_same_bytes() {
    let place = Place::new(reviews(40, 3));
    let more = ["--epochs", "2", "--learning-rate", "1e-3", "--overwrite", "--precision"];
    for precision in ["f32", "bf16"] {
        let flags = [&more[..], &[precision]].concat();
        place.train(&flags);
        let plain = weights(&place.output);
        place.train(&[&flags[..], &["--checkpoint-activations"]].concat());
        let recipe = fs::read_to_string(place.output.join("train.toml")).unwrap();
        assert!(recipe.contains("checkpoint-activations = true"), "{recipe}");
        assert_eq!(weights(&place.output), plain, "{precision}");
    }
}

#[test]
fn a_configuration_file_stands_for_flags_and_typed_flags_win() {
    let place = Place::new(reviews(40, 3));
    let toml = format!(
        "model = {:?}\ntrain = {:?}\noutput = {:?}\nepochs = 3\nlearning_rate = 1e-3\nquiet = true\n\
         text-column = [\"label\"]\n",
        base_model(),
        text(&place.train),
        text(&place.output)
    );
    let config = place.write("run.toml", toml);
    let args = ["train", "--config", &config, "--epochs", "1", "--text-column", "text"];
    // The typed text column replaces the one of the file, it does not make a pair with it.
    let out = succeeds(&args);
    assert_eq!((out.stdout.lines().count(), out.stderr.as_str()), (3, ""), "{}", out.stdout);
    assert_eq!(metrics(&place.output)[0]["learning_rate"], json!(0.0005));
}

#[test]
fn a_run_is_repeated_from_its_own_settings() {
    let place = Place::new("");
    let data = place.write("data.txt", reviews(40, 3));
    // The largest seed is more than TOML's integers hold; --format is part of how the data is read.
    let seed = u64::MAX.to_string();
    let recipe = ["--epochs", "1", "--format", "csv", "--seed", &seed, "--max-length", "16"];
    let recipe = [&recipe[..], &["--precision", "fp32"]].concat();
    train(&place.output, Path::new(&data), &recipe);
    let first = weights(&place.output);
    let settings = place.output.join("train.toml");
    let again = ["train", "--config", text(&settings)];
    refused(&again, &["already holds a run", "--overwrite"]);
    // From another folder, over the earlier run.
    let elsewhere = tempfile::tempdir().unwrap();
    let child =
        command(&[&again[..], &["--overwrite"]].concat()).current_dir(elsewhere.path()).spawn();
    let out = output_of(child.unwrap());
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert_eq!(weights(&place.output), first);
    let other = place.path("other");
    succeeds(&["train", "--config", text(&settings), "--output", text(&other), "--seed", "1"]);
    assert_ne!(weights(&other), first);
    let noted = fs::read_to_string(other.join("train.toml")).unwrap();
    assert!(noted.contains("seed = 1\n") && noted.contains("precision = \"f32\"\n"), "{noted}");
}

#[test]
fn a_run_in_bf16_gives_a_folder_like_any_other() {
    let place = Place::new(reviews(40, 3));
    let test = place.write("test.csv", reviews(20, 4));
    place.train(&["--epochs", "1", "--precision", "bf16", "--test", &test]);
    let folder = text(&place.output);
    assert_eq!(tensor(&place.output, "classifier.weight").len(), 64);
    // Measured in the same precision it is the same model; without a flag it is read all the same.
    let args = ["evaluate", "--model", folder, &test, "--json"];
    let same = &json_lines(&succeeds(&[&args[..], &["--precision", "bf16"]].concat()).stdout)[0];
    assert_eq!(same["loss"].as_f64(), Some(metric(&place.output, "test_loss")));
    let wide = &json_lines(&succeeds(&args).stdout)[0];
    let (a, b) = (same["loss"].as_f64().unwrap(), wide["loss"].as_f64().unwrap());
    assert!((a - b).abs() < 0.02, "{a} and {b}");
    succeeds(&["predict", "--model", folder, "the hot day"]);
    succeeds(&["predict", "--model", folder, "--precision", "bf16", "the hot day"]);
}

#[test]
fn what_the_labels_are_taken_for_is_said() {
    let run = trained();
    let task = "task: one of 2 classes: good, poor; text column `text`, label column `label`\n";
    assert!(run.stderr.contains(task), "{}", run.stderr);
    let rows = "text,label\nthe hot,0\nthe dam,1\nall,0\nfor all,N/A\nact,1\n";
    let place = Place::new(rows);
    let out = place.train(&["--epochs", "1", "--validation-fraction", "0"]);
    assert!(
        out.stderr.contains("most labels are numbers, but not `N/A` (1 row)"),
        "{}",
        out.stderr
    );
}

#[test]
fn layers_that_the_configuration_leaves_out_are_said() {
    let place = Place::new(reviews(20, 3));
    let model = place.copy_of(&trained().folder);
    let mut config = read_json(&model.join("config.json"));
    config["num_hidden_layers"] = 1.into();
    fs::write(model.join("config.json"), config.to_string()).unwrap();
    let train =
        ["train", "--train", text(&place.train), "--output", text(&place.output), "--model"];
    let short = text(&model);
    let said = "16 weights of the encoder are not used, such as bert.encoder.layer.1.";
    for args in
        [[&train[..], &[short, "--epochs", "1"]].concat(), vec!["predict", "--model", short, "a"]]
    {
        let out = succeeds(&args);
        assert!(out.stderr.contains(said), "{}", out.stderr);
    }
    // A head of another task, and layers that are left out on purpose, are no surprise.
    let whole = trained().folder.as_str();
    let again = [&train[..], &[whole, "--epochs", "1", "--truncate", "1", "--overwrite"]].concat();
    let out = succeeds(&again);
    assert!(!out.stderr.contains("not used"), "{}", out.stderr);
}
