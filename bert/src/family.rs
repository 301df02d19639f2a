//! The kinds of models: what they are called, and where they differ from BERT.
//!
//! | `model_type` | differs in |
//! |---|---|
//! | `bert` | |
//! | `roberta`, `xlm-roberta`, `camembert` | positions count from `pad_token_id` + 1; dropout before the head |
//! | `distilbert` | no type embeddings, no dropout of attention's output; a ReLU in the head; own keys and names |
//! | `mpnet` | as `roberta`, without types; [numbers](nn::RelativeBias) by distance in the scores of attention |
//! | `deberta-v2` | no types, no positions but [vectors](nn::RelativeVectors) of distances in attention; a GELU in the head |
//! | `electra` | word vectors of width E, mapped to H; a GELU in the head, dropout before it |
//! | `modernbert` | its layers ([`nn::PreNormLayer`]): no table of positions; a LayerNorm at the end and in all heads |
//!
//! Inside, all have BERT's fields and BERT's names of weights, but for ModernBERT's layers: [`names`](crate::names) and
//! [`Config`](crate::Config) translate where files are read and written. Settings without a counterpart in BERT stand
//! in the variant. What is built of all that is decided in `config/parts.rs`, `encoder/layer.rs` and
//! [`shapes`](crate::shapes); above this crate only the counts of work and memory ask for the family.
//!
//! Sources: Liu et al., 2019, *RoBERTa*, <https://arxiv.org/abs/1907.11692>; Conneau et al., 2019, *XLM-R*,
//! <https://arxiv.org/abs/1911.02116>; Sanh et al., 2019, *DistilBERT*, <https://arxiv.org/abs/1910.01108>; Clark et
//! al., 2020, *ELECTRA*, <https://arxiv.org/abs/2003.10555>; Song et al., 2020, *MPNet*,
//! <https://arxiv.org/abs/2004.09297>; He et al., 2021, *DeBERTaV3*, <https://arxiv.org/abs/2111.09543>; Warner et al.,
//! 2024, *ModernBERT*, <https://arxiv.org/abs/2412.13663>; in details transformers' classes.

use crate::{Deberta, Modern};

/// A kind of model, by the `model_type` of its `config.json`, with the settings that only this one has.
#[derive(Clone, Debug, PartialEq)]
pub enum Family {
    /// `bert`.
    Bert,
    /// `roberta`.
    Roberta,
    /// `xlm-roberta`: RoBERTa with a vocabulary of a hundred languages.
    XlmRoberta,
    /// `camembert`: RoBERTa in French.
    Camembert,
    /// `distilbert`.
    DistilBert,
    /// `mpnet`.
    Mpnet,
    /// `deberta-v2`: DeBERTa, version 2 and 3.
    DebertaV2(Deberta),
    /// `electra`.
    Electra,
    /// `modernbert`.
    ModernBert(Modern),
}

impl Family {
    /// All of them, with the usual settings.
    pub const ALL: [Self; 9] = [
        Self::Bert,
        Self::Roberta,
        Self::XlmRoberta,
        Self::Camembert,
        Self::DistilBert,
        Self::Mpnet,
        Self::DebertaV2(Deberta::USUAL),
        Self::Electra,
        Self::ModernBert(Modern::USUAL),
    ];

    /// The `model_type` of a `config.json`.
    pub fn model_type(&self) -> &'static str {
        self.called()[0]
    }

    /// That of a `model_type`, with the usual settings.
    pub(crate) fn from_model_type(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.model_type() == name)
    }

    /// What begins the names of its classes in transformers.
    pub(crate) fn class(&self) -> &'static str {
        self.called()[1]
    }

    /// What begins the names of an encoder in a file.
    pub(crate) fn prefix(&self) -> &'static str {
        self.called()[2]
    }

    /// What transformers calls it: `model_type`, the beginning of its classes, and that of an encoder's weights.
    fn called(&self) -> [&'static str; 3] {
        match self {
            Self::Bert => ["bert", "Bert", "bert"],
            Self::Roberta => ["roberta", "Roberta", "roberta"],
            Self::XlmRoberta => ["xlm-roberta", "XLMRoberta", "roberta"],
            Self::Camembert => ["camembert", "Camembert", "roberta"],
            Self::DistilBert => ["distilbert", "DistilBert", "distilbert"],
            Self::Mpnet => ["mpnet", "MPNet", "mpnet"],
            Self::DebertaV2(_) => ["deberta-v2", "DebertaV2", "deberta"],
            Self::Electra => ["electra", "Electra", "electra"],
            Self::ModernBert(_) => ["modernbert", "ModernBert", "model"],
        }
    }

    /// Whether heads and positions, which are counted from behind the id of the padding token, are RoBERTa's.
    pub(crate) fn is_like_roberta(&self) -> bool {
        matches!(self, Self::Roberta | Self::XlmRoberta | Self::Camembert | Self::Mpnet)
    }

    /// The key of its `config.json` for one of BERT's; none if it has no such key.
    pub(crate) fn key(&self, key: &'static str) -> Option<&'static str> {
        Some(match (self, key) {
            (Self::Electra, "embedding_size") => key,
            (_, "embedding_size") => return None,
            (Self::DistilBert | Self::Mpnet, "type_vocab_size") => return None,
            (Self::DebertaV2(_) | Self::ModernBert(_), "type_vocab_size") => return None,
            (Self::DistilBert, "layer_norm_eps") => return None,
            (Self::Mpnet, "classifier_dropout") => return None,
            (Self::DistilBert, "hidden_size") => "dim",
            (Self::DistilBert, "num_hidden_layers") => "n_layers",
            (Self::DistilBert, "num_attention_heads") => "n_heads",
            (Self::DistilBert, "intermediate_size") => "hidden_dim",
            (Self::DistilBert, "hidden_act") => "activation",
            (Self::DistilBert, "hidden_dropout_prob") => "dropout",
            (Self::DistilBert, "attention_probs_dropout_prob") => "attention_dropout",
            (Self::DistilBert, "classifier_dropout") => "seq_classif_dropout",
            (Self::DebertaV2(_), "classifier_dropout") => "cls_dropout",
            (Self::ModernBert(_), "hidden_act") => "hidden_activation",
            (Self::ModernBert(_), "hidden_dropout_prob") => "mlp_dropout",
            (Self::ModernBert(_), "attention_probs_dropout_prob") => "attention_dropout",
            (Self::ModernBert(_), "layer_norm_eps") => "norm_eps",
            (_, same) => same,
        })
    }

    /// Whether a file may have one of BERT's keys under BERT's name, too: transformers' `attribute_map`, which takes
    /// three in a DistilBERT.
    pub(crate) fn takes_name_of_bert(&self, key: &str) -> bool {
        let sizes = ["hidden_size", "num_hidden_layers", "num_attention_heads"];
        *self == Self::DistilBert && sizes.contains(&key)
    }
}
