//! `adapt` and `pretrain`: they learn, they go on after a break, and they refuse what is no text.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::*;

/// Sentences in which every word tells the next one.
pub fn sentences(count: usize, seed: u64) -> String {
    let mut numbers = Numbers::new(seed);
    let mut text = String::new();
    for _ in 0..count {
        let words = ["the", "and", "for", "was", "all", "act", "came"];
        let first = numbers.below(words.len());
        let sentence: Vec<_> = (0..6).map(|i| words[(first + i) % words.len()]).collect();
        writeln!(text, "{}\n", sentence.join(" ")).unwrap();
    }
    text
}

/// A folder with a text, a configuration, and where a run may go.
pub struct Job {
    pub place: Place,
    pub text: String,
    pub config: String,
}

pub const CONFIG: &str = r#"{"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 32,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.1}"#;

impl Job {
    pub fn new(content: impl AsRef<[u8]>) -> Self {
        let place = Place::new("");
        let (text, config) = (place.write("text.txt", content), place.write("config.json", CONFIG));
        Self { place, text, config }
    }

    pub fn pretrain<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let fixed = ["pretrain", "--text", &self.text, "--architecture", &self.config];
        let output = ["--vocab-size", "100", "--output", text(&self.place.output)];
        [&fixed[..], &output, more].concat()
    }

    pub fn adapt<'a>(&'a self, model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let fixed = ["adapt", "--model", model, "--text", &self.text];
        [&fixed[..], &["--output", text(&self.place.output)], more].concat()
    }

    pub fn refuses(&self, args: &[&str], parts: &[&str]) {
        refused(args, parts);
        self.place.assert_nothing_left();
    }

    /// The folder of the run while it is not complete.
    pub fn partial(&self) -> PathBuf {
        self.place.path("run.partial")
    }
}

/// The first and the last value of a figure in the log.
fn first_and_last(run: &Path, name: &str) -> (f64, f64) {
    let entries = metrics(run);
    let values: Vec<f64> = entries.iter().filter_map(|entry| entry[name].as_f64()).collect();
    (values[0], values[values.len() - 1])
}

#[test]
fn pretraining_learns_and_its_model_can_be_fine_tuned() {
    let job = Job::new(sentences(300, 1));
    let more = ["--epochs", "30", "--batch-size", "8", "--learning-rate", "3e-3", "--line-by-line"];
    let output = succeeds(&job.pretrain(&more));
    let run = &job.place.output;
    let (before, after) = first_and_last(run, "eval_loss");
    // Each word tells its neighbours: without knowing that, one of seven is a guess at ln 7 = 1.95.
    assert!(before > 2.5 && after < 0.5, "{before} {after}");
    let (before, after) = first_and_last(run, "eval_pseudo_perplexity");
    assert!(before > 10.0 && after < 1.5, "{before} {after}");
    for part in ["before  held-out loss", "after   held-out loss", "pseudo-perplexity", "saved to"]
    {
        assert!(output.stdout.contains(part), "{}", output.stdout);
    }
    assert!(output.stderr.contains("all random"), "{}", output.stderr);
    let config = read_json(&run.join("config.json"));
    let pieces = fs::read_to_string(run.join("vocab.txt")).unwrap().lines().count();
    assert_eq!(config["architectures"][0], "BertForMaskedLM");
    assert_eq!(config["vocab_size"], pieces);
    assert_eq!(read_json(&run.join("trainer_state.json"))["num_train_epochs"], 30);
    let left = names(run);
    assert!(!left.iter().any(|n| n.starts_with("checkpoint") || n == "corpus"), "{left:?}");
    // The encoder is whole: only the parts of the new head are fresh.
    let (data, tuned) = (job.place.write("data.csv", reviews(40, 1)), job.place.path("tuned"));
    let args = ["train", "--model", text(run), "--train", &data, "--output", text(&tuned)];
    let tuned = succeeds(&[&args[..], &["--epochs", "1", "--max-length", "32"]].concat());
    let fresh = "start fresh: bert.pooler.dense.bias, bert.pooler.dense.weight, classifier.bias, classifier.weight";
    assert!(tuned.stderr.contains(fresh), "{}", tuned.stderr);
}

