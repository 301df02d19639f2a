//! `finetune select`: the ranking, its proof, and what goes wrong with single candidates.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::*;

/// A folder with training and validation data, and where the selection goes.
pub struct Choice {
    pub place: Place,
    pub validation: String,
}

/// Quick, and enough to learn what [`reviews`] holds.
const RECIPE: [&str; 6] = ["--learning-rate", "2e-3", "--epochs", "2", "--seed", "1"];

impl Choice {
    pub fn new(train: impl AsRef<[u8]>, validation: impl AsRef<[u8]>) -> Self {
        let place = Place::new(train);
        let validation = place.write("validation.csv", validation);
        Self { place, validation }
    }

    pub fn of_reviews() -> Self {
        Self::new(reviews(240, 3), reviews(80, 4))
    }

    pub fn output(&self) -> &str {
        text(&self.place.output)
    }

    pub fn args<'a>(&'a self, models: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
        let fixed = [
            "--train",
            text(&self.place.train),
            "--validation",
            &self.validation,
            "--output",
            self.output(),
        ];
        [&["select", "--models"], models, &fixed, &RECIPE, more].concat()
    }

    pub fn select(&self, models: &[&str], more: &[&str]) -> (Value, Output) {
        let output = succeeds(&self.args(models, more));
        (read_json(&self.place.output.join("select.json")), output)
    }
}

pub fn candidates(summary: &Value) -> &Vec<Value> {
    summary["candidates"].as_array().unwrap()
}

pub fn row<'a>(summary: &'a Value, name: &str) -> &'a Value {
    candidates(summary).iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

pub fn remarks(row: &Value) -> String {
    row["remarks"].to_string()
}

#[test]
fn what_has_learned_the_task_comes_first() {
    let choice = Choice::of_reviews();
    let (base, tuned) = (base_model(), trained().folder.as_str());
    let (summary, output) = choice.select(&[base, tuned], &["--verify", "0"]);
    let first = &candidates(&summary)[0];
    assert_eq!((&first["name"], &first["status"]), (&tuned.into(), &"scored".into()));
    let (score, low, high) =
        (&first["score"]["value"], &first["score"]["low"], &first["score"]["high"]);
    let [score, low, high] = [score, low, high].map(|v| v.as_f64().unwrap());
    assert!(low <= score && score <= high && high <= 100.0 && score > 50.0, "{first}");
    let objective = &first["evidence"]["objective"];
    assert_eq!(objective["kind"], "fine_tuned");
    assert_eq!(objective["head_used"], true);
    assert!(objective["head_metric"].as_f64().unwrap() > 0.9, "{objective}");
    assert!(remarks(first).contains("has a head for these labels"));
    assert!(output.stderr.contains("task: one of 2 classes: good, poor; "), "{}", output.stderr);
    assert!(output.stdout.contains(tuned) && output.stdout.contains("finetune train --model"));
    let report = fs::read_to_string(choice.place.output.join("report.html")).unwrap();
    assert!(report.contains(base) && report.contains("</html>"));
}

#[test]
fn costs_are_those_of_the_model() {
    let choice = Choice::of_reviews();
    let (summary, _) = choice.select(&[base_model()], &["--verify", "0"]);
    let cost = &row(&summary, base_model())["evidence"]["cost"];
    let inspected = succeeds(&["inspect", base_model(), "--json"]).stdout;
    let encoder =
        serde_json::from_str::<Value>(&inspected).unwrap()["parameters"].as_u64().unwrap();
    // A pooler of 32 x 32 and a head of 2 x 32, with biases.
    assert_eq!(cost["parameters"].as_u64().unwrap(), encoder + 32 * 33 + 2 * 33);
    assert!(cost["seconds_per_example"].as_f64().unwrap() > 0.0);
    let (seconds, epoch) = (&cost["projected_seconds"], &cost["seconds_per_example"]);
    let [seconds, example] = [seconds, epoch].map(|v| v.as_f64().unwrap());
    assert!(seconds >= 2.0 * 240.0 * example, "{cost}");
    let fit = &row(&summary, base_model())["evidence"]["fit"];
    let words = |key: &str| fit[key].as_f64().unwrap();
    assert_eq!((words("unknown_rate"), words("truncation_rate")), (0.0, 0.0));
    assert!(words("tokens_per_word") >= 1.0 && words("mean_tokens") > 4.0, "{fit}");
}

