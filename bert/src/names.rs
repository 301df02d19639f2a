//! The names of weights: BERT's within this crate, those of each [`Family`] in its files.
//!
//! ```text
//! bert.encoder.layer.3.attention.self.query.weight        here
//! roberta.encoder.layer.3.attention.self.query.weight     in the file of a RoBERTa
//! distilbert.transformer.layer.3.attention.q_lin.weight   of a DistilBERT
//! ```
//!
//! Names here are those of `BertForSequenceClassification` and `BertForMaskedLM`; the first map of a classification
//! head is `bert.pooler.dense` in all families. A file may leave out what begins the names of an encoder (`bert.`: it
//! was saved from the bare encoder), and an old one calls weight and bias of LayerNorm `gamma` and `beta`.

use crate::Family;

/// Here, in a file.
type Pair = [&'static str; 2];

/// What names begin with; the first that fits counts.
const ROBERTA: &[Pair] = &[
    ["bert.pooler.dense.", "classifier.dense."],
    ["classifier.", "classifier.out_proj."],
    ["cls.predictions.transform.dense.", "lm_head.dense."],
    ["cls.predictions.transform.LayerNorm.", "lm_head.layer_norm."],
    ["cls.predictions.", "lm_head."],
    ["bert.", "roberta."],
];
const DISTILBERT: &[Pair] = &[
    ["bert.pooler.dense.", "pre_classifier."],
    ["cls.predictions.transform.dense.", "vocab_transform."],
    ["cls.predictions.transform.LayerNorm.", "vocab_layer_norm."],
    ["cls.predictions.decoder.weight", "vocab_projector.weight"],
    ["cls.predictions.bias", "vocab_projector.bias"],
    ["bert.encoder.", "distilbert.transformer."],
    ["bert.", "distilbert."],
];
// Two have the same name in the file: the first is the parameter, the second would be its copy.
const ELECTRA: &[Pair] = &[
    ["bert.pooler.dense.", "classifier.dense."],
    ["classifier.", "classifier.out_proj."],
    ["cls.predictions.transform.", "generator_predictions."],
    ["cls.predictions.bias", "generator_lm_head.bias"],
    ["cls.predictions.decoder.", "generator_lm_head."],
    ["bert.", "electra."],
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

/// What begins the names of a bare encoder.
const BARE: [&str; 5] =
    ["embeddings.", "embeddings_project.", "encoder.", "transformer.", "pooler."];

impl Family {
    /// The name in a file of the parameter that has this name here.
    pub fn stored_name(self, name: &str) -> String {
        let (beginnings, parts) = self.tables();
        let begun =
            beginnings.iter().find_map(|[here, file]| Some([name.strip_prefix(here)?, file]));
        let name = begun.map_or(name.to_owned(), |[rest, file]| format!("{file}{rest}"));
        let part = parts.iter().find(|[here, _]| name.contains(here));
        part.map_or(name.clone(), |[here, file]| name.replacen(here, file, 1))
    }

    /// The name here of the parameter that a tensor of a file is; none if it can be no parameter, because the one of
    /// that name is called otherwise in this family: RoBERTa's encoder may have a pooler of its own, which is no part
    /// of its classifier, and its token classifier a `classifier.weight`.
    pub(crate) fn own_name(self, stored: &str) -> Option<String> {
        let whole = match BARE.iter().any(|part| stored.starts_with(part)) {
            true => format!("{}.{stored}", self.prefix()),
            false => stored.to_owned(),
        };
        let whole = modern(&whole);
        let own = self.translated(&whole);
        (self.stored_name(&own) == whole).then_some(own)
    }

    fn translated(self, whole: &str) -> String {
        let (beginnings, parts) = self.tables();
        let part = parts.iter().find(|[_, file]| whole.contains(file));
        let name = part.map_or(whole.to_owned(), |[here, file]| whole.replacen(file, here, 1));
        let begun =
            beginnings.iter().find_map(|[here, file]| Some([here, name.strip_prefix(file)?]));
        begun.map_or(name.clone(), |[here, rest]| format!("{here}{rest}"))
    }

    fn tables(self) -> (&'static [Pair], &'static [Pair]) {
        match self {
            Self::Bert => (&[], &[]),
            Self::Roberta | Self::XlmRoberta | Self::Camembert => (ROBERTA, &[]),
            Self::DistilBert => (DISTILBERT, DISTILBERT_LAYER),
            Self::Electra => (ELECTRA, &[]),
        }
    }

    /// What begins the names of an encoder in a file.
    fn prefix(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta | Self::XlmRoberta | Self::Camembert => "roberta",
            Self::DistilBert => "distilbert",
            Self::Electra => "electra",
        }
    }
}

/// The name with today's words for the two parameters of LayerNorm.
fn modern(name: &str) -> String {
    if let Some(layer) = name.strip_suffix("LayerNorm.gamma") {
        return format!("{layer}LayerNorm.weight");
    }
    match name.strip_suffix("LayerNorm.beta") {
        Some(layer) => format!("{layer}LayerNorm.bias"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Config, shapes};

    /// Every name of a model: of two layers, with everything that there may be.
    fn names(family: Family) -> Vec<String> {
        let json = format!(r#"{{"model_type": "{}"}}"#, family.model_type());
        let config = Config::parse(&json, Path::new("config.json")).expect("a configuration");
        let head = shapes::masked_lm(&config, "cls.predictions");
        let all = [shapes::encoder(&config), shapes::pooler(&config), head].concat();
        let names = all.into_iter().map(|(name, _)| name);
        names.chain(["classifier.weight", "classifier.bias"].map(str::to_owned)).collect()
    }

    #[test]
    fn names_go_to_a_file_and_come_back() {
        for family in Family::ALL {
            for name in names(family) {
                let stored = family.stored_name(&name);
                let own = |stored: &str| family.own_name(stored).unwrap_or_default();
                assert_eq!(own(&stored), name, "{family:?}: {stored}");
                let prefix = format!("{}.", family.prefix());
                if let Some(bare) = stored.strip_prefix(&prefix) {
                    assert_eq!(own(bare), name, "{family:?}: {bare}");
                }
                if let Some(layer) = stored.strip_suffix("LayerNorm.weight") {
                    let old = format!("{layer}LayerNorm.gamma");
                    assert_eq!(own(&old), name, "{family:?}: {old}");
                }
            }
        }
    }

    #[test]
    fn what_is_called_otherwise_is_no_parameter() {
        for (family, name) in [
            (Family::Roberta, "roberta.pooler.dense.weight"),
            (Family::Roberta, "pooler.dense.weight"),
            // Of a token classifier; and a BERT in the folder of a RoBERTa.
            (Family::Roberta, "classifier.weight"),
            (Family::Roberta, "bert.encoder.layer.0.output.dense.weight"),
            (Family::DistilBert, "distilbert.encoder.layer.0.output.dense.weight"),
        ] {
            assert_eq!(family.own_name(name), None, "{family:?}: {name}");
        }
        for (family, name) in [
            (Family::Bert, "cls.seq_relationship.weight"),
            (Family::Electra, "discriminator_predictions.dense.weight"),
            (Family::DistilBert, "qa_outputs.weight"),
        ] {
            assert_eq!(family.own_name(name).as_deref(), Some(name), "of another head");
        }
    }
}