/// The ids of special tokens are those of the new vocabulary, `[PAD] [UNK] [CLS] [SEP] [MASK]`, or absent.
#[test]
fn pretraining_leaves_no_ids_of_another_vocabulary() {
    let job = Job::new(sentences(60, 1));
    let sizes = json!({"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 24, "max_position_embeddings": 32});
    let old = json!({"bos_token_id": 91, "cls_token_id": 91, "eos_token_id": 92, "sep_token_id": 92,
        "mask_token_id": 93, "pad_token_id": 7, "unk_token_id": 95, "decoder_start_token_id": 91,
        "bad_words_ids": [[96]], "tokenizer_class": "RobertaTokenizer"});
    let ends = json!({"bos_token_id": 2, "eos_token_id": 3});
    let all = json!({"bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3,
        "mask_token_id": 4, "unk_token_id": 1});
    let modern =
        json!({"bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3});
    for (family, given, want) in [
        ("bert", json!({}), json!({})),
        ("bert", old.clone(), all.clone()),
        ("roberta", json!({}), ends),
        ("roberta", old.clone(), all.clone()),
        // Its class has defaults for four of them.
        ("modernbert", json!({}), modern),
        ("modernbert", old, all),
    ] {
        let mut config = json!({"model_type": family});
        for more in [&sizes, &given] {
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        }
        let file = job.place.write("ids.json", config.to_string());
        succeeds(&job.pretrain(&["--architecture", &file, "--max-steps", "1", "--overwrite"]));
        let saved = read_json(&job.place.output.join("config.json"));
        let is_id = |key: &String| key.contains("token_id") || key.contains("words_ids");
        let ids = saved.as_object().unwrap().clone().into_iter().filter(|(key, _)| is_id(key));
        let mut want = want.clone();
        want["pad_token_id"] = json!(0);
        assert_eq!(Value::Object(ids.collect()), want, "{family} {given}");
        assert_eq!(saved.get("tokenizer_class"), None);
    }
}

#[test]
fn adapting_learns_and_says_where_a_head_is_missing() {
    let job = Job::new(sentences(200, 2));
    let more = ["--epochs", "8", "--learning-rate", "5e-3", "--line-by-line", "--whole-word"];
    let output = succeeds(&job.adapt(base_model(), &more));
    assert!(output.stderr.contains("the head starts random"), "{}", output.stderr);
    let (before, after) = first_and_last(&job.place.output, "eval_loss");
    assert!(before > 4.0 && after < 1.9, "{before} {after}");
    let again = job.place.path("again");
    let first = text(&job.place.output);
    let args = ["adapt", "--model", first, "--text", &job.text, "--output", text(&again)];
    let output = succeeds(&[&args[..], &["--epochs", "1", "--learning-rate", "1e-9"]].concat());
    assert!(!output.stderr.contains("random"), "{}", output.stderr);
    // It begins where the first one ended; the masks of another length and rule are others.
    let (begin, _) = first_and_last(&again, "eval_loss");
    assert!((begin - after).abs() < 0.7, "{begin} {after}");
    // What is saved is what was learned.
    let name = "bert.embeddings.word_embeddings.weight";
    assert_ne!(tensor(&job.place.output, name), tensor(Path::new(base_model()), name));
    // The flags are noted, and repeat the run; a text that is typed takes the place of the one in the file.
    let (third, flags) = (job.place.path("third"), again.join("adapt.toml"));
    succeeds(&["adapt", "--config", text(&flags), "--output", text(&third)]);
    assert_eq!(weights(&third), weights(&again));
    let (fourth, few) = (job.place.path("fourth"), job.place.write("few.txt", sentences(60, 9)));
    let typed = ["adapt", "--config", text(&flags), "--output", text(&fourth), "--text", &few];
    let output = succeeds(&typed);
    // A twentieth or so of the 60 is held out.
    assert!(output.stderr.contains("text: 5"), "{}", output.stderr);
}

#[test]
fn seed_and_nothing_else_decides() {
    let job = Job::new(sentences(100, 3));
    let run = |name: &str, more: &[&str]| {
        let output = job.place.path(name);
        let quick = ["--epochs", "2", "--output", text(&output)];
        succeeds(&[&job.pretrain(&[])[..], &quick, more].concat());
        weights(&output)
    };
    let first = run("a", &["--threads", "1"]);
    assert_eq!(run("b", &["--threads", "2"]), first);
    // The flags are noted, and repeat the run.
    let (flags, again) = (job.place.path("a/pretrain.toml"), job.place.path("again"));
    succeeds(&["pretrain", "--config", text(&flags), "--output", text(&again)]);
    assert_eq!(weights(&again), first);
    assert_ne!(run("c", &["--seed", "1"]), first);
    assert_ne!(run("d", &["--mlm-probability", "0.3"]), first);
    assert_ne!(run("e", &["--line-by-line"]), first);
    // Half precision is half the size, and a model like any other.
    let half = run("f", &["--save-dtype", "f16"]);
    assert!(half.len() < first.len() * 6 / 10);
    let folder = job.place.path("f");
    assert_eq!(read_json(&folder.join("config.json"))["torch_dtype"], "float16");
    let tuned = job.place.path("tuned");
    let data = job.place.write("data.csv", reviews(40, 1));
    let args = ["train", "--model", text(&folder), "--train", &data, "--output", text(&tuned)];
    succeeds(&[&args[..], &["--epochs", "1"]].concat());
}

#[test]
fn texts_come_from_files_of_every_format() {
    let job = Job::new("\u{feff}the and\r\n\n   \nfor was all\n");
    let csv =
        job.place.write("a.csv", "sentence1,sentence2,label\nthe act,was all,1\ncame,for,0\n");
    let jsonl = job.place.write("b.jsonl", "{\"text\": \"the and for\", \"label\": 1}\n");
    let other = job.place.write("c.txt", "the act came\n");
    let more = ["--text", &csv, &jsonl, "--validation", &other, "--epochs", "1"];
    let output = succeeds(&job.pretrain(&more));
    assert!(output.stderr.contains("text: 7 texts"), "{}", output.stderr);
    assert!(output.stderr.contains("held out: 1 texts, 10 tokens"), "{}", output.stderr);
    let words = fs::read_to_string(job.place.output.join("vocab.txt")).unwrap();
    assert!(words.lines().any(|word| word == "the"), "{words}");
    // A byte order mark is no letter.
    assert!(!words.contains('\u{feff}'));
}

#[test]
fn no_text_of_a_large_file_is_lost() {
    // More than are handed on at a time.
    let lines = "the act came\n".repeat(20_000);
    let job = Job::new(&lines);
    let csv = job.place.write("a.csv", format!("text\n{lines}"));
    let more = ["--text", &csv, "--validation-fraction", "0", "--max-steps", "1"];
    let output = succeeds(&job.adapt(base_model(), &more));
    // [SEP] behind each, [CLS] before every 63 of them.
    let tokens: usize = 4 * 40_000;
    let sequences = tokens.div_ceil(63);
    let says = format!("text: 40000 texts, {} tokens in {sequences} sequences", tokens + sequences);
    assert!(output.stderr.contains(&says), "{says}\n{}", output.stderr);
}

#[test]
fn nothing_held_out_is_nothing_measured() {
    let job = Job::new(sentences(20, 5));
    let output = succeeds(&job.pretrain(&["--epochs", "1", "--validation-fraction", "0"]));
    assert!(!output.stdout.contains("held-out"), "{}", output.stdout);
}

#[test]
fn files_that_are_no_text() {
    let job = Job::new(sentences(20, 6));
    let write = |name: &str, bytes: &[u8]| job.place.write(name, bytes);
    let cases: Vec<(String, &[&str])> = vec![
        (write("empty.txt", b""), &["empty.txt", "no text in it"]),
        (write("blank.txt", b"\n  \n\t\n"), &["blank.txt", "no text in it"]),
        (write("nul.txt", b"a text\nthe\0act\n"), &["nul.txt, line 2", "NUL byte"]),
        (write("latin.txt", b"fine\ncaf\xe9\n"), &["latin.txt, line 2", "not UTF-8 at byte 3"]),
        (
            write("image.png", b"\x89PNG\r\n\x1a\n\0\0"),
            &["image.png", "no known extension", ".txt"],
        ),
        (write("empty.csv", b""), &["empty.csv", "empty"]),
        (write("numbers.csv", b"a,b\n1,2\n"), &["numbers.csv", "text"]),
        (write("long.txt", &vec![b'a'; (1 << 20) + 2]), &["long.txt, line 1", "1 MiB"]),
        (text(job.place.folder.path()).to_owned(), &["is a directory"]),
        ("/nowhere/text.txt".to_owned(), &["/nowhere/text.txt", "no such file"]),
        ("/dev/zero".to_owned(), &["/dev/zero", "not a regular file"]),
    ];
    for (file, parts) in cases {
        job.refuses(&job.pretrain(&["--text", &file]), parts);
        job.refuses(&job.adapt(base_model(), &["--text", &file]), parts);
    }
    job.refuses(&job.pretrain(&["--validation", "/nowhere/v.txt"]), &["/nowhere/v.txt"]);
}

#[test]
fn what_the_model_can_not_do() {
    let job = Job::new(sentences(20, 7));
    let pretrain = |more: &[&str], parts: &[&str]| job.refuses(&job.pretrain(more), parts);
    pretrain(&["--vocab-size", "8"], &["vocab_size 8", "no room", "at least"]);
    pretrain(&["--max-length", "33"], &["--max-length 33", "32 positions"]);
    let tokens = ["--max-length", "65"];
    job.refuses(&job.adapt(base_model(), &tokens), &["--max-length 65", "64 positions"]);
    job.refuses(&job.adapt("/nowhere", &[]), &["/nowhere", "no such folder"]);
    let config = |name: &str, json: &str| job.place.write(name, json);
    let misspelt = config("a.json", &CONFIG.replace("hidden_size", "hidden_sizes"));
    pretrain(&["--architecture", &misspelt], &["a.json", "unknown keys: hidden_sizes"]);
    let other = config("b.json", &CONFIG.replace("\"bert\"", "\"mamba\""));
    pretrain(&["--architecture", &other], &["b.json", "model_type", "mamba"]);
    pretrain(&["--architecture", "/nowhere.json"], &["/nowhere.json", "can't be read"]);
    pretrain(&["--architecture", &config("c.json", "{")], &["c.json", "not a JSON object"]);
    let short = config("d.json", &CONFIG.replace("embeddings\": 32", "embeddings\": 2"));
    pretrain(&["--architecture", &short], &["2 positions", "at least"]);
    // A run that diverges before there is anything worth keeping leaves nothing.
    let diverging = ["--learning-rate", "1e30", "--warmup-ratio", "0", "--epochs", "9"];
    pretrain(
        &[&diverging[..], &["--validation-fraction", "0"]].concat(),
        &["diverged", "nothing was saved"],
    );
}

#[test]
fn a_tokenizer_without_a_mask_is_refused() {
    let job = Job::new(sentences(100, 8));
    let model = job.place.copy_of(base_model());
    let vocabulary = fs::read_to_string(model.join("vocab.txt")).unwrap();
    fs::write(model.join("vocab.txt"), vocabulary.replace("[MASK]", "[HIDE]")).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"] {
        let _ = fs::remove_file(model.join(name));
    }
    job.refuses(&job.adapt(text(&model), &[]), &["no [MASK]"]);
}

#[test]
fn numbers_out_of_range() {
    let cases = [
        ("--mlm-probability", "0", "above 0 and below 1"),
        ("--mlm-probability", "1", "above 0 and below 1"),
        ("--max-steps", "0", "whole number from 1"),
        ("--save-steps", "0", "whole number from 1"),
        ("--eval-steps", "0", "whole number from 1"),
        ("--max-length", "2", "whole number from 3"),
        ("--lr-scheduler-type", "wavy", "possible values: constant"),
        ("--save-dtype", "int8", "possible values: f32, f16, bf16"),
    ];
    let job = Job::new(sentences(20, 8));
    let rising = ["--lr-scheduler-type", "polynomial", "--learning-rate", "1e-8"];
    for args in [job.adapt(base_model(), &rising), job.pretrain(&rising)] {
        let output = finetune(&args);
        assert_eq!(output.code, Some(2), "{}", output.stderr);
        assert!(output.stderr.contains("polynomial ends at 1e-7"), "{}", output.stderr);
    }
    for command in ["adapt", "pretrain"] {
        for (flag, value, part) in cases {
            let output = finetune(&[command, &format!("{flag}={value}")]);
            assert_eq!(output.code, Some(2), "{flag} {value}");
            assert!(output.stderr.contains(part), "{flag} {value}: {}", output.stderr);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_list_of_modules_that_is_no_file_is_not_waited_for() {
    let job = Job::new(sentences(20, 5));
    let model = job.place.copy_of(base_model());
    let list = model.join("modules.json");
    assert!(std::process::Command::new("mkfifo").arg(&list).status().unwrap().success());
    job.refuses(&job.adapt(text(&model), &[]), &["modules.json", "not a regular file"]);
}

#[test]
fn what_sentence_transformers_needs_goes_over() {
    let job = Job::new(sentences(100, 5));
    let model = job.place.copy_of(base_model());
    fs::create_dir(model.join("1_Pooling")).unwrap();
    let files = [
        (
            "modules.json",
            r#"[{"idx": 0, "path": ""}, {"idx": 1, "path": "1_Pooling"}, {"idx": 2, "path": "2_Normalize"}]"#,
        ),
        ("1_Pooling/config.json", r#"{"pooling_mode_mean_tokens": true}"#),
        ("sentence_bert_config.json", r#"{"max_seq_length": 256}"#),
        ("config_sentence_transformers.json", "{}"),
    ];
    for (name, content) in files {
        fs::write(model.join(name), content).unwrap();
    }
    fs::write(model.join("README.md"), "of another model").unwrap();
    succeeds(&job.adapt(text(&model), &["--epochs", "1"]));
    for (name, content) in files {
        assert_eq!(fs::read_to_string(job.place.output.join(name)).unwrap(), content, "{name}");
    }
    let card = fs::read_to_string(job.place.output.join("README.md")).unwrap();
    assert!(!card.contains("of another model"), "{card}");
}
