//! Classifiers of three layers with random weights, and a ragged batch for them.

use bert::{Batch, Config, SequenceClassifier, Targets};
use tensor::Tensor;
use tensor::philox::Rng;

const VOCAB: u64 = 50;

/// The lengths of the sequences of [`batch`].
pub const LENS: [usize; 5] = [5, 1, 17, 40, 12];

/// The `model_type` of models that differ in their layers.
pub const KINDS: [&str; 4] = ["bert", "mpnet", "deberta-v2", "modernbert"];

/// Three layers of one of [`KINDS`], of width `hidden`, `inner` in the feed-forward block, with three heads, and with
/// dropout wherever there may be some. The second and third layer of a ModernBERT see five tokens to either side.
///
/// # Panics
/// When three does not divide `hidden`, or in a ModernBERT six.
pub fn classifier(kind: &str, [hidden, inner]: [usize; 2]) -> SequenceClassifier {
    let json = format!(
        r#"{{"model_type": "{kind}", "vocab_size": {VOCAB}, "hidden_size": {hidden}, "num_hidden_layers": 3,
            "num_attention_heads": 3, "intermediate_size": {inner}, "max_position_embeddings": 64,
            "initializer_range": 0.1, "pad_token_id": 0, "local_attention": 10, "embedding_dropout": 0.1,
            "attention_dropout": 0.1, "mlp_dropout": 0.1, "classifier_dropout": 0.1, "relative_attention": true,
            "share_att_key": true, "position_biased_input": false, "pos_att_type": "p2c|c2p",
            "norm_rel_ebd": "layer_norm", "position_buckets": 16}}"#
    );
    let path = std::path::Path::new("config.json");
    let config = Config::parse(&json, path).expect("a valid configuration");
    SequenceClassifier::new(&config, 3, 5)
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
