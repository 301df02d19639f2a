//! `finetune select` on odd candidates and after interruptions.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::selection::*;
use crate::support::*;

impl Choice {
    fn cache(&self) -> PathBuf {
        self.place.output.join("cache")
    }

    /// The folders of all verifications.
    fn verifications(&self) -> Vec<PathBuf> {
        let folders = names(&self.cache()).into_iter().filter(|name| name.starts_with("verify"));
        folders.map(|name| self.cache().join(name)).collect()
    }
}

/// The steps of the rungs of a candidate.
fn steps(candidate: &Value) -> Vec<u64> {
    let rungs = candidate["verified"]["rungs"].as_array().unwrap();
    rungs.iter().map(|rung| rung["steps"].as_u64().unwrap()).collect()
}

/// The first is measured, the second is read from the cache.
#[test]
fn equal_contents_score_alike() {
    let choice = Choice::of_reviews();
    let twin = copy(&trained().folder, &choice.place.path("twin"));
    let models = [trained().folder.as_str(), base_model(), &twin];
    let (summary, _) = choice.select(&models, &["--verify", "0", "--no-truncate"]);
    let of = |name: &str| (&row(&summary, name)["evidence"], &row(&summary, name)["score"]);
    assert_eq!(of(&trained().folder), of(&twin));
}

#[test]
fn a_folder_under_two_names_is_one_candidate() {
    let choice = Choice::of_reviews();
    let again = format!("{}/.", base_model());
    let (summary, _) = choice.select(&[base_model(), &again], &["--verify", "0"]);
    assert!(candidates(&summary).iter().all(|c| c["name"] != again.as_str()), "{summary}");
}

/// Of three candidates two went on. Then the call was broken off: one had trained to the end and got worse, the other
/// had not, and its weights are lost.
#[test]
fn a_verification_goes_on_with_the_candidates_that_were_left() {
    let choice = Choice::of_reviews();
    let shallow = format!("{}:1", base_model());
    let models = [base_model(), &shallow, trained().folder.as_str()];
    let more = ["--verify", "3", "--no-truncate"];
    let (before, _) = choice.select(&models, &more);
    let folders = choice.verifications();
    let [folder] = &folders[..] else { panic!("one verification") };
    let rungs = |i: usize| folder.join(format!("{i}/rungs.json"));
    let read = |i: usize| read_json(&rungs(i)).as_array().unwrap().clone();
    let finalists: Vec<usize> = (0..3).filter(|&i| read(i).len() == 2).collect();
    let [worse, unfinished] = finalists[..] else { panic!("two finalists") };
    let (mut worsened, whole) = (read(worse), read(unfinished));
    worsened[1]["metric"] = json!(0.0);
    fs::write(rungs(worse), Value::from(worsened).to_string()).unwrap();
    fs::write(rungs(unfinished), Value::from(vec![whole[0].clone()]).to_string()).unwrap();
    let (after, _) = choice.select(&models, &more);
    for name in models {
        assert_eq!(steps(row(&before, name)), steps(row(&after, name)), "{name}");
    }
    let again = read(unfinished);
    assert_eq!((&again[1]["metric"], &again[1]["loss"]), (&whole[1]["metric"], &whole[1]["loss"]));
}

#[test]
fn what_a_verification_depends_on_is_in_its_key() {
    let choice = Choice::of_reviews();
    let verify = |more: &[&str]| {
        choice.select(&[base_model()], &[&["--verify", "1", "--no-truncate"][..], more].concat());
        choice.verifications().len()
    };
    assert_eq!(verify(&[]), 1);
    assert_eq!(verify(&["--max-length", "4"]), 2);
    assert_eq!(verify(&["--max-length", "4"]), 2);
}

/// What a call that was killed left for other settings than those of the next.
#[test]
fn weights_of_a_verification_that_was_broken_off_do_not_stay() {
    let choice = Choice::of_reviews();
    let more = ["--verify", "1", "--no-truncate"];
    choice.select(&[base_model()], &[&more[..], &["--budget", "5m"]].concat());
    let [folder] = &choice.verifications()[..] else { panic!("one verification") };
    let weights = folder.join("0/15");
    fs::create_dir(&weights).unwrap();
    fs::write(weights.join("model.safetensors"), "large").unwrap();
    choice.select(&[base_model()], &[&more[..], &["--budget", "6m"]].concat());
    assert_eq!(choice.verifications().len(), 2);
    assert_eq!(names(&folder.join("0")), ["rungs.json"]);
    assert!(folder.join("plan.json").is_file());
}

/// As many classes as rows, of which some are drawn.
#[test]
fn a_sample_of_classes_of_one_row_is_scored() {
    let row = |i: usize| format!("fin act{},class-{i}\n", " the".repeat(i % 5));
    let rows = "text,label\n".to_owned() + &(0..30).map(row).collect::<String>();
    let choice = Choice::new(&rows, &rows);
    let (summary, _) = choice.select(&[base_model()], &["--sample", "10", "--verify", "0"]);
    assert_eq!(summary["task"]["sampled_rows"], 10);
    assert_eq!(candidates(&summary)[0]["status"], "scored", "{summary}");
}

#[test]
fn one_step_is_verified_in_one_rung() {
    let train = "text,label\nfin act,good\nbra all,poor\nfin all,good\n";
    let choice = Choice::new(train, reviews(20, 4));
    let shallow = format!("{}:1", base_model());
    let models = [base_model(), &shallow, trained().folder.as_str()];
    let (summary, _) = choice.select(&models, &["--verify", "3", "--no-truncate", "--epochs", "1"]);
    candidates(&summary).iter().for_each(|c| assert_eq!(steps(c), [1], "{c}"));
}

#[test]
fn a_figure_without_a_value_is_said() {
    let train = "text,score\n".to_owned() + &"fin act,1.5\nbra all,1.5\n".repeat(10);
    let choice = Choice::new(&train, &train);
    let (summary, _) = choice.select(&[base_model()], &["--verify", "1", "--no-truncate"]);
    let row = row(&summary, base_model());
    assert_eq!(row["status"], "scored");
    assert!(remarks(row).contains("pearson has no value"), "{row}");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_waited_for() {
    let choice = Choice::of_reviews();
    let pipe = |folder: &str, name: &str| {
        let path = PathBuf::from(folder).join(name);
        let _ = fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    };
    let weights = copy(base_model(), &choice.place.path("weights"));
    pipe(&weights, "model.safetensors");
    let besides = copy(base_model(), &choice.place.path("besides"));
    pipe(&besides, "other.safetensors");
    fs::create_dir(PathBuf::from(&besides).join("old.safetensors")).unwrap();
    let (summary, _) = choice.select(&[&weights, &besides], &["--verify", "0"]);
    assert!(remarks(row(&summary, &weights)).contains("not a regular file"), "{summary}");
    assert_eq!(row(&summary, &besides)["status"], "scored");
}

#[test]
fn a_place_for_the_training_is_looked_for_first() {
    let choice = Choice::of_reviews();
    let best = choice.place.output.join("best");
    fs::create_dir_all(&best).unwrap();
    fs::write(best.join("notes.txt"), "mine").unwrap();
    let args = choice.args(&[base_model()], &["--verify", "0", "--train-best"]);
    refused(&args, &["best", "not empty"]);
    assert!(!choice.cache().exists());
    let both = finetune(&choice.args(&[base_model()], &["--json", "--train-best"]));
    assert_eq!(both.code, Some(2));
}
