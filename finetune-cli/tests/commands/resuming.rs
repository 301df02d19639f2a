//! Runs that were broken off, at any place: of masked-language modelling, then of `train`.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::masked_lm::{CONFIG, Job, sentences};
use crate::support::*;

/// Many short steps, with a checkpoint every few.
pub const LONG: [&str; 8] =
    ["--epochs", "40", "--batch-size", "2", "--logging-steps", "1", "--save-steps", "7"];

/// A text, and a model with dropout: its masks have to be the same after a break.
pub fn job(seed: u64) -> Job {
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

/// Whether the tests were started with the signal of a lost terminal ignored, which what they start inherits.
fn hang_up_is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is signal 1, the lowest bit.
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1))
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
        entry.retain(|key, _| key != "train_runtime" && !key.ends_with("_per_second"));
    }
    entries
}

/// Begins a run and kills it when it has logged this step.
pub fn broken_off(job: &Job, flags: &[&str], step: u64) {
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
    for (signal, code) in [("-TERM", Some(143)), ("-HUP", Some(129)), ("-KILL", None)] {
        if signal == "-HUP" && hang_up_is_ignored() {
            println!("skipped: {signal}: the tests run under nohup, and so would the run");
            continue;
        }
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

/// `nohup` has the signal of a lost terminal ignored.
#[cfg(target_os = "linux")]
#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let job = job(4);
    let mut child = std::process::Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_finetune")])
        .args(job.pretrain(&LONG))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    under_way(&mut child, &job.partial(), 10);
    send("-HUP", &child);
    assert!(child.wait().unwrap().success());
    assert!(job.place.output.exists());
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

/// Steps of an epoch of [`labelled`]: nine tenths of its rows, by twos.
pub const EPOCH: u64 = 270;

/// Data for epochs of many short steps.
pub fn labelled() -> Place {
    Place::new(reviews(600, 1))
}

/// The same of words: each has the label of its sentence.
fn tagged() -> Place {
    let csv = reviews(600, 1);
    let row = |line: &str| {
        let (sentence, label) = line.split_once(',').unwrap();
        let words: Vec<&str> = sentence.split(' ').collect();
        json!({"tokens": words, "tags": vec![label; words.len()]}).to_string() + "\n"
    };
    let mut place = Place::new("");
    let train = place.write("train.jsonl", csv.lines().skip(1).map(row).collect::<String>());
    place.train = train.into();
    place
}

/// A training with these flags, in which every tenth step is logged.
pub fn args<'a>(place: &'a Place, output: &'a Path, flags: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["--batch-size", "2", "--logging-steps", "10"];
    train_args(text(output), text(&place.train), &[&fixed[..], flags].concat())
}

/// Begins a run, or goes on with it, and breaks it off when it has logged this step.
pub fn stopped(mut run: std::process::Command, partial: &Path, signal: &str, step: u64) -> Output {
    let mut child = run.spawn().unwrap();
    under_way(&mut child, partial, step);
    send(signal, &child);
    output_of(child)
}

/// The step of the newest checkpoint; a kill may have left an older one.
pub fn checkpoint(partial: &Path) -> u64 {
    let names = names(partial).into_iter();
    let steps = names.filter_map(|name| name.strip_prefix("checkpoint-")?.parse().ok());
    steps.max().expect("a checkpoint")
}

/// `trainer_state.json`, without the times.
fn state(run: &Path) -> Value {
    let mut state = read_json(&run.join("trainer_state.json"));
    assert_eq!(state["log_history"], json!(metrics(run)));
    state["log_history"] = json!(figures(run));
    state
}

fn same(run: &Path, whole: &Path) {
    assert_eq!(names(run), names(whole));
    assert!(weights(run) == weights(whole), "the weights differ");
    // With LoRA there are some more.
    let adapter = |run: &Path| fs::read(run.join("adapter/adapter_model.safetensors")).ok();
    assert!(adapter(run) == adapter(whole), "the adapters differ");
    assert_eq!(figures(run), figures(whole));
    assert_eq!(state(run), state(whole));
}

/// Breaks a training off at each of these steps, goes on, and compares with one that was not broken off.
pub fn goes_on_to_the_same_bits(
    place: &Place,
    flags: &[&str],
    signal: &str,
    steps: &[u64],
) -> Output {
    let (whole, partial) = (place.path("whole"), place.path("run.partial"));
    succeeds(&args(place, &whole, flags));
    for &step in steps {
        let output = stopped(command(&args(place, &place.output, flags)), &partial, signal, step);
        if signal == "-TERM" {
            let saved = checkpoint(&partial);
            assert_eq!(output.code, Some(143), "{}", output.stderr);
            assert!(
                output.stderr.contains(&format!("stopped at step {saved} of")) && saved >= step
            );
            assert!(output.stderr.contains("the same command goes on from there"));
        }
    }
    let saved = checkpoint(&partial);
    let output = succeeds(&args(place, &place.output, flags));
    let line = format!("going on from step {saved}, where the run was broken off\n");
    assert_eq!(output.stderr.matches(&line).count(), 1, "{}", output.stderr);
    same(&place.output, &whole);
    output
}

#[test]
fn a_training_goes_on_in_the_middle_of_an_epoch_and_after_the_best_one() {
    // All is learned in an epoch or two, and patience lasts for a while after that.
    let flags = ["--learning-rate", "2e-3", "--load-best-model-at-end", "--epochs", "60"];
    let flags = [&flags[..], &["--early-stopping-patience", "25"]].concat();
    let place = labelled();
    let test = place.write("test.csv", reviews(40, 2));
    let flags = [&flags[..], &["--test", &test]].concat();
    let output = goes_on_to_the_same_bits(&place, &flags, "-TERM", &[30, 2 * EPOCH + 30]);
    assert!(output.stdout.contains("stopped early"), "{}", output.stdout);
}

#[test]
fn a_training_goes_on_between_two_validations_of_an_epoch() {
    let flags = "--learning-rate 2e-3 --epochs 9 --eval-steps 100 --load-best-model-at-end \
         --metric-for-best-model loss --early-stopping-patience 9";
    let flags: Vec<_> = flags.split_whitespace().collect();
    goes_on_to_the_same_bits(&labelled(), &flags, "-TERM", &[130, EPOCH + 60]);
}

#[test]
fn a_frozen_and_truncated_encoder_goes_on() {
    let frozen = ["--freeze-encoder", "--truncate", "1", "--optimizer", "sgd", "--epochs", "80"];
    let flags = [&frozen[..], &["--momentum", "0.9", "--precision", "bf16", "--save-steps", "200"]]
        .concat();
    goes_on_to_the_same_bits(&labelled(), &flags, "-KILL", &[210, 410]);
}

#[test]
fn random_weights_go_on_between_epochs() {
    let every = EPOCH.to_string();
    let flags =
        ["--from-scratch", "--epochs", "20", "--max-grad-norm", "0", "--save-steps", &every];
    goes_on_to_the_same_bits(&labelled(), &flags, "-KILL", &[EPOCH + 60]);
}

/// Behind the last whole epoch, too, on the way to the one that is broken off.
#[test]
fn a_number_of_steps_goes_on() {
    let (place, steps) = (labelled(), (2 * EPOCH + 260).to_string());
    let flags = ["--max-steps", &steps, "--epochs", "1", "--load-best-model-at-end"];
    let output = goes_on_to_the_same_bits(&place, &flags, "-TERM", &[30, 2 * EPOCH + 10]);
    assert!(output.stdout.starts_with("epoch 2.963/3  loss "), "{}", output.stdout);
}

#[test]
fn labels_of_words_go_on() {
    let flags = ["--epochs", "20", "--max-length", "6", "--save-steps", "50"];
    let loss = ["--class-weight", "balanced", "--label-smoothing-factor", "0.1"];
    let flags = [&flags[..], &loss].concat();
    goes_on_to_the_same_bits(&tagged(), &flags, "-TERM", &[130]);
}

#[test]
fn a_training_that_is_not_broken_off_leaves_no_checkpoint() {
    let place = labelled();
    let mut child = command(&args(&place, &place.output, &["--epochs", "20"])).spawn().unwrap();
    let partial = place.path("run.partial");
    under_way(&mut child, &partial, EPOCH + 10);
    let seen = names(&partial);
    assert!(!seen.iter().any(|name| name.starts_with("checkpoint")), "{seen:?}");
    assert_eq!(output_of(child).code, Some(0));
    // Nor does one that wrote some.
    let output = succeeds(&args(&place, &place.path("saved"), &["--save-steps", "99"]));
    assert!(!output.stderr.contains("going on"), "{}", output.stderr);
    assert_eq!(names(&place.path("saved")), names(&place.output));
}

/// Something that can't be removed is in the way of the next checkpoints: the run goes on, and says so once for each.
fn hindered(partial: &Path, child: &mut Child, step: u64) -> u64 {
    under_way(child, partial, step);
    fs::write(partial.join("checkpoint.old"), "").unwrap();
    let before = checkpoint(partial);
    under_way(child, partial, step + 300);
    // One may have been under way.
    let now = checkpoint(partial);
    assert!(now <= before + 50, "{before} {now}");
    assert!(!partial.join("checkpoint.partial").exists());
    now
}

#[test]
fn a_checkpoint_that_cannot_be_written_ends_no_training() {
    let (place, flags) = (labelled(), ["--epochs", "12", "--save-steps", "50"]);
    let (whole, partial) = (place.path("whole"), place.path("run.partial"));
    let args_of = |output| args(&place, output, &flags);
    succeeds(&args_of(&whole));
    let mut child = command(&args_of(&place.output)).spawn().unwrap();
    hindered(&partial, &mut child, 60);
    fs::remove_file(partial.join("checkpoint.old")).unwrap();
    // A later one is tried again.
    under_way(&mut child, &partial, 600);
    assert!(checkpoint(&partial) > 360, "{:?}", names(&partial));
    let output = output_of(child);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let warned = output.stderr.lines().filter(|line| {
        line.contains("checkpoint-")
            && line.contains("Not a directory")
            && line.ends_with("; the run goes on without this checkpoint")
    });
    assert!((4..=8).contains(&warned.count()), "{}", output.stderr);
    same(&place.output, &whole);

    // Asked to stop, a run has to save: that it can't is the error, and the older checkpoint stays.
    fs::remove_dir_all(&place.output).unwrap();
    let mut child = command(&args_of(&place.output)).spawn().unwrap();
    let saved = hindered(&partial, &mut child, 60);
    send("-TERM", &child);
    let output = output_of(child);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let last = output.stderr.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains("can't be written"), "{last}");
    assert_eq!(checkpoint(&partial), saved);
    fs::remove_file(partial.join("checkpoint.old")).unwrap();
    let output = succeeds(&args_of(&place.output));
    assert!(output.stderr.contains(&format!("going on from step {saved},")), "{}", output.stderr);
    same(&place.output, &whole);
}

