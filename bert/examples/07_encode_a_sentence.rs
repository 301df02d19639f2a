//! Sentences to vectors: an encoder as it comes, without training, and how near sentences are to each other.
//!
//! ```text
//! cargo run --release -p bert --example 07_encode_a_sentence -- MODEL_FOLDER
//! ```
//!
//! The vector of a sentence is the mean of its tokens' last hidden states. Two sentences are compared by the
//! cosine of the angle between their vectors: 1 for the same direction, about 0 for unrelated ones. Models
//! of the sentence-transformers family were trained for exactly this; a plain BERT gives a rougher picture, and
//! random weights give none.

use std::path::{Path, PathBuf};

use bert::{Batch, Checkpoint, Config, Encoder, Tokenizer};
use nn::{Initializer, Module, Pass};
use tensor::Pooling;

/// A sentence-transformers model; taken if it is there, seen from the repository root.
const MINILM: &str = "../shared/models/all-MiniLM-L6-v2";
/// The small model of this repository.
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../finetune-cli/assets/tiny");

const SENTENCES: [&str; 4] = [
    "The soup was cold and the waiter rude.",
    "Bad food, unfriendly staff.",
    "A thrilling film with a clever ending.",
    "The train to the coast leaves at nine.",
];

fn main() -> bert::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(default_folder, PathBuf::from);
    let (config, tokenizer) = (Config::load(&folder)?, Tokenizer::load(&folder)?);
    let encoder = load(&folder, &config)?;

    // Text to ids, with [CLS] and [SEP]. No sentence is padded to the length of another.
    let texts = SENTENCES.map(|text| (text, None));
    let encodings = tokenizer.encode_batch(&texts, config.max_length())?;
    let batch = Batch::new(encodings.iter().map(|e| (e.ids.as_slice(), e.type_ids.as_slice())))?;

    // [T] ids -> [T, H] hidden states -> [B, H], one mean a sentence. An inference pass records no tape.
    let hidden = encoder.forward(&Pass::inference(), &batch)?;
    let pooled = hidden.pool(Pooling::Mean, &batch.seqlens)?;
    let vectors = pooled.value().to_vec::<f32>()?;
    let vectors: Vec<&[f32]> = vectors.chunks(config.hidden_size).collect();

    println!("{} tokens, hidden states {:?}\n", batch.seqlens.total(), hidden.shape());
    for (i, text) in SENTENCES.iter().enumerate() {
        let row = vectors.iter().map(|other| format!("{:6.3}", cosine(vectors[i], other)));
        println!("{}  {text}", row.collect::<Vec<_>>().join(" "));
    }
    Ok(())
}

fn default_folder() -> PathBuf {
    let folder = if Path::new(MINILM).exists() { MINILM } else { TINY };
    println!("no model folder given: {folder}");
    folder.into()
}

/// The encoder with the weights of the folder.
fn load(folder: &Path, config: &Config) -> bert::Result<Encoder> {
    let encoder = Encoder::new(config, &Initializer::zeros());
    let report = Checkpoint::open(folder, &config.family)?.load(&encoder.params())?;
    report.missing.iter().for_each(|name| println!("not in the checkpoint: {name}"));
    Ok(encoder)
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
