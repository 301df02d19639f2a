//! A masked language model from a folder and back to one.

use std::path::{Path, PathBuf};

use autograd::Param;
use bert::{
    Checkpoint, Config, Error, Family, LoadReport, MaskedLm, SavedDType, SequenceClassifier,
    Tokenizer, save_pretrained,
};
use nn::Module;
use serde_json::{Value, json};
use tempfile::TempDir;
use tensor::{Tensor, safetensors};

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../finetune-cli/assets/tiny")
}

/// Sizes with which every weight has a shape of its own.
fn config(extra: Value) -> Config {
    let mut json = json!({"model_type": "bert", "vocab_size": 2000, "hidden_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12,
        "max_position_embeddings": 40});
    json.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    Config::parse(&json.to_string(), Path::new("config.json")).unwrap()
}

fn write(dir: &Path, tensors: &[(String, Tensor)]) -> Checkpoint {
    safetensors::write(&dir.join("model.safetensors"), tensors).unwrap();
    Checkpoint::open(dir, &Family::Bert).unwrap()
}

/// The weights of a model by names that a checkpoint may give them.
fn named(params: &[Param], rename: impl Fn(&str) -> String) -> Vec<(String, Tensor)> {
    params.iter().map(|p| (rename(p.name()), p.value())).collect()
}

fn assert_same(a: &[Param], b: &[Param]) {
    for (a, b) in a.iter().zip(b) {
        assert_eq!(
            a.value().to_f64_vec().unwrap(),
            b.value().to_f64_vec().unwrap(),
            "{}",
            a.name()
        );
    }
}

#[test]
fn a_saved_folder_opens_again() {
    let (dir, config) = (TempDir::new().unwrap(), config(json!({"tie_word_embeddings": false})));
    let model = MaskedLm::new(&config, 3);
    let tokenizer = Tokenizer::load(&tiny()).unwrap();
    save_pretrained(dir.path(), &config, &model.params(), &tokenizer, SavedDType::F32).unwrap();
    let saved: Value =
        serde_json::from_str(&std::fs::read_to_string(dir.path().join("config.json")).unwrap())
            .unwrap();
    assert_eq!(saved["architectures"], json!(["BertForMaskedLM"]));
    assert_eq!(saved["tie_word_embeddings"], true);
    let mut checkpoint = Checkpoint::open(dir.path(), &Family::Bert).unwrap();
    assert!(MaskedLm::has_head(&checkpoint, &config));
    let saved = Config::load(dir.path()).unwrap();
    let (again, report) = MaskedLm::load(&mut checkpoint, &saved, 0).unwrap();
    assert_eq!(report, LoadReport::default());
    assert_same(&model.params(), &again.params());
}

#[test]
fn the_names_are_those_of_transformers() {
    let names: Vec<String> =
        MaskedLm::new(&config(json!({})), 0).params().iter().map(|p| p.name().into()).collect();
    assert_eq!(
        names[names.len() - 5..],
        [
            "cls.predictions.transform.dense.weight",
            "cls.predictions.transform.dense.bias",
            "cls.predictions.transform.LayerNorm.weight",
            "cls.predictions.transform.LayerNorm.bias",
            "cls.predictions.bias",
        ]
    );
    assert!(names[..names.len() - 5].iter().all(|name| name.starts_with("bert.")));
}

/// `gamma` and `beta`, and the tied weights stored twice.
#[test]
fn an_old_checkpoint_is_read() {
    let (dir, config) = (TempDir::new().unwrap(), config(json!({})));
    let model = MaskedLm::new(&config, 3);
    model.params().iter().filter(|p| p.name().contains("LayerNorm")).for_each(|p| {
        p.set(Tensor::from_vec((0..8).map(|i| i as f32 + 0.5).collect(), &[8]).unwrap());
    });
    let mut tensors = named(&model.params(), |name| {
        let name = name.replace("LayerNorm.weight", "LayerNorm.gamma");
        name.replace("LayerNorm.bias", "LayerNorm.beta")
    });
    tensors.push(("cls.predictions.decoder.weight".into(), tensors[0].1.clone()));
    tensors.push(("cls.predictions.decoder.bias".into(), Tensor::zeros(&[2000])));
    tensors.push(("cls.seq_relationship.bias".into(), Tensor::zeros(&[2])));
    let mut checkpoint = write(dir.path(), &tensors);
    assert!(MaskedLm::has_head(&checkpoint, &config));
    let (again, report) = MaskedLm::load(&mut checkpoint, &config, 0).unwrap();
    assert_eq!(
        (report.missing.len(), report.unexpected),
        (0, vec!["cls.seq_relationship.bias".into()])
    );
    assert_same(&model.params(), &again.params());
}

