//! Reading the keys of a `config.json`, with the defaults of each family.

use serde_json::Map;
use tensor::Activation;

use super::Config;
use crate::fields::Fields;
use crate::{Error, Family, Result, labels};

/// The keys without which a file that names no model_type is not taken for a BERT.
const TELLING_KEYS: [&str; 4] =
    ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"];

/// Which model it is; without a `model_type` a BERT, as the oldest files are.
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
        let known = Family::ALL.map(Family::model_type).join(", ");
        fields.unexpected("model_type", &format!("one of {known}"), name)
    })
}

/// Refuses variants that this crate does not have.
fn check_kind(fields: &Fields) -> Result<()> {
    match fields.text("position_embedding_type")? {
        None | Some("absolute") => {}
        Some(other) => {
            return Err(fields.unexpected("position_embedding_type", "absolute", other));
        }
    }
    fields.off("is_decoder", "only encoders are supported")?;
    fields.off("add_cross_attention", "only encoders are supported")
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
    classifier_dropout: Option<f64>,
    pad_token_id: u32,
}

impl Defaults {
    fn of(family: Family) -> Self {
        let bert = Self {
            vocab_size: 30_522,
            hidden_size: 768,
            embedding_size: None,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            type_vocab_size: 2,
            classifier_dropout: None,
            pad_token_id: 0,
        };
        match family {
            Family::Bert => bert,
            Family::Roberta => Self { vocab_size: 50_265, pad_token_id: 1, ..bert },
            Family::XlmRoberta | Family::Camembert => Self { pad_token_id: 1, ..bert },
            Family::DistilBert => Self {
                num_hidden_layers: 6,
                type_vocab_size: 0,
                classifier_dropout: Some(0.2),
                ..bert
            },
            Family::Electra => Self {
                hidden_size: 256,
                embedding_size: Some(128),
                num_attention_heads: 4,
                intermediate_size: 1024,
                ..bert
            },
        }
    }
}

/// The configuration, but for the file itself.
pub(super) fn config(fields: &Fields) -> Result<Config> {
    let family = family(fields)?;
    check_kind(fields)?;
    let defaults = Defaults::of(family);
    // BERT's keys, under their names in this family; what it has no key for has the default.
    let size = |key, default, limit| {
        family.key(key).map_or(Ok(default), |key| fields.size(key, default, limit))
    };
    let number = |key, default, low, high| {
        family.key(key).map_or(Ok(default), |key| fields.number(key, default, low, high))
    };
    // The minimum: the rounding to f32 must not make a rate just below 1 into 1.
    let rate = |key, default| {
        number(key, default, 0.0, 1.0).map(|rate| (rate as f32).min(1.0 - f32::EPSILON))
    };
    let given = |key| family.key(key).is_some_and(|key| fields.get(key).is_some());
    // Where neither the file nor the family has one, the rate of hidden states counts.
    let classifier_dropout = match (given("classifier_dropout"), defaults.classifier_dropout) {
        (false, None) => None,
        (_, default) => Some(rate("classifier_dropout", default.unwrap_or_default())?),
    };
    let kind = fields.text("problem_type")?.map(str::parse).transpose();
    let hidden_size = size("hidden_size", defaults.hidden_size, 1 << 16)?;
    Ok(Config {
        family,
        vocab_size: size("vocab_size", defaults.vocab_size, 1 << 24)?,
        hidden_size,
        embedding_size: size(
            "embedding_size",
            defaults.embedding_size.unwrap_or(hidden_size),
            1 << 16,
        )?,
        num_hidden_layers: size("num_hidden_layers", defaults.num_hidden_layers, 1 << 10)?,
        num_attention_heads: size("num_attention_heads", defaults.num_attention_heads, 1 << 10)?,
        intermediate_size: size("intermediate_size", defaults.intermediate_size, 1 << 18)?,
        max_position_embeddings: size("max_position_embeddings", 512, 1 << 20)?,
        type_vocab_size: size("type_vocab_size", defaults.type_vocab_size, 1 << 16)?,
        hidden_act: activation(family, fields)?,
        hidden_dropout_prob: rate("hidden_dropout_prob", 0.1)?,
        attention_probs_dropout_prob: rate("attention_probs_dropout_prob", 0.1)?,
        classifier_dropout,
        initializer_range: number("initializer_range", 0.02, 0.0, 1e3)?,
        // From the smallest normal f32 on: LayerNorm adds it to a variance in f32.
        layer_norm_eps: number("layer_norm_eps", 1e-12, f64::from(f32::MIN_POSITIVE), 1.0)?,
        pad_token_id: pad_token(fields, defaults.pad_token_id)?,
        problem_type: kind.map_err(|message| Error::config(fields.path, message))?,
        labels: labels::read(fields)?,
        architectures: fields.texts("architectures")?,
        file: Map::new(),
    })
}

fn activation(family: Family, fields: &Fields) -> Result<Activation> {
    let key = family.key("hidden_act").unwrap_or("hidden_act");
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
