//! Training with LoRA: the merged model, the adapter beside it, and what goes on after a break.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;
use tensor::safetensors::File;

use crate::resuming::{EPOCH, args, checkpoint, goes_on_to_the_same_bits, labelled, stopped};
use crate::support::*;

/// Rates and epochs with which adapters of rank 4 learn [`reviews`].
const LEARN: [&str; 6] = ["--lora-r", "4", "--learning-rate", "1e-2", "--epochs", "6"];

/// All tensors of a file.
fn tensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let mut file = File::open(path).unwrap();
    let names = file.names().into_iter();
    let read = names.map(|name| {
        let tensor = file.read(&name).unwrap();
        (name, (tensor.shape().to_vec(), tensor.to_vec::<f32>().unwrap()))
    });
    read.collect()
}

/// W + scale B A, by the definition.
fn merged(
    w: &[f32],
    a: &(Vec<usize>, Vec<f32>),
    b: &(Vec<usize>, Vec<f32>),
    scale: f64,
) -> Vec<f64> {
    let ([rank, inputs], [outputs, _]) = ([a.0[0], a.0[1]], [b.0[0], b.0[1]]);
    let entry = |o: usize, i: usize| -> f64 {
        let terms =
            (0..rank).map(|k| f64::from(b.1[o * rank + k]) * f64::from(a.1[k * inputs + i]));
        f64::from(w[o * inputs + i]) + scale * terms.sum::<f64>()
    };
    (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i))).map(|(o, i)| entry(o, i)).collect()
}

#[test]
fn lora_gives_a_merged_model_and_the_adapter_that_is_in_it() {
    let place = Place::new(reviews(240, 1));
    let test = place.write("test.csv", reviews(80, 2));
    let more =
        ["--lora-alpha", "6", "--lora-target-modules", "query,output.dense", "--test", &test];
    let output = place.train(&[&LEARN[..], &more].concat());
    // Of 2 layers: queries and attention outputs 4 (32 + 32) each, outputs 4 (64 + 32); pooler and classifier.
    let said = "2914 are trained: 1792 of LoRA (query, output.dense), 1122 of the head";
    assert!(output.stderr.contains(said), "{}", output.stderr);
    let accuracy = metric(&place.output, "test_accuracy");
    assert!(accuracy > 0.9, "{accuracy}");

    // The folder is a model like any other, and the figures of the run are its figures.
    let evaluated = succeeds(&["evaluate", "--model", text(&place.output), &test, "--json"]);
    let loss = json_lines(&evaluated.stdout)[0]["loss"].as_f64().unwrap();
    assert_eq!(loss, metric(&place.output, "test_loss"));

    let adapter = tensors(&place.output.join("adapter/adapter_model.safetensors"));
    let base = tensors(&Path::new(base_model()).join("model.safetensors"));
    let saved = tensors(&place.output.join("model.safetensors"));
    let mut adapted = 0;
    for (name, (shape, values)) in &saved {
        let part = |part: &str| {
            adapter.get(&format!("base_model.model.{}.{part}", name.strip_suffix(".weight")?))
        };
        let head = adapter.get(&format!("base_model.model.{name}"));
        match (part("lora_A.weight"), part("lora_B.weight"), head) {
            (Some(a), Some(b), None) => {
                let (before, want) = (&base[name].1, merged(&base[name].1, a, b, 6.0 / 4.0));
                let near = |(got, want): (&f32, &f64)| (f64::from(*got) - want).abs() < 1e-6;
                assert!(values.iter().zip(&want).all(near), "{name}");
                assert_ne!(values, before, "{name}: it has learned something");
                adapted += 1;
            }
            (None, None, Some(head)) => {
                assert_eq!(head, &(shape.clone(), values.clone()), "{name}")
            }
            (None, None, None) => assert_eq!(values, &base[name].1, "{name} is as it was"),
            _ => panic!("{name}: half an adapter"),
        }
    }
    assert_eq!((adapted, adapter.len()), (6, 2 * 6 + 4));

    let config = read_json(&place.output.join("adapter/adapter_config.json"));
    assert_eq!(config["base_model_name_or_path"], base_model());
    assert_eq!((&config["r"], &config["lora_alpha"]), (&json!(4), &json!(6)));
    assert_eq!(config["target_modules"], json!(["query", "output.dense"]));
    assert_eq!(config["modules_to_save"], json!(["classifier", "pooler"]));
    assert_eq!(config["task_type"], "SEQ_CLS");
}