#[test]
fn weights_that_a_candidate_does_not_use_are_said() {
    let choice = Choice::of_reviews();
    let model = choice.place.copy_of(base_model());
    let mut config = read_json(&model.join("config.json"));
    config["num_hidden_layers"] = 1.into();
    fs::write(model.join("config.json"), config.to_string()).unwrap();
    let (short, cut) = (text(&model), format!("{}:1", base_model()));
    // From what is kept of the first call, too.
    for _ in 0..2 {
        let (summary, output) =
            choice.select(&[short, base_model(), &cut], &["--verify", "0", "--no-truncate"]);
        let said = "16 weights of the encoder are not used, such as bert.encoder.layer.1.";
        assert!(remarks(row(&summary, short)).contains(said), "{}", row(&summary, short));
        assert_eq!(row(&summary, short)["evidence"]["unused"]["count"], 16);
        assert_eq!(output.stdout.matches("are not used").count(), 1, "{}", output.stdout);
        // Layers that are left out on demand are no surprise.
        assert!(!remarks(row(&summary, &cut)).contains("not used"));
    }
}

#[test]
fn a_score_of_few_examples_is_said_to_say_little() {
    let choice = Choice::of_reviews();
    let note = |rows: &str| {
        let (summary, output) =
            choice.select(&[base_model()], &["--verify", "0", "--sample", rows]);
        let line = output.stdout.lines().find_map(|line| line.strip_prefix("note: "));
        let notes = summary["task"]["remarks"].as_array().unwrap().clone();
        let note = notes.first().map(|note| note.as_str().unwrap().to_owned());
        assert_eq!(note.as_deref(), line, "{}", output.stdout);
        note
    };
    let want = "10 examples are few: the scores say little, and may rank by chance; a larger --sample tells more";
    assert_eq!(note("10").as_deref(), Some(want));
    let report = fs::read_to_string(choice.place.output.join("report.html")).unwrap();
    assert!(report.contains(want));
    assert_eq!(note("100"), None);
    // All that there is; words, where words have labels.
    let place = Place::new("");
    let words = place.write("train.conll", "hot\tA\nthe\tO\n\nwas\tO\nhot\tA\n\n".repeat(10));
    let args = ["select", "--models", base_model(), "--train", &words, "--verify", "0"];
    let output = succeeds(&[&args[..], &["--output", text(&place.output)]].concat());
    assert!(
        output.stdout.contains("\nnote: 36 words are few: ")
            && output.stdout.contains("; more training data tells more\n"),
        "{}",
        output.stdout
    );
}

/// The last rung is the training that `finetune train` does: the same steps, schedule, order and masks, broken off
/// and continued in between.
#[test]
fn rungs_continue_and_end_where_training_ends() {
    let choice = Choice::of_reviews();
    let models = [base_model(), &format!("{}:1", base_model()), trained().folder.as_str()];
    let (summary, output) = choice.select(&models, &["--verify", "3", "--no-truncate"]);
    let steps = |c: &Value| -> Vec<u64> {
        let rungs = c["verified"]["rungs"].as_array().unwrap();
        rungs.iter().map(|rung| rung["steps"].as_u64().unwrap()).collect()
    };
    let (first, last) = (&candidates(&summary)[0], &candidates(&summary)[2]);
    // 15 steps an epoch, 2 epochs.
    assert_eq!((steps(first), steps(last)), (vec![15, 30], vec![15]));
    let name = first["path"].as_str().unwrap();
    let train = choice.place.path("whole");
    let layers = first["truncate"].as_u64().map(|n| n.to_string());
    let truncate = layers.iter().flat_map(|n| ["--truncate", n]);
    let mut args = vec!["train", "--model", name, "--train", text(&choice.place.train)];
    args.extend(["--validation", &choice.validation, "--output", text(&train)]);
    args.extend(RECIPE.into_iter().chain(truncate));
    succeeds(&args);
    assert_eq!(first["verified"]["metric"].as_f64().unwrap(), metric(&train, "eval_accuracy"));
    let loss = first["verified"]["rungs"][1]["loss"].as_f64().unwrap();
    assert_eq!(loss, metric(&train, "eval_loss"));
    assert!(output.stdout.contains("measured on 80 validation examples"), "{}", output.stdout);
    assert!(output.stdout.contains("after up to 30 of 30 training steps"), "{}", output.stdout);
    assert!(!choice.place.output.join("best").exists());
    // Once more, from what is on disk.
    let (again, _) = choice.select(&models, &["--verify", "3", "--no-truncate"]);
    assert_eq!(summary["candidates"], again["candidates"]);
}

