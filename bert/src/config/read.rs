//! Reading the keys of a `config.json`, with the defaults of each family.

use nn::RelativeBias;
use serde_json::Map;
use tensor::Activation;

use super::{Config, Deberta, Modern};
use crate::fields::Fields;
use crate::{Error, Family, Result, labels};

/// The keys without which a file that names no model_type is not taken for a BERT.
const TELLING_KEYS: [&str; 4] =
    ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"];

/// Which model it is, before its own settings are read; without a `model_type` a BERT, as the oldest files are.
fn family(fields: &Fields) -> Result<Family> {
    let Some(name) = fields.text("model_type")? else {
        return match TELLING_KEYS.into_iter().find(|key| fields.get(key).is_none()) {
            None => Ok(Family::Bert),
            Some(key) => {
                let message = format!("neither model_type nor {key}: not the config of a BERT");
                Err(Error::config(fields.path, message))
            }
        };
    };
    Family::from_model_type(name).ok_or_else(|| {
        let known = Family::ALL.map(|family| family.model_type()).join(", ");
        fields.unexpected("model_type", &format!("one of {known}"), name)
    })
}

/// Refuses variants that this crate does not have.
fn check_kind(fields: &Fields, family: &Family) -> Result<()> {
    match fields.text("position_embedding_type")? {
        None | Some("absolute") => {}
        Some(other) => {
            return Err(fields.unexpected("position_embedding_type", "absolute", other));
        }
    }
    if *family == Family::Mpnet {
        let (key, only) = ("relative_attention_num_buckets", RelativeBias::BUCKETS);
        let found = fields.size(key, only, 1 << 16)?;
        if found != only {
            return Err(fields.unexpected(key, &only.to_string(), found));
        }
    }
    fields.only("is_decoder", false, "only encoders are supported")?;
    fields.only("add_cross_attention", false, "only encoders are supported")
}

/// Refuses two values of one size, under BERT's name and that of the family.
fn check_names(fields: &Fields, family: &Family, key: &str, own: &str) -> Result<()> {
    match (fields.get(key), fields.get(own)) {
        (Some(a), Some(b)) if a != b && family.takes_name_of_bert(key) => {
            Err(fields.unexpected(key, &format!("{b}, as {own} says"), a))
        }
        _ => Ok(()),
    }
}

/// The values of keys that are absent, where families differ.
struct Defaults {
    vocab_size: usize,
    hidden_size: usize,
    /// That of hidden states if `None`.
    embedding_size: Option<usize>,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    type_vocab_size: usize,
    max_position_embeddings: usize,
    layer_norm_eps: f64,
    /// Of hidden states and of attention.
    dropout: f64,
    classifier_dropout: Option<f64>,
    pad_token_id: u32,
}

impl Defaults {
    fn of(family: &Family) -> Self {
        let bert = Self {
            vocab_size: 30_522,
            hidden_size: 768,
            embedding_size: None,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            type_vocab_size: 2,
            max_position_embeddings: 512,
            layer_norm_eps: 1e-12,
            dropout: 0.1,
            classifier_dropout: None,
            pad_token_id: 0,
        };
        match family {
            Family::Bert => bert,
            Family::Roberta => Self { vocab_size: 50_265, pad_token_id: 1, ..bert },
            Family::Mpnet => {
                Self { vocab_size: 30_527, type_vocab_size: 0, pad_token_id: 1, ..bert }
            }
            Family::XlmRoberta | Family::Camembert => Self { pad_token_id: 1, ..bert },
            Family::DistilBert => Self {
                num_hidden_layers: 6,
                type_vocab_size: 0,
                classifier_dropout: Some(0.2),
                ..bert
            },
            Family::DebertaV2(_) => Self {
                vocab_size: 128_100,
                hidden_size: 1536,
                num_hidden_layers: 24,
                num_attention_heads: 24,
                intermediate_size: 6144,
                type_vocab_size: 0,
                layer_norm_eps: 1e-7,
                ..bert
            },
            Family::Electra => Self {
                hidden_size: 256,
                embedding_size: Some(128),
                num_attention_heads: 4,
                intermediate_size: 1024,
                ..bert
            },
            Family::ModernBert(_) => Self {
                vocab_size: 50_368,
                num_hidden_layers: 22,
                intermediate_size: 1152,
                type_vocab_size: 0,
                max_position_embeddings: 8192,
                layer_norm_eps: 1e-5,
                dropout: 0.0,
                classifier_dropout: Some(0.0),
                pad_token_id: 50_283,
                ..bert
            },
        }
    }
}