#[test]
fn lora_is_repeated_from_its_own_settings() {
    let place = Place::new(reviews(60, 3));
    let more = ["--lora-r", "2", "--lora-alpha", "0.5", "--lora-dropout", "0.25", "--epochs", "1"];
    place.train(
        &[&more[..], &["--lora-target-modules", "key,dense", "--precision", "bf16"]].concat(),
    );
    let (toml, again) = (place.output.join("train.toml"), place.path("again"));
    succeeds(&["train", "--config", text(&toml), "--output", text(&again)]);
    assert_eq!(weights(&again), weights(&place.output));
    let config = |run: &Path| read_json(&run.join("adapter/adapter_config.json"));
    assert_eq!(config(&again), config(&place.output));
    assert_eq!(config(&again)["lora_alpha"], json!(0.5));
    assert_eq!(config(&again)["lora_dropout"], json!(0.25));
    // A rank from the file is one that the typed flags can go with.
    succeeds(&[
        "train",
        "--config",
        text(&toml),
        "--output",
        text(&again),
        "--overwrite",
        "--lora-alpha",
        "3",
    ]);
    assert_eq!(config(&again)["lora_alpha"], json!(3));
    // Recomputed activations change no bit, and dropout does.
    let twice = |name: &str, flag: &[&str]| {
        let output = place.path(name);
        succeeds(&[&["train", "--config", text(&toml), "--output", text(&output)], flag].concat());
        weights(&output)
    };
    assert_eq!(twice("recomputed", &["--checkpoint-activations"]), weights(&place.output));
    assert_ne!(twice("dropped", &["--lora-dropout", "0"]), weights(&place.output));
}

/// Every family, under the names of its files; the models are those of the golden tests, of three classes.
#[test]
fn lora_adapts_every_family() {
    let place = Place::new(reviews(40, 3));
    for (family, map, head) in [
        ("bert", "bert.encoder.layer.1.attention.self.query", json!(["classifier", "pooler"])),
        ("roberta", "roberta.encoder.layer.1.attention.self.value", json!(["classifier"])),
        ("xlm-roberta", "roberta.encoder.layer.1.attention.self.value", json!(["classifier"])),
        (
            "distilbert",
            "distilbert.transformer.layer.1.attention.q_lin",
            json!(["classifier", "pre_classifier"]),
        ),
        ("electra", "electra.encoder.layer.1.attention.self.query", json!(["classifier"])),
    ] {
        let model = format!("{}/../tests/golden/{family}_tiny", env!("CARGO_MANIFEST_DIR"));
        let output = place.path(family);
        let train =
            ["--model", &model, "--lora-r", "2", "--epochs", "1", "--output", text(&output)];
        succeeds(&[&["train", "--train", text(&place.train)][..], &train].concat());
        let adapter = tensors(&output.join("adapter/adapter_model.safetensors"));
        assert!(adapter.contains_key(&format!("base_model.model.{map}.lora_A.weight")), "{family}");
        // Two maps of two layers.
        assert_eq!(adapter.keys().filter(|name| name.contains("lora_B")).count(), 4, "{family}");
        let config = read_json(&output.join("adapter/adapter_config.json"));
        assert_eq!(config["modules_to_save"], head, "{family}");
        succeeds(&["evaluate", "--model", text(&output), text(&place.train)]);
    }
}

#[test]
fn lora_labels_words() {
    let sentence = "the O\nhot B-thing\nact I-thing\nwas O\n\nall O\ndam B-thing\ncame O\n\n";
    let place = Place::new("");
    let data = place.write("data.conll", sentence.repeat(20));
    let train =
        ["train", "--model", base_model(), "--train", &data, "--output", text(&place.output)];
    let output = succeeds(&[&train[..], &LEARN, &["--lora-target-modules", "all-linear"]].concat());
    // Of each layer 4 maps from 32 to 32, one to 64 and one from it; 3 tags.
    assert!(
        output.stderr.contains("3683 are trained: 3584 of LoRA (query, key, value, dense), 99")
    );
    let f1 = metric(&place.output, "eval_f1");
    assert!(f1 > 0.9, "{f1}");
    let config = read_json(&place.output.join("adapter/adapter_config.json"));
    assert_eq!(config["task_type"], "TOKEN_CLS");
    assert_eq!(config["modules_to_save"], json!(["classifier"]));
    succeeds(&["evaluate", "--model", text(&place.output), &data]);
}

#[test]
fn lora_goes_on_to_the_same_bits_after_the_best_epoch() {
    let flags = ["--load-best-model-at-end", "--lora-dropout", "0.1", "--precision", "bf16"];
    let flags =
        [&LEARN[..4], &flags, &["--epochs", "60", "--early-stopping-patience", "25"]].concat();
    let output = goes_on_to_the_same_bits(&labelled(), &flags, "-TERM", &[30, 2 * EPOCH + 30]);
    assert!(output.stdout.contains("stopped early"), "{}", output.stdout);
}

