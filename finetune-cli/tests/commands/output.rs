//! The output folder: complete, or not there.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::*;

const QUICK: [&str; 2] = ["--epochs", "1"];

#[test]
fn an_earlier_run_is_replaced_on_demand_and_at_the_end() {
    let place = Place::new(reviews(20, 1));
    place.train(&QUICK);
    let first = weights(&place.output);
    let args = train_args(text(&place.output), text(&place.train), &QUICK);
    refused(&args, &["already holds a run", "--overwrite"]);
    // A run that fails on its way leaves the earlier one as it was.
    let diverging = ["--overwrite", "--learning-rate", "1e30", "--warmup-ratio", "0"];
    let args = train_args(text(&place.output), text(&place.train), &diverging);
    refused(&args, &["training diverged"]);
    assert_eq!(weights(&place.output), first);
    place.train(&["--epochs", "1", "--overwrite", "--seed", "9"]);
    assert_ne!(weights(&place.output), first);
    assert_eq!(names(place.folder.path()), ["run", "train.csv"]);
}

#[test]
fn folders_that_are_taken() {
    let place = Place::new(reviews(20, 1));
    fs::create_dir(&place.output).unwrap();
    // An empty folder is free.
    place.train(&QUICK);
    let other = place.path("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("thesis.txt"), "mine").unwrap();
    for more in [&[][..], &["--overwrite"]] {
        let args = train_args(text(&other), text(&place.train), more);
        refused(&args, &["other", "not empty and holds no run", "--output"]);
    }
    assert_eq!(names(&other), ["thesis.txt"]);
    // So is a folder that only has the name of an unfinished run.
    let (last, partial) = (place.path("last"), place.path("last.partial"));
    fs::create_dir(&partial).unwrap();
    fs::write(partial.join("thesis.txt"), "mine").unwrap();
    let args = train_args(text(&last), text(&place.train), &QUICK);
    refused(&args, &["last.partial", "in the way"]);
    assert_eq!(names(&partial), ["thesis.txt"]);
}

#[test]
fn places_that_can_not_be_written() {
    let place = Place::new(reviews(20, 1));
    let below_a_file = place.train.join("run");
    let args = train_args(text(&below_a_file), text(&place.train), &QUICK);
    refused(&args, &["train.csv", "can't be written", "--output"]);
    let args = train_args(text(&place.train), text(&place.train), &QUICK);
    refused(&args, &["train.csv", "not a folder", "--output"]);
    place.assert_nothing_left();
}

/// Said before the training, not when its model is to have the name.
#[cfg(unix)]
#[test]
fn a_link_that_leads_to_itself() {
    let place = Place::new(reviews(20, 1));
    std::os::unix::fs::symlink("loop", place.path("loop")).unwrap();
    let args = train_args("loop", text(&place.train), &QUICK);
    let child = command(&args).current_dir(place.folder.path()).spawn().unwrap();
    let output = output_of(child);
    let line = "error: loop: a link that leads nowhere but to links; choose another --output\n";
    assert_eq!((output.code, &output.stderr[..]), (Some(1), line), "{}", output.stdout);
    assert_eq!(names(place.folder.path()), ["loop", "train.csv"]);
}

#[cfg(unix)]
#[test]
fn a_read_only_folder() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new(reviews(20, 1));
    let locked = place.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write to read-only folders");
        return;
    }
    let output = locked.join("run");
    let args = train_args(text(&output), text(&place.train), &QUICK);
    refused(&args, &["can't be written", "choose another --output"]);
}