#[test]
fn a_checkpoint_that_cannot_be_written_ends_no_pretraining() {
    let job = job(12);
    let mut child = command(&job.pretrain(&LONG)).spawn().unwrap();
    under_way(&mut child, &job.partial(), 20);
    fs::write(job.partial().join("checkpoint.old"), "").unwrap();
    under_way(&mut child, &job.partial(), 60);
    fs::remove_file(job.partial().join("checkpoint.old")).unwrap();
    let output = output_of(child);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(
        output.stderr.contains("; the run goes on without this checkpoint"),
        "{}",
        output.stderr
    );
}

#[test]
fn flags_that_change_no_weights_may_be_others() {
    let (place, long) = (labelled(), ["--epochs", "20"]);
    let whole = place.path("whole");
    succeeds(&args(&place, &whole, &long));
    stopped(command(&args(&place, &place.output, &long)), &place.path("run.partial"), "-TERM", 20);
    let other = [&long[..], &["--save-steps", "500", "--logging-steps", "50"]].concat();
    let output = succeeds(&args(&place, &place.output, &other));
    assert!(output.stderr.contains("going on from step"), "{}", output.stderr);
    assert!(weights(&place.output) == weights(&whole), "the weights differ");
}

#[test]
fn a_training_with_other_flags_or_data_is_not_gone_on_with() {
    let (place, long) = (labelled(), ["--epochs", "30"]);
    let partial = place.path("run.partial");
    stopped(command(&args(&place, &place.output, &long)), &partial, "-TERM", 20);
    let other = args(&place, &place.output, &["--epochs", "1"]);
    refused(&other, &["run.partial", "other flags", "(--epochs)", "--overwrite"]);
    let data = fs::read_to_string(&place.train).unwrap();
    fs::write(&place.train, data.replacen("good", "poor", 1)).unwrap();
    let parts = ["can't go on", "remove", "run.partial", "the data is not what"];
    refused(&args(&place, &place.output, &long), &parts);
    assert!(checkpoint(&partial) >= 20);
    let output = succeeds(&[&other[..], &["--overwrite"]].concat());
    assert!(!output.stderr.contains("going on"), "{}", output.stderr);
    assert_eq!(names(place.folder.path()), ["run", "train.csv"]);
}

