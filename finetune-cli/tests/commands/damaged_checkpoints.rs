//! Checkpoints with contents that no run has written: each is named with the way out, and left alone.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::resuming::{EPOCH, LONG, args, broken_off, checkpoint, job, labelled, stopped};
use crate::support::*;

const STATE: &str = "trainer_state.json";

/// A training that was broken off in its second epoch, and its checkpoint.
struct Broken {
    place: Place,
    folder: PathBuf,
}

const FLAGS: [&str; 5] = ["--epochs", "30", "--load-best-model-at-end", "--save-steps", "300"];
const STEP: u64 = 300;

impl Broken {
    fn new() -> Self {
        let place = labelled();
        let partial = place.path("run.partial");
        let args = args(&place, &place.output, &FLAGS);
        stopped(command(&args), &partial, "-KILL", STEP + 10);
        assert!(checkpoint(&partial) == STEP && EPOCH < STEP);
        let folder = partial.join(format!("checkpoint-{STEP}"));
        Self { place, folder }
    }

    /// The run does not go on from its checkpoint, and the message has these parts.
    fn refuses(&self, parts: &[&str]) {
        let parts = [&["checkpoint-", "can't go on", "remove", "run.partial"], parts].concat();
        refused(&args(&self.place, &self.place.output, &FLAGS), &parts);
    }
}

/// With a key of the state changed, `check` is done; then it is as it was.
fn with_state(folder: &Path, key: &str, value: Value, check: impl Fn()) {
    let path = folder.join(STATE);
    let whole = fs::read_to_string(&path).unwrap();
    let mut state = read_json(&path);
    state[key] = value;
    fs::write(&path, state.to_string()).unwrap();
    check();
    fs::write(&path, whole).unwrap();
}

/// Saves the step counter of the optimizer as another one.
fn set_step(folder: &Path, step: u64) {
    let path = folder.join("optimizer.safetensors");
    let state = optim::State::load(&path).unwrap();
    optim::State { step, ..state }.save(&path).unwrap();
}

#[test]
fn a_state_that_no_run_has_is_refused() {
    let run = Broken::new();
    let sums = |key: &str, value: Value| {
        let mut sums = read_json(&run.folder.join(STATE))["stretch"].take();
        sums[key] = value;
        sums
    };
    let cases = [
        // One epoch is done.
        ("best_global_step", json!("1"), "best_global_step"),
        ("best_global_step", json!(0), "best_global_step"),
        ("best_global_step", json!(2 * EPOCH), "best_global_step"),
        ("best_global_step", json!(u64::MAX), "best_global_step"),
        ("best_global_step", json!(EPOCH - 1), "best_global_step"),
        ("best_metric", json!("0.5"), "best_metric"),
        ("log_history", json!({}), "log_history"),
        ("log_history", Value::Null, "log_history"),
        ("stretch", Value::Null, "stretch.seconds"),
        ("stretch", sums("units", json!(u64::MAX)), "stretch.units"),
        ("stretch", sums("weight", json!(u64::MAX)), "stretch.weight"),
        ("stretch", sums("loss", json!("1")), "stretch.loss"),
        ("global_step", json!(STEP - 1), "global_step"),
        ("global_step", json!("300"), "global_step"),
    ];
    for (key, value, named) in cases {
        with_state(&run.folder, key, value, || run.refuses(&[STATE, named]));
    }
    let without = |key: &str| {
        let mut state = read_json(&run.folder.join(STATE));
        state.as_object_mut().unwrap().remove(key);
        state.to_string()
    };
    for content in ["", "[]", "{", &without("best_global_step")] {
        let whole = fs::read(run.folder.join(STATE)).unwrap();
        fs::write(run.folder.join(STATE), content).unwrap();
        run.refuses(&[STATE]);
        fs::write(run.folder.join(STATE), whole).unwrap();
    }
}

#[test]
fn weights_of_the_best_epoch_that_are_not_finite_are_refused() {
    let run = Broken::new();
    let path = run.folder.join("best.safetensors");
    let whole = fs::read(&path).unwrap();
    for bad in [f32::NAN, f32::INFINITY] {
        let mut bytes = whole.clone();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&bad.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        run.refuses(&["best.safetensors", "NaN or infinite"]);
    }
}

#[test]
fn a_step_that_is_not_that_of_the_checkpoint_is_refused() {
    let run = Broken::new();
    for step in [0, STEP - 1, STEP + 1, 1_000_000] {
        set_step(&run.folder, step);
        run.refuses(&["optimizer.safetensors", &format!("step {step} "), "global_step 300"]);
    }
    // All agree, on more steps than there are.
    let (steps, beyond) = (30 * EPOCH, 30 * EPOCH + 1);
    let folder = run.folder.with_file_name(format!("checkpoint-{beyond}"));
    fs::rename(&run.folder, &folder).unwrap();
    set_step(&folder, beyond);
    let parts = [&format!("step {beyond} of {steps}")[..]];
    with_state(&folder, "global_step", json!(beyond), || run.refuses(&parts));
}

#[test]
fn a_pretraining_refuses_them_too() {
    let job = job(6);
    broken_off(&job, &LONG, 10);
    let folder = job.partial().join(format!("checkpoint-{}", checkpoint(&job.partial())));
    let refuses = |part: &str| {
        let parts = ["checkpoint-", "can't go on", "remove", "run.partial", part];
        refused(&job.pretrain(&LONG), &parts);
    };
    with_state(&folder, "stretch", Value::Null, || refuses("stretch"));
    with_state(
        &folder,
        "stretch",
        json!({"seconds": 1, "loss": 1, "weight": u64::MAX, "units": 1}),
        || {
            refuses("stretch.weight");
        },
    );
    with_state(&folder, "log_history", json!("none"), || refuses("log_history"));
    set_step(&folder, 1_000_000);
    refuses("step 1000000 of");
}

#[test]
fn a_run_without_its_log_does_not_go_on() {
    let job = job(6);
    broken_off(&job, &LONG, 10);
    fs::remove_file(job.partial().join("metrics.jsonl")).unwrap();
    refused(&job.pretrain(&LONG), &["run.partial/metrics.jsonl", "can't go on", "remove"]);
}