/// Proof and cost are of the training that the next command does, which has the flag as well.
#[test]
fn a_frozen_encoder_is_frozen_in_the_verification_too() {
    let choice = Choice::of_reviews();
    let more = ["--verify", "1", "--no-truncate", "--train-best", "--freeze-encoder"];
    let (frozen, output) = choice.select(&[base_model()], &more);
    assert!(output.stdout.contains("--freeze-encoder"), "{}", output.stdout);
    let (frozen, best) = (row(&frozen, base_model()), choice.place.output.join("best"));
    let loss = |row: &Value| row["verified"]["rungs"][0]["loss"].as_f64().unwrap();
    assert_eq!(loss(frozen), metric(&best, "eval_loss"));
    let (free, _) = choice.select(&[base_model()], &more[..3]);
    let free = row(&free, base_model());
    assert_ne!(loss(frozen), loss(free));
    let cost = |row: &Value, name: &str| row["evidence"]["cost"][name].as_f64().unwrap();
    assert_eq!(3.0 * cost(frozen, "epoch_flops"), cost(free, "epoch_flops"));
    // 16 bytes a parameter become 4, but for the head.
    let saved = cost(free, "projected_memory") - cost(frozen, "projected_memory");
    assert!(
        saved > 11.0 * (cost(free, "parameters") - 32.0 * 33.0 - 2.0 * 33.0),
        "{free} {frozen}"
    );
}

/// Rungs, costs and the next command are those of adapters; what comes out last is what `train` comes to.
#[test]
fn adapters_are_verified_as_they_are_trained() {
    let choice = Choice::of_reviews();
    let lora = ["--lora-r", "4", "--lora-dropout", "0.1", "--lora-target-modules", "all-linear"];
    let more = [&["--verify", "3", "--no-truncate", "--train-best"], &lora[..]].concat();
    let models = [base_model(), &format!("{}:1", base_model()), trained().folder.as_str()];
    let (adapted, output) = choice.select(&models, &more);
    let line = output.stdout.lines().find(|line| line.starts_with("finetune train")).unwrap();
    let flags = "--lora-dropout 0.1 --lora-r 4 --lora-target-modules all-linear";
    assert!(line.contains(flags), "{line}");
    assert!(output.stdout.contains("of 2 epochs of training with LoRA of rank 4 at batch size"));
    let first = &candidates(&adapted)[0];
    let rungs = first["verified"]["rungs"].as_array().unwrap();
    assert_eq!(rungs.len(), 2, "{first}");
    let best = choice.place.output.join("best");
    assert!(best.join("adapter/adapter_model.safetensors").is_file());
    assert_eq!(rungs[1]["loss"].as_f64().unwrap(), metric(&best, "eval_loss"));
    assert_eq!(first["verified"]["metric"].as_f64().unwrap(), metric(&best, "eval_accuracy"));
    // From what is on disk, and not from the evidence without adapters.
    let (again, _) = choice.select(&models, &[&more[..3], &lora].concat());
    assert_eq!(adapted["candidates"], again["candidates"]);
    let (free, _) = choice.select(&models, &more[..3]);
    let cost = |summary: &Value, name: &str| {
        row(summary, base_model())["evidence"]["cost"][name].as_f64().unwrap()
    };
    assert_eq!(cost(&adapted, "epoch_flops"), 2.0 / 3.0 * cost(&free, "epoch_flops"));
    // Of 2 layers, 4 maps from 32 to 32, one to 64 and one from it: 4 bytes of each weight, 12 of what is trained.
    let (thin, head) = (4.0 * 2.0 * (4.0 * 64.0 + 2.0 * 96.0), 32.0 * 33.0 + 2.0 * 33.0);
    let frozen = cost(&free, "parameters") - head;
    let saved = cost(&free, "projected_memory") - cost(&adapted, "projected_memory");
    assert_eq!(saved, 12.0 * frozen - 16.0 * thin);
}

