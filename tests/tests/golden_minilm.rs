//! A real checkpoint, all-MiniLM-L6-v2, against transformers: tokens and hidden states of six texts.

use std::path::PathBuf;

use bert::{Checkpoint, Config, Encoder, Family, Tokenizer};
use kernels::testing::each_isa;
use nn::{Initializer, Module, Pass};
use tensor::safetensors;
use tests::golden::{Golden, assert_near, path};

/// Largest relative error of the hidden states in f32, through six layers; measured are at most 9e-7.
const TOLERANCE: f64 = 3e-6;

/// Largest error of any of their elements.
const ABSOLUTE: f64 = 2e-5;

/// The checkpoint, if this machine has it.
fn minilm() -> Option<PathBuf> {
    let folder = tests::root().join("../shared/models/all-MiniLM-L6-v2");
    if !folder.exists() {
        println!("skipped: ../shared not found");
    }
    folder.exists().then_some(folder)
}

#[test]
fn tokens_are_transformers() {
    let Some(folder) = minilm() else { return };
    let file = safetensors::File::open(&path("minilm.safetensors")).unwrap();
    let texts: Vec<Vec<String>> = serde_json::from_str(&file.metadata()["sentences"]).unwrap();
    let texts: Vec<(&str, Option<&str>)> =
        texts.iter().map(|t| (t[0].as_str(), t.get(1).map(String::as_str))).collect();
    let encodings = Tokenizer::load(&folder).unwrap().encode_batch(&texts, 512).unwrap();

    let batch = Golden::read("minilm.safetensors").bert_batch("");
    let lens: Vec<usize> = encodings.iter().map(|e| e.ids.len()).collect();
    assert_eq!(lens, batch.seqlens.lens().collect::<Vec<_>>());
    let joined = |part: fn(&bert::Encoding) -> &[u32]| -> Vec<u32> {
        encodings.iter().flat_map(part).copied().collect()
    };
    assert_eq!(joined(|e| &e.ids), batch.ids.to_vec::<u32>().unwrap());
    assert_eq!(joined(|e| &e.type_ids), batch.type_ids.to_vec::<u32>().unwrap());
}

#[test]
fn hidden_states_are_transformers() {
    let Some(folder) = minilm() else { return };
    let golden = Golden::read("minilm.safetensors");
    let encoder = Encoder::new(&Config::load(&folder).unwrap(), &Initializer::zeros());
    let report = Checkpoint::open(&folder, &Family::Bert).unwrap().load(&encoder.params()).unwrap();
    assert_eq!(report.missing, [""; 0]);
    each_isa(|isa| {
        let hidden = encoder.forward(&Pass::inference(), &golden.bert_batch("")).unwrap();
        let want = golden.tensor("last_hidden_state");
        assert_near(&format!("{isa:?}"), hidden.value(), want, TOLERANCE);
        let pairs =
            hidden.value().to_f64_vec().unwrap().into_iter().zip(want.to_f64_vec().unwrap());
        let worst = pairs.map(|(got, want)| (got - want).abs()).fold(0.0, f64::max);
        println!("{isa:?}: greatest absolute error {worst:.1e}");
        assert!(worst <= ABSOLUTE, "{isa:?}: greatest absolute error {worst:.1e}");
    });
}