#[test]
fn lora_goes_on_to_the_same_bits_after_a_kill() {
    let flags = ["--save-steps", "200", "--epochs", "20", "--lora-target-modules", "all-linear"];
    goes_on_to_the_same_bits(
        &labelled(),
        &[&LEARN[..4], &flags, &["--truncate", "1"]].concat(),
        "-KILL",
        &[210],
    );
}

/// A checkpoint is a model with its adapter; another model below it, or a damaged adapter, is seen.
#[test]
fn lora_goes_on_from_what_it_began_with_alone() {
    let place = labelled();
    let model = place.copy_of(base_model());
    let flags = [&LEARN[..4], &["--model", text(&model), "--epochs", "30", "--save-steps", "300"]];
    let flags = [flags.concat(), vec!["--load-best-model-at-end"]].concat();
    let (args, partial) = (args(&place, &place.output, &flags), place.path("run.partial"));
    stopped(command(&args), &partial, "-KILL", 310);
    let folder = partial.join(format!("checkpoint-{}", checkpoint(&partial)));
    succeeds(&["evaluate", "--model", text(&folder), text(&place.train)]);
    // The best weights are those that are trained, and no others.
    let best = tensors(&folder.join("best.safetensors"));
    let frozen = |name: &&String| name.contains("encoder") && !name.contains("lora");
    assert_eq!((best.len(), best.keys().filter(frozen).count()), (12, 0), "{:?}", best.keys());
    let parts = ["checkpoint-", "can't go on", "remove", "run.partial"];
    for name in ["adapter/adapter_model.safetensors", "model.safetensors"] {
        let content = fs::read(folder.join(name)).unwrap();
        fs::write(folder.join(name), "").unwrap();
        refused(&args, &parts);
        fs::write(folder.join(name), content).unwrap();
    }
    let adapter = folder.join("adapter/adapter_model.safetensors");
    let content = fs::read(&adapter).unwrap();
    let damaged = [&content[..content.len() - 4], &f32::NAN.to_le_bytes()].concat();
    fs::write(&adapter, damaged).unwrap();
    let not_finite = ["adapter_model.safetensors", "has NaN or infinite weights"];
    refused(&args, &[&parts[..], &not_finite].concat());
    fs::write(&adapter, content).unwrap();
    let weights = model.join("model.safetensors");
    let mut content = fs::read(&weights).unwrap();
    // The lowest bit of some weight.
    let last = content.len() - 4;
    content[last] ^= 1;
    fs::write(&weights, content).unwrap();
    refused(
        &args,
        &[&parts[..], &["the model of --model is not the one that it began with"]].concat(),
    );
}

#[test]
fn lora_refuses_what_makes_no_sense() {
    let place = Place::new(reviews(8, 1));
    let wrong = |flags: &[&str], part: &str| {
        let output = finetune(&train_args(text(&place.output), text(&place.train), flags));
        assert_eq!(output.code, Some(2), "{flags:?}: {}", output.stderr);
        let errors: Vec<&str> = output.stderr.lines().filter(|l| l.starts_with("error:")).collect();
        assert!(errors.len() == 1 && output.stderr.contains(part), "{flags:?}: {}", output.stderr);
    };
    for flag in ["--lora-alpha=8", "--lora-dropout=0.1", "--lora-target-modules=query"] {
        wrong(&[flag], "--lora-r <R>");
    }
    wrong(&["--lora-r", "4", "--freeze-encoder"], "give one of the two");
    wrong(&["--lora-r", "4", "--from-scratch"], "give one of the two");
    wrong(&["--lora-r", "0"], "whole number from 1");
    wrong(&["--lora-r", "4", "--lora-alpha", "0"], "finite number above 0");
    wrong(&["--lora-r", "4", "--lora-dropout", "1"], "from 0 to below 1");
    let known = ["target module `q_lin`", "query, key, value, dense, all-linear"];
    place.refuses(&["--lora-r", "4", "--lora-target-modules", "query,q_lin"], &known);
    place.refuses(&["--lora-r", "4", "--lora-target-modules", ""], &["target module ``"]);
    place.refuses(&["--lora-r", "33"], &["rank 33", "32"]);
    // Below 1, and 1 as f32: nearly all is dropped.
    place.train(&["--lora-r", "4", "--lora-dropout", "0.99999999", "--epochs", "1"]);
}