fn wait_for_a_step(place: &Place) {
    let start = Instant::now();
    while fs::read(place.path("run.partial/metrics.jsonl")).map_or(0, |text| text.len()) == 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "no step in a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(unix)]
#[test]
fn a_killed_run_leaves_what_the_next_one_clears_away() {
    let place = Place::new(reviews(240, 1));
    let args = train_args(text(&place.output), text(&place.train), &["--epochs", "100000"]);
    let mut child = command(&args).spawn().unwrap();
    wait_for_a_step(&place);
    // While it lives, no other run may take its place.
    let quick = train_args(text(&place.output), text(&place.train), &QUICK);
    refused(&quick, &["run.partial", "another run is writing"]);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    assert!(!child.wait().unwrap().success());
    assert_eq!(names(place.folder.path()), ["run.partial", "train.csv"]);
    place.train(&QUICK);
    assert_eq!(names(place.folder.path()), ["run", "train.csv"]);
}

#[test]
fn complete_runs_beside_the_output_are_left_alone() {
    let place = Place::new(reviews(20, 1));
    let (old, partial) = (place.path("run.old"), place.path("run.partial"));
    train(&old, &place.train, &QUICK);
    place.train(&QUICK);
    place.train(&["--epochs", "1", "--overwrite", "--seed", "9"]);
    assert!(old.join("trainer_state.json").exists());
    train(&partial, &place.train, &QUICK);
    let args = train_args(text(&place.output), text(&place.train), &["--overwrite"]);
    refused(&args, &["run.partial", "a complete run"]);
    assert!(partial.join("trainer_state.json").exists());
}

#[test]
fn a_run_outlives_the_readers_of_its_output() {
    let place = Place::new(reviews(20, 1));
    let args = train_args(text(&place.output), text(&place.train), &QUICK);
    let mut child = command(&args).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert!(child.wait().unwrap().success());
    assert!(place.output.join("trainer_state.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_outlives_a_log_on_a_full_disk() {
    let place = Place::new(reviews(20, 1));
    let args = train_args(text(&place.output), text(&place.train), &QUICK);
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    assert!(command(&args).stdout(full()).stderr(full()).status().unwrap().success());
    assert!(place.output.join("trainer_state.json").exists());
}

/// Long enough that a test can do something while it trains.
const LONG: [&str; 4] = ["--epochs", "40", "--logging-steps", "1"];

#[test]
fn what_comes_to_the_output_during_a_run_is_not_lost() {
    let place = Place::new(reviews(240, 1));
    let child = command(&train_args(text(&place.output), text(&place.train), &LONG)).spawn();
    wait_for_a_step(&place);
    fs::create_dir(&place.output).unwrap();
    fs::write(place.output.join("thesis.txt"), "mine").unwrap();
    let output = output_of(child.unwrap());
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert!(output.stderr.contains("the finished run is in"), "{}", output.stderr);
    assert_eq!(names(&place.output), ["thesis.txt"]);
    assert!(place.path("run.partial/model.safetensors").exists());
}

#[test]
fn a_model_that_can_not_be_saved_in_its_place_is_saved_elsewhere() {
    let (place, elsewhere) = (Place::new(reviews(240, 1)), tempfile::tempdir().unwrap());
    let mut run = command(&train_args(text(&place.output), text(&place.train), &LONG));
    let child = run.env("TMPDIR", elsewhere.path()).spawn().unwrap();
    // The model of an earlier run, whose process had the same number.
    let earlier = elsewhere.path().join(format!("finetune-{}", child.id()));
    fs::create_dir(&earlier).unwrap();
    fs::write(earlier.join("model.safetensors"), "theirs").unwrap();
    wait_for_a_step(&place);
    // Where the weights are written before they have their name.
    fs::create_dir(place.path("run.partial/model.safetensors.partial")).unwrap();
    let output = output_of(child);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert!(output.stderr.contains("the trained model is in"), "{}", output.stderr);
    place.assert_nothing_left();
    assert_eq!(fs::read(earlier.join("model.safetensors")).unwrap(), b"theirs");
    fs::remove_dir_all(&earlier).unwrap();
    let saved = elsewhere.path().join(&names(elsewhere.path())[0]);
    succeeds(&["predict", "--model", text(&saved), "the cat"]);
}

#[cfg(unix)]
#[test]
fn a_link_is_followed() {
    let place = Place::new(reviews(20, 1));
    let (big, link) = (place.path("disk/big"), place.path("link"));
    fs::create_dir_all(&big).unwrap();
    std::os::unix::fs::symlink(&big, &link).unwrap();
    train(&link, &place.train, &QUICK);
    assert!(link.is_symlink() && big.join("trainer_state.json").exists());
    assert_eq!(names(&place.path("disk")), ["big"]);
    // As shells complete it; and one to a folder that is still to be made.
    let slash = format!("{}/", link.display());
    train(Path::new(&slash), &place.train, &["--epochs", "1", "--overwrite"]);
    std::os::unix::fs::symlink("disk/new", place.path("ahead")).unwrap();
    train(&place.path("ahead"), &place.train, &QUICK);
    assert_eq!(names(&place.path("disk")), ["big", "new"]);
    assert!(link.is_symlink() && place.path("ahead").is_symlink());
}

#[cfg(target_os = "linux")]
#[test]
fn a_mounted_disk_is_refused_before_the_training() {
    let place = Place::new(reviews(20, 1));
    let args = train_args("/proc", text(&place.train), &["--overwrite"]);
    refused(&args, &["/proc: a disk or volume is mounted there", "--output /proc/run"]);
}
