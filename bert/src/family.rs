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
//! [`Config`](crate::Config) translate where files are read and written. So nothing above this crate treats one in
//! another way.
//!
//! Sources: Liu et al., 2019, *RoBERTa*, <https://arxiv.org/abs/1907.11692>; Conneau et al., 2019, *XLM-R*,
//! <https://arxiv.org/abs/1911.02116>; Sanh et al., 2019, *DistilBERT*, <https://arxiv.org/abs/1910.01108>; Clark et
//! al., 2020, *ELECTRA*, <https://arxiv.org/abs/2003.10555>; Song et al., 2020, *MPNet*,
//! <https://arxiv.org/abs/2004.09297>; He et al., 2021, *DeBERTaV3*, <https://arxiv.org/abs/2111.09543>; Warner et al., 2024, *ModernBERT*,
//! <https://arxiv.org/abs/2412.13663>; in details transformers' classes.

use tensor::Activation;

/// A kind of model, by the `model_type` of its `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    DebertaV2,
    /// `electra`.
    Electra,
    /// `modernbert`.
    ModernBert,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Bert,
        Self::Roberta,
        Self::XlmRoberta,
        Self::Camembert,
        Self::DistilBert,
        Self::Mpnet,
        Self::DebertaV2,
        Self::Electra,
        Self::ModernBert,
    ];

    /// The `model_type` of a `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
            Self::XlmRoberta => "xlm-roberta",
            Self::Camembert => "camembert",
            Self::DistilBert => "distilbert",
            Self::Mpnet => "mpnet",
            Self::DebertaV2 => "deberta-v2",
            Self::Electra => "electra",
            Self::ModernBert => "modernbert",
        }
    }

    pub(crate) fn from_model_type(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.model_type() == name)
    }

    /// What begins the names of its classes in transformers.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Bert => "Bert",
            Self::Roberta => "Roberta",
            Self::XlmRoberta => "XLMRoberta",
            Self::Camembert => "Camembert",
            Self::DistilBert => "DistilBert",
            Self::Mpnet => "MPNet",
            Self::DebertaV2 => "DebertaV2",
            Self::Electra => "Electra",
            Self::ModernBert => "ModernBert",
        }
    }

    /// Between the two maps of a classification head.
    pub(crate) fn head_activation(self) -> Activation {
        match self {
            Self::DistilBert => Activation::Relu,
            Self::Electra => Activation::Gelu,
            _ => Activation::Tanh,
        }
    }

    /// Whether a classification head drops units of its input, too, at the rate of its last map's.
    pub(crate) fn drops_before_head(self) -> bool {
        self.is_like_roberta() || self == Self::Electra
    }

    /// Whether units of attention's output are dropped, and not of the feed-forward block's alone.
    pub(crate) fn drops_attention_output(self) -> bool {
        self != Self::DistilBert
    }

    /// In the head for masked words, where it is not the configuration's.
    pub(crate) fn masked_lm_activation(self) -> Option<Activation> {
        (self.is_like_roberta() || self == Self::Electra).then_some(Activation::Gelu)
    }

    /// Whether heads and positions, which are counted from behind the id of the padding token, are RoBERTa's.
    pub(crate) fn is_like_roberta(self) -> bool {
        matches!(self, Self::Roberta | Self::XlmRoberta | Self::Camembert | Self::Mpnet)
    }

    /// The key of its `config.json` for one of BERT's; none if it has no such key.
    pub(crate) fn key(self, key: &'static str) -> Option<&'static str> {
        match self {
            Self::DistilBert => distilbert_key(key),
            Self::ModernBert => modernbert_key(key),
            Self::DebertaV2 => match key {
                "classifier_dropout" => Some("cls_dropout"),
                "embedding_size" | "type_vocab_size" => None,
                same => Some(same),
            },
            Self::Mpnet => {
                let absent = ["type_vocab_size", "embedding_size", "classifier_dropout"];
                (!absent.contains(&key)).then_some(key)
            }
            _ => (key != "embedding_size" || self == Self::Electra).then_some(key),
        }
    }

    /// Whether a file may have one of BERT's keys under BERT's name, too: transformers' `attribute_map`, which takes
    /// three in a DistilBERT.
    pub(crate) fn takes_name_of_bert(self, key: &str) -> bool {
        let sizes = ["hidden_size", "num_hidden_layers", "num_attention_heads"];
        self == Self::DistilBert && sizes.contains(&key)
    }
}

fn distilbert_key(key: &'static str) -> Option<&'static str> {
    match key {
        "hidden_size" => Some("dim"),
        "num_hidden_layers" => Some("n_layers"),
        "num_attention_heads" => Some("n_heads"),
        "intermediate_size" => Some("hidden_dim"),
        "hidden_act" => Some("activation"),
        "hidden_dropout_prob" => Some("dropout"),
        "attention_probs_dropout_prob" => Some("attention_dropout"),
        "classifier_dropout" => Some("seq_classif_dropout"),
        "type_vocab_size" | "layer_norm_eps" | "embedding_size" => None,
        same => Some(same),
    }
}

fn modernbert_key(key: &'static str) -> Option<&'static str> {
    match key {
        "hidden_act" => Some("hidden_activation"),
        "hidden_dropout_prob" => Some("mlp_dropout"),
        "attention_probs_dropout_prob" => Some("attention_dropout"),
        "layer_norm_eps" => Some("norm_eps"),
        "type_vocab_size" | "embedding_size" => None,
        same => Some(same),
    }
}
