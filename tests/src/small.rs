//! Classifiers of three layers with random weights, and a ragged batch for them.

use bert::{Batch, Config, SequenceClassifier, Targets};
use tensor::Tensor;
use tensor::philox::Rng;

const VOCAB: u64 = 50;

/// The lengths of the sequences of [`batch`].
pub const LENS: [usize; 5] = [5, 1, 17, 40, 12];

/// Three layers of width `hidden`, `inner` in the feed-forward block, with three heads.
///
/// # Panics
/// When three does not divide `hidden`.
pub fn classifier([hidden, inner]: [usize; 2]) -> SequenceClassifier {
    let json = format!(
        r#"{{"model_type": "bert", "vocab_size": {VOCAB}, "hidden_size": {hidden}, "num_hidden_layers": 3,
            "num_attention_heads": 3, "intermediate_size": {inner}, "max_position_embeddings": 64,
            "hidden_act": "gelu", "initializer_range": 0.1}}"#
    );
    of_config(&json)
}

/// A ModernBERT of the same sizes, with dropout wherever it may have it. Its second and third layer see five tokens to
/// either side.
///
/// # Panics
/// When six does not divide `hidden`.
pub fn modern_classifier([hidden, inner]: [usize; 2]) -> SequenceClassifier {
    of_config(&format!(
        r#"{{"model_type": "modernbert", "vocab_size": {VOCAB}, "hidden_size": {hidden}, "num_hidden_layers": 3,
            "num_attention_heads": 3, "intermediate_size": {inner}, "max_position_embeddings": 64, "pad_token_id": 0,
            "local_attention": 10, "initializer_range": 0.1, "embedding_dropout": 0.1, "attention_dropout": 0.1,
            "mlp_dropout": 0.1, "classifier_dropout": 0.1}}"#
    ))
}

fn of_config(json: &str) -> SequenceClassifier {
    let path = std::path::Path::new("config.json");
    SequenceClassifier::new(&Config::parse(json, path).expect("a valid configuration"), 3, 5)
}

/// Random tokens in sequences of [`LENS`].
pub fn batch() -> Batch {
    let mut rng = Rng::new(3, 1);
    let mut draw =
        |n: u64| LENS.map(|len| (0..len).map(|_| rng.below(n) as u32).collect::<Vec<_>>());
    let (ids, types) = (draw(VOCAB), draw(2));
    Batch::new(ids.iter().zip(&types).map(|(i, t)| (&i[..], &t[..]))).expect("not empty")
}

/// A class for each sequence.
pub fn targets() -> Targets {
    let classes = Tensor::from_vec::<u32>(vec![0, 1, 2, 0, 1], &[LENS.len()]);
    Targets::Classes(classes.expect("five"))
}
