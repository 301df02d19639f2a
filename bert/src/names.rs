//! The names of weights: BERT's within this crate, those of each [`Family`] in its files.
//!
//! ```text
//! bert.encoder.layer.3.attention.self.query.weight        here
//! roberta.encoder.layer.3.attention.self.query.weight     in the file of a RoBERTa
//! distilbert.transformer.layer.3.attention.q_lin.weight   of a DistilBERT
//! ```
//!
//! Names here are those of `BertForSequenceClassification` and `BertForMaskedLM`; the first map of a sequence
//! classifier's head is `bert.pooler.dense` in all families, and a token classifier's last map `token_classifier`. What
//! only one has is called as there: `attn.Wqkv` of a ModernBERT's layer, `final_norm`, the `norm` of a pooler,
//! `relative_attention_bias` of an MPNet, and `rel_embeddings` of a DeBERTa. A file may leave out what begins the names
//! of an encoder (`bert.`: it was saved from the bare encoder), and an old one calls weight and bias of LayerNorm `gamma`
//! and `beta`.
//!
//! Names are translated in one direction, from here to a file. So two parameters may have one name there, of which a
//! model has one at most: `classifier` is the last map of a sequence classifier in a BERT, and a token classifier's.

use crate::Family;

/// Here, in a file.
type Pair = [&'static str; 2];

/// What names begin with in all families, behind what they begin with in one.
const SHARED: Pair = ["token_classifier.", "classifier."];

/// What names begin with; the first that fits counts, and after them `bert.`, for the [prefix](Family::prefix).
const ROBERTA: &[Pair] = &[
    ["bert.pooler.dense.", "classifier.dense."],
    ["classifier.", "classifier.out_proj."],
    ["cls.predictions.transform.dense.", "lm_head.dense."],
    ["cls.predictions.transform.LayerNorm.", "lm_head.layer_norm."],
    ["cls.predictions.", "lm_head."],
];
const DEBERTA: &[Pair] = &[
    ["bert.pooler.", "pooler."],
    ["cls.predictions.transform.", "lm_predictions.lm_head."],
    ["cls.predictions.", "lm_predictions.lm_head."],
];
const DISTILBERT: &[Pair] = &[
    ["bert.pooler.dense.", "pre_classifier."],
    ["cls.predictions.transform.dense.", "vocab_transform."],
    ["cls.predictions.transform.LayerNorm.", "vocab_layer_norm."],
    ["cls.predictions.decoder.weight", "vocab_projector.weight"],
    ["cls.predictions.bias", "vocab_projector.bias"],
    ["bert.encoder.", "distilbert.transformer."],
];
const ELECTRA: &[Pair] = &[
    ["bert.pooler.dense.", "classifier.dense."],
    ["classifier.", "classifier.out_proj."],
    ["cls.predictions.transform.", "generator_predictions."],
    ["cls.predictions.bias", "generator_lm_head.bias"],
    ["cls.predictions.decoder.", "generator_lm_head."],
];

const MODERNBERT: &[Pair] = &[
    ["bert.pooler.", "head."],
    ["cls.predictions.transform.dense.", "head.dense."],
    ["cls.predictions.transform.LayerNorm.", "head.norm."],
    ["cls.predictions.decoder.", "decoder."],
    ["cls.predictions.", "decoder."],
    ["bert.embeddings.word_embeddings.", "model.embeddings.tok_embeddings."],
    ["bert.embeddings.LayerNorm.", "model.embeddings.norm."],
    ["bert.encoder.layer.", "model.layers."],
];

/// The parts of a layer where they have other names; the first that is in a name counts.
const DISTILBERT_LAYER: &[Pair] = &[
    [".attention.self.query.", ".attention.q_lin."],
    [".attention.self.key.", ".attention.k_lin."],
    [".attention.self.value.", ".attention.v_lin."],
    [".attention.output.dense.", ".attention.out_lin."],
    [".attention.output.LayerNorm.", ".sa_layer_norm."],
    [".intermediate.dense.", ".ffn.lin1."],
    [".output.dense.", ".ffn.lin2."],
    [".output.LayerNorm.", ".output_layer_norm."],
];

const MPNET_LAYER: &[Pair] = &[
    [".attention.self.query.", ".attention.attn.q."],
    [".attention.self.key.", ".attention.attn.k."],
    [".attention.self.value.", ".attention.attn.v."],
    [".attention.output.dense.", ".attention.attn.o."],
    [".attention.output.LayerNorm.", ".attention.LayerNorm."],
];

const DEBERTA_LAYER: &[Pair] = &[
    [".attention.self.query.", ".attention.self.query_proj."],
    [".attention.self.key.", ".attention.self.key_proj."],
    [".attention.self.value.", ".attention.self.value_proj."],
];

/// How the names of both parameters of LayerNorm end in an old file, and in others.
const NORM: [Pair; 2] =
    [["LayerNorm.gamma", "LayerNorm.weight"], ["LayerNorm.beta", "LayerNorm.bias"]];

/// What begins the names of a bare encoder.
const BARE: [&str; 7] = [
    "embeddings.",
    "embeddings_project.",
    "encoder.",
    "transformer.",
    "layers.",
    "final_norm.",
    "pooler.",
];

impl Family {
    /// The name in a file of the parameter that has this name here.
    pub fn stored_name(&self, name: &str) -> String {
        let (beginnings, parts) = self.tables();
        let begun = beginnings
            .iter()
            .chain([&SHARED])
            .find_map(|[here, file]| Some(format!("{file}{}", name.strip_prefix(here)?)));
        let of_encoder = || Some(format!("{}.{}", self.prefix(), name.strip_prefix("bert.")?));
        let name = begun.or_else(of_encoder).unwrap_or_else(|| name.to_owned());
        let part = parts.iter().find(|[here, _]| name.contains(here));
        part.map_or(name.clone(), |[here, file]| name.replacen(here, file, 1))
    }

    /// The name of a tensor of a file, spelt like those of [`stored_name`](Self::stored_name).
    pub(crate) fn whole_name(&self, stored: &str) -> String {
        let (beginnings, _) = self.tables();
        // The `pooler` of a DeBERTa is its head's.
        let is_whole = beginnings.iter().any(|[_, file]| stored.starts_with(file));
        let is_bare = !is_whole && BARE.iter().any(|part| stored.starts_with(part));
        let whole = match self {
            // Of its two heads for masked words in transformers both are read: they differ in names alone.
            Self::DebertaV2(_) if stored.starts_with("cls.predictions.") => {
                self.stored_name(stored)
            }
            _ if is_bare => format!("{}.{stored}", self.prefix()),
            _ => stored.to_owned(),
        };
        let renamed = |[old, new]: &Pair| Some(format!("{}{new}", whole.strip_suffix(old)?));
        NORM.iter().find_map(renamed).unwrap_or(whole)
    }

    /// What [names begin with](ROBERTA), and the [parts of a layer](DISTILBERT_LAYER).
    fn tables(&self) -> (&'static [Pair], &'static [Pair]) {
        match self {
            Self::Bert => (&[], &[]),
            Self::Roberta | Self::XlmRoberta | Self::Camembert => (ROBERTA, &[]),
            Self::Mpnet => (ROBERTA, MPNET_LAYER),
            Self::DebertaV2(_) => (DEBERTA, DEBERTA_LAYER),
            Self::DistilBert => (DISTILBERT, DISTILBERT_LAYER),
            Self::Electra => (ELECTRA, &[]),
            Self::ModernBert(_) => (MODERNBERT, &[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::{Config, shapes};

    /// Every name of a sequence classifier, and of a model for masked words, with everything that there may be.
    fn models(family: &Family) -> [Vec<String>; 2] {
        let mut json = crate::config::switches();
        json.insert("model_type".into(), family.model_type().into());
        let json = serde_json::Value::from(json).to_string();
        let config = Config::parse(&json, Path::new("config.json")).expect("a configuration");
        let last = ["classifier.weight", "classifier.bias"].map(|name| (name.to_owned(), vec![]));
        let heads = [
            [shapes::pooler(&config), last.into()].concat(),
            shapes::masked_lm(&config, "cls.predictions"),
        ];
        heads.map(|head| {
            let all = shapes::encoder(&config).into_iter().chain(head);
            all.map(|(name, _)| name).collect()
        })
    }

    fn names(family: &Family) -> Vec<String> {
        models(family).concat()
    }

    #[test]
    fn every_spelling_of_a_file_is_the_name_of_the_parameter() {
        for family in Family::ALL {
            for name in names(&family) {
                let stored = family.stored_name(&name);
                assert_eq!(family.whole_name(&stored), stored, "{family:?}");
                let prefix = format!("{}.", family.prefix());
                if let Some(bare) = stored.strip_prefix(&prefix) {
                    assert_eq!(family.whole_name(bare), stored, "{family:?}: {bare}");
                }
                if let Some(layer) = stored.strip_suffix("LayerNorm.weight") {
                    let old = format!("{layer}LayerNorm.gamma");
                    assert_eq!(family.whole_name(&old), stored, "{family:?}: {old}");
                }
            }
        }
    }

    #[test]
    fn either_head_for_masked_words_of_a_deberta_is_read() {
        let deberta = Family::DebertaV2(crate::Deberta::USUAL);
        for (stored, name) in [
            ("cls.predictions.transform.dense.weight", "lm_predictions.lm_head.dense.weight"),
            ("cls.predictions.transform.LayerNorm.bias", "lm_predictions.lm_head.LayerNorm.bias"),
            ("cls.predictions.bias", "lm_predictions.lm_head.bias"),
            ("lm_predictions.lm_head.bias", "lm_predictions.lm_head.bias"),
        ] {
            assert_eq!(deberta.whole_name(stored), name);
        }
    }

    #[test]
    fn no_two_parameters_of_a_model_have_one_name_in_a_file() {
        for (family, names) in Family::ALL.iter().flat_map(|f| models(f).map(|names| (f, names))) {
            let stored: BTreeSet<String> =
                names.iter().map(|name| family.stored_name(name)).collect();
            assert_eq!(stored.len(), names.len(), "{family:?}");
        }
    }

    #[test]
    fn what_is_called_otherwise_is_no_parameter() {
        for (family, stored) in [
            // The encoder's own pooler, which is no part of a classifier; and a BERT in the folder of a RoBERTa.
            (Family::Roberta, "roberta.pooler.dense.weight"),
            (Family::Roberta, "pooler.dense.weight"),
            (Family::Roberta, "bert.encoder.layer.0.output.dense.weight"),
            // Of a token classifier, where a sequence classifier's has another name.
            (Family::Roberta, "classifier.weight"),
            (Family::Electra, "classifier.weight"),
            (Family::DistilBert, "distilbert.encoder.layer.0.output.dense.weight"),
        ] {
            let whole = family.whole_name(stored);
            let is = |name: &String| family.stored_name(name) == whole;
            assert!(!names(&family).iter().any(is), "{family:?}: {stored}");
        }
    }
}