/// The older of the two heads for masked words that transformers has for a DeBERTa, its default, with its tied weights.
#[test]
fn an_older_head_of_a_deberta_is_read() {
    let config = config(
        json!({"model_type": "deberta-v2", "relative_attention": true, "share_att_key": true,
        "position_biased_input": false, "pos_att_type": "p2c|c2p", "norm_rel_ebd": "layer_norm",
        "position_buckets": 8, "type_vocab_size": 0}),
    );
    let (dir, model) = (TempDir::new().unwrap(), MaskedLm::new(&config, 3));
    let mut tensors = named(&model.params(), |name| match name.starts_with("cls.") {
        true => name.to_owned(),
        false => config.family.stored_name(name),
    });
    tensors.push(("cls.predictions.decoder.weight".into(), tensors[0].1.clone()));
    tensors.push(("cls.predictions.decoder.bias".into(), Tensor::zeros(&[2000])));
    safetensors::write(&dir.path().join("model.safetensors"), &tensors).unwrap();
    let mut checkpoint = Checkpoint::open(dir.path(), &config.family).unwrap();
    let (again, report) = MaskedLm::load(&mut checkpoint, &config, 0).unwrap();
    assert_eq!(report, bert::LoadReport::default());
    assert_same(&model.params(), &again.params());
}

#[test]
fn a_head_that_is_missing_starts_fresh() {
    let (dir, config) = (TempDir::new().unwrap(), config(json!({})));
    let classifier = SequenceClassifier::new(&config, 2, 3);
    let mut checkpoint = write(dir.path(), &named(&classifier.params(), str::to_owned));
    assert!(!MaskedLm::has_head(&checkpoint, &config));
    let (model, report) = MaskedLm::load(&mut checkpoint, &config, 9).unwrap();
    assert!(report.missing.len() == 5 && report.missing.iter().all(|n| n.starts_with("cls.")));
    assert_eq!(report.unexpected.len(), 4, "pooler and classifier");
    let count = classifier.encoder().params().len();
    assert_same(&classifier.encoder().params(), &model.params()[..count]);
    assert_same(&MaskedLm::new(&config, 9).params()[count..], &model.params()[count..]);
}

#[test]
fn what_it_can_not_do_without_is_named() {
    let (dir, config) = (TempDir::new().unwrap(), config(json!({})));
    let model = MaskedLm::new(&config, 3);
    let lost = "bert.encoder.layer.0.output.dense.weight";
    let tensors = named(&model.params(), str::to_owned);
    let rest: Vec<_> = tensors.iter().filter(|(name, _)| name != lost).cloned().collect();
    let error = MaskedLm::load(&mut write(dir.path(), &rest), &config, 0).unwrap_err();
    let Error::Shapes { mismatches, .. } = &error else { panic!("{error}") };
    assert_eq!(
        (mismatches[0].name.as_str(), mismatches.len(), &mismatches[0].found),
        (lost, 1, &None)
    );
    // With weights of another size they are told in one message, after the folder.
    let mut rest = rest;
    let wrong = "bert.embeddings.LayerNorm.bias";
    rest.iter_mut().find(|(name, _)| name == wrong).unwrap().1 = Tensor::zeros(&[3]);
    let message =
        MaskedLm::load(&mut write(dir.path(), &rest), &config, 0).unwrap_err().to_string();
    let parts =
        [&format!("{lost}: expected"), "found none", &format!("{wrong}: expected"), "found [3]"];
    assert!(message.starts_with(dir.path().to_str().unwrap()), "{message}");
    parts.iter().for_each(|part| assert!(message.contains(part), "{message}: {part}"));
    // Of very many the first.
    let message = MaskedLm::load(&mut write(dir.path(), &[]), &config, 0).unwrap_err().to_string();
    let all = model.params().iter().filter(|param| param.name().starts_with("bert.")).count();
    assert_eq!(message.matches("expected").count(), 20, "{message}");
    assert!(message.ends_with(&format!("; ... and {} more", all - 20)), "{message}");
}

#[test]
fn a_decoder_of_its_own_is_refused() {
    let (dir, config) = (TempDir::new().unwrap(), config(json!({"tie_word_embeddings": false})));
    let mut tensors = named(&MaskedLm::new(&config, 3).params(), str::to_owned);
    assert!(MaskedLm::load(&mut write(dir.path(), &tensors), &config, 0).is_ok());
    tensors.push(("cls.predictions.decoder.weight".into(), Tensor::zeros(&[2000, 8])));
    let error = MaskedLm::load(&mut write(dir.path(), &tensors), &config, 0).unwrap_err();
    assert!(error.to_string().contains("tie_word_embeddings"), "{error}");
}

/// The sizes are within their bounds, and 26 GB of weights: the headers refuse them before the allocator does.
#[test]
fn sizes_that_the_file_does_not_have_take_no_memory() {
    let dir = TempDir::new().unwrap();
    let model = MaskedLm::new(&config(json!({})), 3);
    let mut checkpoint = write(dir.path(), &named(&model.params(), str::to_owned));
    let hostile = config(json!({"vocab_size": 1 << 24, "hidden_size": 384}));
    let table = "word_embeddings.weight: expected [16777216, 384], found [2000, 8]";
    let deep = config(json!({"num_hidden_layers": 1024}));
    for (config, part) in [(hostile, table), (deep, "found none; ... and ")] {
        let masked = MaskedLm::load(&mut checkpoint, &config, 0).err().unwrap().to_string();
        let classifier =
            SequenceClassifier::load(&mut checkpoint, &config, 2, 0).err().unwrap().to_string();
        assert!(masked.contains(part) && classifier.contains(part), "{part}");
    }
}