#[test]
fn adapters_that_do_not_fit_a_candidate_stand_in_its_row() {
    let choice = Choice::of_reviews();
    let distilbert = format!("{}/../tests/golden/distilbert_tiny", env!("CARGO_MANIFEST_DIR"));
    let more = ["--verify", "0", "--lora-r", "2", "--lora-target-modules", "query"];
    let (summary, _) = choice.select(&[base_model(), &distilbert], &more);
    assert_eq!(row(&summary, base_model())["status"], "scored");
    assert_eq!(row(&summary, &distilbert)["status"], "failed");
    assert!(remarks(row(&summary, &distilbert)).contains("LoRA: target module `query`"));
    let both = ["--lora-r", "4", "--freeze-encoder"];
    let output = finetune(&choice.args(&[base_model()], &both));
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert!(output.stderr.contains("give one of the two"), "{}", output.stderr);
}

#[test]
fn the_chosen_one_is_trained_on_request() {
    let choice = Choice::of_reviews();
    let more = ["--verify", "1", "--train-best", "--no-truncate"];
    let (summary, _) = choice.select(&[base_model()], &more);
    let best = choice.place.output.join("best");
    let verified = row(&summary, base_model())["verified"]["metric"].as_f64().unwrap();
    assert_eq!(metric(&best, "eval_accuracy"), verified);
    let settings = fs::read_to_string(best.join("train.toml")).unwrap();
    assert!(settings.contains("epochs = 2"), "{settings}");
}

#[test]
fn a_second_call_takes_what_the_first_one_measured() {
    let choice = Choice::of_reviews();
    let tuned = trained().folder.as_str();
    let (before, _) = choice.select(&[base_model()], &["--verify", "1"]);
    let cache = choice.place.output.join("cache");
    let evidence = names(&cache).into_iter().find(|name| name.starts_with("evidence")).unwrap();
    let written = || fs::metadata(cache.join(&evidence)).unwrap().modified().unwrap();
    let at = written();
    let (after, _) = choice.select(&[base_model()], &["--verify", "1"]);
    assert_eq!(before["candidates"], after["candidates"]);
    let (more, _) = choice.select(&[base_model(), tuned], &["--verify", "0"]);
    let same = |summary: &Value| row(summary, base_model())["evidence"].clone();
    assert_eq!(same(&before), same(&more));
    assert_eq!(written(), at);
    // What is damaged is measured again.
    fs::write(cache.join(&evidence), "{").unwrap();
    let (again, _) = choice.select(&[base_model()], &["--verify", "0"]);
    let estimates = |summary: &Value| same(summary)["estimates"].clone();
    assert_eq!(estimates(&before), estimates(&again));
    assert_ne!(written(), at);
}

/// A copy of a model folder.
pub fn copy(model: &str, folder: &Path) -> String {
    fs::create_dir(folder).unwrap();
    for name in names(Path::new(model)) {
        fs::copy(Path::new(model).join(&name), folder.join(&name)).unwrap();
    }
    text(folder).to_owned()
}

/// Copies of the base model that differ in a key of the configuration that nobody reads.
fn many_models(choice: &Choice, count: usize) -> Vec<String> {
    let make = |i: usize| {
        let folder = copy(base_model(), &choice.place.path(&format!("models-{i}")));
        let path = Path::new(&folder).join("config.json");
        let config = fs::read_to_string(&path).unwrap();
        fs::write(path, config.replacen('{', &format!("{{\"number\": {i},"), 1)).unwrap();
        folder
    };
    (0..count).map(make).collect()
}