#[test]
fn a_training_that_diverges_behind_a_checkpoint_names_it() {
    let place = labelled();
    let flags = ["--learning-rate", "1e30", "--warmup-ratio", "0", "--save-steps", "1"];
    let parts = ["checkpoint-1 is a model from before", "training diverged at step 2"];
    refused(&args(&place, &place.output, &flags), &parts);
    assert_eq!(checkpoint(&place.path("run.partial")), 1);
}

#[test]
fn a_damaged_checkpoint_of_a_training_is_named_with_the_way_out() {
    let place = labelled();
    let flags = ["--epochs", "30", "--load-best-model-at-end", "--save-steps", "300"];
    let (args, partial) = (args(&place, &place.output, &flags), place.path("run.partial"));
    stopped(command(&args), &partial, "-KILL", 310);
    let folder = partial.join(format!("checkpoint-{}", checkpoint(&partial)));
    for name in ["model.safetensors", "optimizer.safetensors", "best.safetensors"] {
        let content = fs::read(folder.join(name)).unwrap();
        fs::write(folder.join(name), "").unwrap();
        refused(&args, &["checkpoint-", "can't go on", "remove", "run.partial"]);
        fs::write(folder.join(name), content).unwrap();
    }
}

#[test]
fn without_an_output_the_run_with_the_same_settings_goes_on() {
    let desk = tempfile::tempdir().unwrap();
    let here = |args: &[&str]| {
        let mut command = command(args);
        command.current_dir(desk.path());
        command
    };
    let same_settings = ["train", "--epochs", "6", "--logging-steps", "10"];
    let runs = desk.path().join("runs");
    let train = |args: &[&str]| output_of(here(args).spawn().unwrap());
    let output = stopped(here(&same_settings), &runs.join("train.partial"), "-TERM", 30);
    assert_eq!(output.code, Some(143), "{}", output.stderr);
    let other = train(&["train", "--epochs", "1", "--max-train-samples", "64"]);
    assert!(other.stdout.contains("\nsaved to runs/train-2\n"), "{}", other.stdout);
    assert!(!other.stderr.contains("going on"), "{}", other.stderr);
    let output = train(&same_settings);
    assert!(output.stdout.contains("\nsaved to runs/train\n"), "{}", output.stdout);
    assert_eq!(output.stderr.matches("going on from step").count(), 1, "{}", output.stderr);
    // It is complete now: the next one is another.
    let output = train(&same_settings);
    assert!(output.stdout.contains("\nsaved to runs/train-3\n"), "{}", output.stdout);
    assert_eq!(names(&runs), ["train", "train-2", "train-3"]);
    same(&runs.join("train"), &runs.join("train-3"));
}
