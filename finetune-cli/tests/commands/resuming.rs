//! Masked-language-modelling runs that were broken off, at any place.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::masked_lm::{CONFIG, Job, sentences};
use crate::support::*;

/// Many short steps, with a checkpoint every few.
const LONG: [&str; 8] =
    ["--epochs", "40", "--batch-size", "2", "--logging-steps", "1", "--save-steps", "7"];

/// A text, and a model with dropout: its masks have to be the same after a break.
fn job(seed: u64) -> Job {
    let job = Job::new(sentences(300, seed));
    job.place.write("config.json", CONFIG.replace("prob\": 0.0", "prob\": 0.1"));
    job
}

/// Waits until a run is under way: it has a checkpoint, and has logged some steps.
fn under_way(child: &mut Child, partial: &Path, step: u64) {
    let start = Instant::now();
    let logged = || {
        let log = fs::read_to_string(partial.join("metrics.jsonl")).unwrap_or_default();
        log.lines().any(|line| line.contains(&format!("\"step\":{step},")))
    };
    while !logged() {
        assert!(start.elapsed() < Duration::from_secs(60), "the run does not begin");
        assert!(child.try_wait().unwrap().is_none(), "the run is over too soon");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn send(signal: &str, child: &Child) {
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
}

/// What a run has logged, without its times.
fn figures(run: &Path) -> Vec<Value> {
    let mut entries = metrics(run);
    for entry in &mut entries {
        let entry = entry.as_object_mut().unwrap();
        entry.retain(|key, _| key != "train_runtime" && key != "train_tokens_per_second");
    }
    entries
}

/// Begins a run and kills it when it has logged this step.
fn broken_off(job: &Job, flags: &[&str], step: u64) {
    let mut child = command(&job.pretrain(flags)).spawn().unwrap();
    under_way(&mut child, &job.partial(), step);
    send("-KILL", &child);
    child.wait().unwrap();
}

#[test]
fn a_run_that_was_broken_off_goes_on_to_the_same_bits() {
    let job = job(4);
    let whole = job.place.path("whole");
    succeeds(&[&job.pretrain(&LONG)[..], &["--output", text(&whole)]].concat());
    for (signal, code) in [("-TERM", Some(130)), ("-KILL", None)] {
        let mut child = command(&job.pretrain(&LONG)).spawn().unwrap();
        under_way(&mut child, &job.partial(), 30);
        // While it stands still, nobody else may write there.
        send("-STOP", &child);
        refused(&job.pretrain(&LONG), &["another run is writing here"]);
        send(signal, &child);
        send("-CONT", &child);
        let stopped = output_of(child);
        assert_eq!(stopped.code, code, "{}", stopped.stderr);
        let says = stopped.stderr.contains("the same command goes on from there");
        assert_eq!(says, code.is_some(), "{}", stopped.stderr);
        // Other flags would be another run.
        let other = [&LONG[..], &["--seed", "5"]].concat();
        refused(&job.pretrain(&other), &["run.partial", "other flags", "--overwrite"]);
        let output = succeeds(&job.pretrain(&LONG));
        assert!(output.stderr.contains("going on from step"), "{}", output.stderr);
        assert_eq!(weights(&job.place.output), weights(&whole));
        assert_eq!(figures(&job.place.output), figures(&whole));
        let history = &read_json(&job.place.output.join("trainer_state.json"))["log_history"];
        assert_eq!(history.as_array().unwrap().len(), metrics(&whole).len());
        fs::remove_dir_all(&job.place.output).unwrap();
    }
}

#[test]
fn with_other_flags_a_run_begins_from_its_beginning_on_demand() {
    let job = job(5);
    broken_off(&job, &LONG, 10);
    // What is wrong with the new run is said before the old one is touched.
    let wrong = ["--text", "/nowhere.txt", "--overwrite"];
    refused(&job.pretrain(&wrong), &["/nowhere.txt"]);
    assert!(job.partial().exists());
    let output = succeeds(&job.pretrain(&["--epochs", "1", "--overwrite"]));
    assert!(!output.stderr.contains("going on"), "{}", output.stderr);
    assert!(!job.partial().exists());
}

#[test]
fn a_damaged_checkpoint_is_named_with_the_way_out() {
    for name in ["model.safetensors", "optimizer.safetensors", "trainer_state.json", "config.json"]
    {
        let job = job(6);
        broken_off(&job, &LONG, 10);
        let is_checkpoint = |name: &String| name.starts_with("checkpoint-");
        let checkpoint = names(&job.partial()).into_iter().find(is_checkpoint).unwrap();
        fs::write(job.partial().join(checkpoint).join(name), "").unwrap();
        refused(&job.pretrain(&LONG), &["checkpoint-", "can't go on", "remove", "run.partial"]);
        assert!(job.partial().exists());
    }
}

#[test]
fn a_damaged_corpus_is_refused() {
    let job = job(7);
    broken_off(&job, &LONG, 10);
    fs::write(job.partial().join("corpus/train.bin"), [0; 16]).unwrap();
    refused(&job.pretrain(&LONG), &["can't go on", "run.partial"]);
}

#[test]
fn a_run_that_was_killed_while_it_finished_is_finished() {
    let job = job(8);
    broken_off(&job, &LONG, 10);
    let whole = job.place.path("whole");
    succeeds(&[&job.pretrain(&LONG)[..], &["--output", text(&whole)]].concat());
    // As it is between the last file and the name: the model and its state are there, and the rest, too.
    for name in names(&whole) {
        if name != "metrics.jsonl" && name != "pretrain.toml" {
            fs::copy(whole.join(&name), job.partial().join(&name)).unwrap();
        }
    }
    let output = succeeds(&job.pretrain(&LONG));
    assert!(output.stdout.contains("saved to"), "{}", output.stdout);
    assert_eq!(names(&job.place.output), names(&whole));
    assert_eq!(weights(&job.place.output), weights(&whole));
}

#[test]
fn what_a_run_could_go_on_with_is_not_in_the_way_of_others() {
    let job = job(9);
    let folder = job.place.folder.path();
    let flags = [&LONG[..], &["--output", "runs/train"]].concat();
    let mut child = command(&job.pretrain(&flags)).current_dir(folder).spawn().unwrap();
    under_way(&mut child, &folder.join("runs/train.partial"), 10);
    send("-KILL", &child);
    child.wait().unwrap();
    let data = job.place.write("data.csv", reviews(40, 1));
    let args = ["train", "--model", base_model(), "--train", &data, "--epochs", "1"];
    let output = output_of(command(&args).current_dir(folder).spawn().unwrap());
    assert!(output.stdout.contains("saved to runs/train-2"), "{}{}", output.stdout, output.stderr);
}