/// The configuration, but for the file itself.
pub(super) fn config(fields: &Fields) -> Result<Config> {
    let family = &family(fields)?;
    check_kind(fields, family)?;
    let defaults = Defaults::of(family);
    // BERT's keys, under their names in this family; what it has no key for has the default.
    let size = |key, default, limit| {
        let Some(own) = family.key(key) else { return Ok(default) };
        check_names(fields, family, key, own)?;
        let given =
            if fields.get(own).is_none() && family.takes_name_of_bert(key) { key } else { own };
        fields.size(given, default, limit)
    };
    let number = |key, default, low, high| {
        family.key(key).map_or(Ok(default), |key| fields.number(key, default, low, high))
    };
    let rate = |key, default| number(key, default, 0.0, 1.0).map(below_one);
    let given = |key| family.key(key).is_some_and(|key| fields.get(key).is_some());
    // Where neither the file nor the family has one, the rate of hidden states counts.
    let classifier_dropout = match (given("classifier_dropout"), defaults.classifier_dropout) {
        (false, None) => None,
        (_, default) => Some(rate("classifier_dropout", default.unwrap_or_default())?),
    };
    let kind = fields.text("problem_type")?.map(str::parse).transpose();
    let hidden_size = size("hidden_size", defaults.hidden_size, 1 << 16)?;
    let num_hidden_layers = size("num_hidden_layers", defaults.num_hidden_layers, 1 << 10)?;
    let positions = size("max_position_embeddings", defaults.max_position_embeddings, 1 << 20)?;
    Ok(Config {
        vocab_size: size("vocab_size", defaults.vocab_size, 1 << 24)?,
        hidden_size,
        embedding_size: size(
            "embedding_size",
            defaults.embedding_size.unwrap_or(hidden_size),
            1 << 16,
        )?,
        num_hidden_layers,
        num_attention_heads: size("num_attention_heads", defaults.num_attention_heads, 1 << 10)?,
        intermediate_size: size("intermediate_size", defaults.intermediate_size, 1 << 18)?,
        max_position_embeddings: positions,
        type_vocab_size: size("type_vocab_size", defaults.type_vocab_size, 1 << 16)?,
        hidden_act: activation(fields, family.key("hidden_act").unwrap_or("hidden_act"))?,
        hidden_dropout_prob: rate("hidden_dropout_prob", defaults.dropout)?,
        attention_probs_dropout_prob: rate("attention_probs_dropout_prob", defaults.dropout)?,
        classifier_dropout,
        initializer_range: number("initializer_range", 0.02, 0.0, 1e3)?,
        // From the smallest normal f32 on: LayerNorm adds it to a variance in f32.
        layer_norm_eps: number(
            "layer_norm_eps",
            defaults.layer_norm_eps,
            f64::from(f32::MIN_POSITIVE),
            1.0,
        )?,
        pad_token_id: pad_token(fields, defaults.pad_token_id)?,
        problem_type: kind.map_err(|message| Error::config(fields.path, message))?,
        labels: labels::read(fields)?,
        architectures: fields.texts("architectures")?,
        family: match family {
            Family::ModernBert(_) => Family::ModernBert(Modern::read(fields, num_hidden_layers)?),
            Family::DebertaV2(_) => {
                Family::DebertaV2(Deberta::read(fields, hidden_size, positions)?)
            }
            family => family.clone(),
        },
        file: Map::new(),
    })
}

/// A rate as f32: rounding must not make one just below 1 into 1.
pub(super) fn below_one(rate: f64) -> f32 {
    (rate as f32).min(1.0 - f32::EPSILON)
}

/// GELU where there is no such key.
pub(super) fn activation(fields: &Fields, key: &str) -> Result<Activation> {
    let name = fields.text(key)?.unwrap_or("gelu");
    Activation::from_name(name).ok_or_else(|| {
        let known = Activation::ALL.map(Activation::name).join(", ");
        fields.unexpected(key, &format!("one of {known}, gelu_new"), name)
    })
}

fn pad_token(fields: &Fields, default: u32) -> Result<u32> {
    let Some(value) = fields.get("pad_token_id") else { return Ok(default) };
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| fields.unexpected("pad_token_id", "a token id", value))
}