#[test]
fn what_was_broken_off_goes_on() {
    let choice = Choice::of_reviews();
    let models = many_models(&choice, 12);
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    let args = choice.args(&models, &["--verify", "1"]);
    let cache = choice.place.output.join("cache");
    let evidence = || -> Vec<String> {
        let all = fs::read_dir(&cache).map(|_| names(&cache)).unwrap_or_default();
        all.into_iter().filter(|n| n.starts_with("evidence") && n.ends_with("json")).collect()
    };
    let mut child = command(&args).spawn().unwrap();
    while evidence().len() < 3 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let written = |name: &String| fs::metadata(cache.join(name)).unwrap().modified().unwrap();
    let before: Vec<_> = evidence().iter().map(|name| (name.clone(), written(name))).collect();
    assert!(before.len() >= 3, "{before:?}");
    let (summary, _) = choice.select(&models, &["--verify", "1"]);
    assert_eq!(candidates(&summary).len(), 12);
    assert_eq!(evidence().len(), 12);
    before.iter().for_each(|(name, at)| assert_eq!(written(name), *at));
    // And the weights of the verification are gone.
    let left = names(&cache).into_iter().find(|name| name.starts_with("verify")).unwrap();
    assert_eq!(names(&cache.join(left).join("0")), ["rungs.json"]);
}

#[test]
fn a_broken_candidate_is_a_row() {
    let choice = Choice::of_reviews();
    let broken = |name: &str, file: &str, content: &str| {
        let folder = copy(base_model(), &choice.place.path(name));
        fs::write(Path::new(&folder).join(file), content).unwrap();
        folder
    };
    let decoder = broken("decoder", "config.json", r#"{"model_type": "gpt2"}"#);
    let damaged = broken("damaged", "model.safetensors", "no weights");
    let huge = broken(
        "huge",
        "config.json",
        r#"{"model_type": "bert", "vocab_size": 500, "hidden_size": 65536,
            "num_hidden_layers": 1000, "num_attention_heads": 16, "intermediate_size": 262144}"#,
    );
    let deep = format!("{}:9", base_model());
    let models = [&decoder, "none/such", &damaged, base_model(), &deep, &huge];
    let (summary, output) = choice.select(&models, &["--verify", "1"]);
    assert_eq!(candidates(&summary)[0]["name"], base_model());
    for (name, status, part) in [
        (decoder.as_str(), "failed", "gpt2"),
        ("none/such", "failed", "Hugging Face cache"),
        (&damaged, "failed", "model.safetensors"),
        (&deep, "failed", "has 2 layers"),
        (&huge, "failed", "sizes"),
    ] {
        let row = row(&summary, name);
        assert_eq!(row["status"], status, "{row}");
        assert!(remarks(row).contains(part), "{row}");
        assert!(output.stdout.contains(part), "{}", output.stdout);
    }
}

#[test]
fn limits_are_kept_and_said() {
    let choice = Choice::of_reviews();
    let output = finetune(&choice.args(&[base_model()], &["--max-memory", "10kB"]));
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("over the limit of 10.0 kB"), "{}", output.stdout);
    assert!(output.stderr.contains("no candidate could be scored"), "{}", output.stderr);
    let (summary, output) = choice.select(&[base_model()], &["--budget", "0.05s"]);
    assert_eq!(candidates(&summary)[0]["status"], "scored");
    assert!(output.stderr.contains("not verified") && output.stderr.contains("give --budget"));
    let refused = finetune(&choice.args(&[base_model()], &["--budget", "soon"]));
    assert_eq!(refused.code, Some(2));
}

#[test]
fn data_that_can_not_be_chosen_for() {
    let choice = Choice::of_reviews();
    let none = choice.place.write("list.txt", "# nothing\n\n");
    let unlabelled = choice.place.write("unlabelled.csv", "text\na\nb\n");
    let (train, list) = (text(&choice.place.train), ["select", "--models-file", &none, "--train"]);
    refused(&[&list[..], &[train]].concat(), &["no candidates", "--models-file"]);
    let with =
        |train| ["select", "--models", base_model(), "--output", choice.output(), "--train", train];
    refused(&with(&unlabelled), &["unlabelled.csv", "label column"]);
    assert_eq!(finetune(&["select", "--train", train]).code, Some(2));
    let flags = ["--validation-fraction", "0"];
    let output = finetune(&[&with(train)[..], &flags[..]].concat());
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("--verify needs validation data"), "{}", output.stderr);
}

