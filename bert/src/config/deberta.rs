//! What stands in the `config.json` of a DeBERTa of version 2 or 3 and of no other [`Family`](crate::Family).
//!
//! Its code has switches that no published model turns: those are refused, not guessed at. All published ones have
//! attention by content and distance in both directions (content-to-position, c2p, and position-to-content, p2c) with
//! one set of maps, buckets of distances, a LayerNorm of their vectors (relative embeddings), and no table of
//! positions; the convolution of `deberta-v2-xlarge` and `-xxlarge` is not built.
//!
//! Source: <https://huggingface.co/docs/transformers/model_doc/deberta-v2#transformers.DebertaV2Config>.

use serde_json::{Map, Value};
use tensor::Activation;

use crate::Result;
use crate::fields::Fields;

/// Keys that are read to be refused alone, where they ask for another model than the others do.
pub(super) const CHECKED: [&str; 3] = ["conv_kernel_size", "embedding_size", "attention_head_size"];

/// The settings of a DeBERTa beside those that BERT has, too.
#[derive(Clone, Debug, PartialEq)]
pub struct Deberta {
    /// S: kinds of distances of one sign.
    pub position_buckets: usize,
    /// M: distances from here on are all alike.
    pub max_relative_positions: usize,
    /// Dropout before the first map of a sequence classifier's head.
    pub pooler_dropout: f32,
    /// Behind it.
    pub pooler_activation: Activation,
}

impl Deberta {
    /// Those of the published models.
    pub const USUAL: Self = Self {
        position_buckets: 256,
        max_relative_positions: 512,
        pooler_dropout: 0.0,
        pooler_activation: Activation::Gelu,
    };

    /// Reads the keys, for a model of that width and of so many positions.
    pub(super) fn read(fields: &Fields, hidden: usize, positions: usize) -> Result<Self> {
        refuse_other_kinds(fields, hidden)?;
        let buckets = match fields.get("position_buckets") {
            Some(given) if given.as_i64().is_none_or(|n| n > 1) => {
                fields.size("position_buckets", 0, 1 << 16)?
            }
            // Without them, which is the default of transformers, every distance has vectors of its own.
            other => {
                let expected = "at least 2: distances that share no vectors are not supported";
                let found = other.map_or("none".into(), Value::to_string);
                return Err(fields.unexpected("position_buckets", expected, found));
            }
        };
        let farthest = match fields.get("max_relative_positions").and_then(Value::as_i64) {
            Some(..1) => positions,
            _ => fields.size("max_relative_positions", positions, 1 << 20)?,
        };
        if farthest < buckets / 2 + 2 {
            let expected = format!("more than half of {buckets} position_buckets, and one");
            return Err(fields.unexpected("max_relative_positions", &expected, farthest));
        }
        let dropout = fields.number("pooler_dropout", 0.0, 0.0, 1.0)?;
        Ok(Self {
            position_buckets: buckets,
            max_relative_positions: farthest,
            pooler_dropout: super::read::below_one(dropout),
            pooler_activation: super::read::activation(fields, "pooler_hidden_act")?,
        })
    }

    /// Says that there are no types, and which names the head for masked words has: transformers knows two, and fills
    /// the older one, its default, with random weights where a model has the newer.
    pub(super) fn write(&self, map: &mut Map<String, Value>) {
        map.insert("type_vocab_size".into(), 0.into());
        map.insert("legacy".into(), false.into());
    }
}

fn refuse_other_kinds(fields: &Fields, hidden: usize) -> Result<()> {
    let published = "as in the published models of version 2 and 3";
    for (key, default, only) in [
        ("relative_attention", false, true),
        ("share_att_key", false, true),
        ("position_biased_input", true, false),
    ] {
        if fields.switch(key, default)? != only {
            return Err(fields.unexpected(key, &format!("{only}, {published}"), !only));
        }
    }
    let parts = parts(fields, "pos_att_type")?;
    if !["c2p", "p2c"].iter().all(|part| parts.iter().any(|found| found == part)) {
        let expected = format!("c2p and p2c, {published}");
        return Err(fields.unexpected("pos_att_type", &expected, parts.join("|")));
    }
    let norms = parts_of_text(fields.text("norm_rel_ebd")?.unwrap_or("none"));
    if !norms.iter().any(|norm| norm == "layer_norm") {
        let expected = format!("layer_norm, {published}");
        return Err(fields.unexpected("norm_rel_ebd", &expected, norms.join("|")));
    }
    for (key, expected) in [
        ("conv_kernel_size", "0: a convolution behind the first layer is not supported"),
        ("type_vocab_size", "0, as in the published models of version 2 and 3"),
    ] {
        if let Some(size) = fields.get(key).filter(|size| size.as_u64() != Some(0)) {
            return Err(fields.unexpected(key, expected, size));
        }
    }
    let per_head = hidden / fields.size("num_attention_heads", 12, hidden)?;
    for (key, expected, of) in [
        ("embedding_size", hidden, "hidden_size"),
        ("pooler_hidden_size", hidden, "hidden_size"),
        ("attention_head_size", per_head, "hidden_size / num_attention_heads"),
    ] {
        let size = fields.size(key, expected, 1 << 16)?;
        if size != expected {
            return Err(fields.unexpected(key, &format!("{of}, {expected}"), size));
        }
    }
    Ok(())
}

/// A list of names, or one text with bars between them.
fn parts(fields: &Fields, key: &str) -> Result<Vec<String>> {
    match fields.get(key) {
        Some(Value::String(text)) => Ok(parts_of_text(text)),
        _ => fields.texts(key),
    }
}

fn parts_of_text(text: &str) -> Vec<String> {
    text.split('|').map(|part| part.trim().to_lowercase()).collect()
}

/// The switches of a published model, without which none is read: for tests of all families.
#[cfg(test)]
pub(crate) fn switches() -> Map<String, Value> {
    let json = serde_json::json!({"relative_attention": true, "share_att_key": true,
        "position_biased_input": false, "pos_att_type": "p2c|c2p", "norm_rel_ebd": "layer_norm",
        "position_buckets": 256});
    json.as_object().expect("an object").clone()
}
