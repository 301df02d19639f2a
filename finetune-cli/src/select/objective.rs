//! What a checkpoint was trained for, read from its files.
//!
//! | what is there | objective |
//! |---|---|
//! | the head of a classifier | fine-tuned |
//! | `modules.json` of sentence-transformers, or its pooling folder | contrastive |
//! | `discriminator_predictions.*`, of a DeBERTa `mask_predictions.*` | replaced-token detection |
//! | the head for masked words | masked language modelling |
//!
//! A checkpoint with several is what stands first; all its heads are listed. One with none, such as the bare
//! encoder that transformers saves, does not say, unless its configuration names the class it was saved from.

use std::path::Path;

use bert::{Checkpoint, Config};

use crate::select::summary::Objective;

/// Heads by a weight that they have.
const HEADS: [(&str, &str); 7] = [
    ("classifier", "classifier.weight"),
    ("classifier", "token_classifier.weight"),
    ("replaced_token", "discriminator_predictions.dense.weight"),
    ("replaced_token", "mask_predictions.dense.weight"),
    // Its first map may be one with that of a classifier.
    ("masked_lm", "cls.predictions.bias"),
    ("next_sentence", "cls.seq_relationship.weight"),
    ("pooler", "bert.pooler.dense.weight"),
];

/// Files that sentence-transformers writes and others do not.
const CONTRASTIVE: [&str; 3] =
    ["modules.json", "1_Pooling/config.json", "config_sentence_transformers.json"];

/// Reads the objective; whether a head is used is left open.
pub fn read(folder: &Path, config: &Config, checkpoint: &Checkpoint) -> Objective {
    let stored = HEADS.iter().filter(|(_, weight)| checkpoint.contains(weight));
    let mut heads: Vec<String> = stored.map(|(head, _)| head.to_string()).collect();
    // A BERT's two classifiers have one name.
    heads.dedup();
    let has = |head: &str| heads.iter().any(|h| h == head);
    let class = |part: &str| config.architectures.iter().any(|name| name.contains(part));
    let contrastive = CONTRASTIVE.iter().any(|file| folder.join(file).exists());
    let kind = if has("classifier") {
        "fine_tuned"
    } else if contrastive {
        "contrastive"
    } else if has("replaced_token") || class("ElectraForPreTraining") {
        "replaced_token"
    } else if has("masked_lm") || class("MaskedLM") || class("ForPreTraining") {
        "masked_lm"
    } else {
        "unknown"
    };
    let labels = if has("classifier") { config.labels.clone() } else { Vec::new() };
    Objective { kind: kind.to_owned(), heads, labels, head_used: false, head_metric: None }
}