#[test]
fn rare_classes_are_scored_and_said() {
    let rare = reviews(60, 3) + "fin act,rare\nbra all,rare\n";
    let choice = Choice::new(rare, reviews(20, 4));
    let (summary, output) = choice.select(&[base_model()], &["--verify", "1"]);
    assert_eq!(candidates(&summary)[0]["status"], "verified");
    assert!(output.stderr.contains("fewer examples than folds (5) in the sample: rare (2)"));
}

#[test]
fn text_of_another_script_is_not_run() {
    let train = "text,label\nпривет мир,a\nдобрый день,b\nпривет день,a\nдобрый мир,b\n".repeat(10);
    let choice = Choice::new(&train, &train);
    let output = finetune(&choice.args(&[base_model()], &["--verify", "0"]));
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("unknown to it"), "{}", output.stdout);
    // It takes no weights to see that.
    let bare = choice.place.copy_of(base_model());
    fs::remove_file(bare.join("model.safetensors")).unwrap();
    let output = finetune(&choice.args(&[text(&bare)], &["--verify", "0"]));
    assert!(output.stdout.contains("unknown to it"), "{}", output.stdout);
}

#[test]
fn objectives_are_read_from_the_files() {
    let choice = Choice::new(reviews(40, 3), reviews(20, 4));
    let sentences = choice.place.copy_of(base_model());
    fs::write(sentences.join("modules.json"), "[]").unwrap();
    let (sentences, tuned) = (text(&sentences), trained().folder.as_str());
    let (summary, _) = choice.select(&[base_model(), sentences, tuned], &["--verify", "0"]);
    let kind = |name| row(&summary, name)["evidence"]["objective"]["kind"].clone();
    let kinds = [base_model(), sentences, tuned].map(kind);
    assert_eq!(kinds, ["unknown", "contrastive", "fine_tuned"]);
}

/// Rows of the other tasks, out of those of [`reviews`].
fn rows(header: &str, row: impl Fn(&str, bool) -> String) -> String {
    let lines = reviews(120, 5);
    let rows = lines.lines().skip(1).map(|line| {
        let (text, label) = line.rsplit_once(',').unwrap();
        row(text, label == "good")
    });
    std::iter::once(header.to_owned()).chain(rows).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn all_tasks_and_pairs() {
    let score =
        rows("text,score", |text, good| format!("{text},{}", if good { 3.5 } else { 1.25 }));
    let pair = rows("sentence1,sentence2,label", |text, good| format!("{text},all of it,{good}"));
    let multi = rows("text;labels", |text, good| {
        format!("{text};{}", if good { "good|short" } else { "short" })
    });
    for (data, flags, metric) in [
        (score, &[][..], "pearson"),
        (pair, &[], "accuracy"),
        (multi.replace(';', ","), &["--label-delimiter", "|"], "f1_micro"),
    ] {
        let choice = Choice::new(&data, &data);
        let tiny = format!("{}:1", base_model());
        let (summary, _) =
            choice.select(&[base_model(), &tiny], &[&["--verify", "2"], flags].concat());
        assert_eq!(summary["task"]["metric"], metric);
        for candidate in candidates(&summary) {
            assert_eq!(candidate["status"], "verified", "{candidate}");
            let estimates = candidate["evidence"]["estimates"].as_array().unwrap();
            assert_eq!(estimates.len(), 18);
            let valued = estimates.iter().filter(|e| e["value"].is_number()).count();
            assert!(valued >= 15, "{metric}: {valued} of 18 have a value: {candidate}");
        }
    }
}

#[test]
fn many_candidates_in_one_call() {
    let choice = Choice::new(reviews(40, 3), reviews(20, 4));
    let list = many_models(&choice, 40).join("\n");
    let list = choice.place.write("models.txt", list);
    let more = ["--models-file", &list, "--verify", "0", "--no-truncate", "--json"];
    let (summary, output) = choice.select(&[base_model()], &more);
    assert_eq!(candidates(&summary).len(), 41);
    assert_eq!(serde_json::from_str::<Value>(&output.stdout).unwrap(), summary);
    // They all hold the same: none can be told from another.
    assert!(candidates(&summary).iter().all(|c| c["score"]["tied_with_best"] == true));
}
