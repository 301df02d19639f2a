//! What stands in the `config.json` of a ModernBERT and of no other [`Family`](crate::Family).
//!
//! Files say which layers see the whole sequence, and by which base their angles grow, in two ways: by `layer_types`
//! and `rope_parameters`, as transformers writes them from version 5 on, or by `global_attn_every_n_layers`,
//! `global_rope_theta` and `local_rope_theta`, as published models do. The newer ones count where both are.
//!
//! Source: <https://huggingface.co/docs/transformers/model_doc/modernbert#transformers.ModernBertConfig>.

use serde_json::{Map, Value};
use tensor::{Activation, Pooling};

use crate::Result;
use crate::fields::Fields;

/// The names of the two kinds of layers.
const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// The settings of a ModernBERT beside those that BERT has, too.
#[derive(Clone, Debug, PartialEq)]
pub struct Modern {
    /// Whether LayerNorms have biases.
    pub norm_bias: bool,
    /// Whether the maps of attention have.
    pub attention_bias: bool,
    /// Whether the maps of feed-forward blocks have.
    pub mlp_bias: bool,
    /// Whether the first map of every head has.
    pub classifier_bias: bool,
    /// The activation in every head.
    pub classifier_activation: Activation,
    /// What a sequence classifier reads: the first state, or the mean of all.
    pub classifier_pooling: Pooling,
    /// Dropout of the embeddings.
    pub embedding_dropout: f32,
    /// For each layer, whether its tokens see the whole sequence.
    pub sees_all: Vec<bool>,
    /// How far the tokens of the other layers see, to either side.
    pub window: usize,
    /// The base of the angles of layers that see the whole sequence, and of the others.
    pub thetas: [f64; 2],
}

impl Modern {
    /// The defaults of transformers, for a model without layers.
    pub const USUAL: Self = Self {
        norm_bias: false,
        attention_bias: false,
        mlp_bias: false,
        classifier_bias: false,
        classifier_activation: Activation::Gelu,
        classifier_pooling: Pooling::First,
        embedding_dropout: 0.0,
        sees_all: Vec::new(),
        window: 64,
        thetas: [160_000.0, 10_000.0],
    };

    /// Reads the keys, for a model of `layers` layers.
    pub(super) fn read(fields: &Fields, layers: usize) -> Result<Self> {
        if let Some(scaling) = fields.get("rope_scaling") {
            return Err(fields.unexpected("rope_scaling", "null: angles are not scaled", scaling));
        }
        fields.only("decoder_bias", true, "only heads with a bias are supported")?;
        let usual = Self::USUAL;
        let dropout =
            fields.number("embedding_dropout", usual.embedding_dropout.into(), 0.0, 1.0)?;
        Ok(Self {
            norm_bias: fields.switch("norm_bias", usual.norm_bias)?,
            attention_bias: fields.switch("attention_bias", usual.attention_bias)?,
            mlp_bias: fields.switch("mlp_bias", usual.mlp_bias)?,
            classifier_bias: fields.switch("classifier_bias", usual.classifier_bias)?,
            classifier_activation: super::read::activation(fields, "classifier_activation")?,
            classifier_pooling: pooling(fields)?,
            embedding_dropout: super::read::below_one(dropout),
            sees_all: sees_all(fields, layers)?,
            window: fields.size("local_attention", 2 * usual.window, 1 << 21)? / 2,
            thetas: [
                theta(fields, FULL, ("global_rope_theta", usual.thetas[0]))?,
                theta(fields, SLIDING, ("local_rope_theta", usual.thetas[1]))?,
            ],
        })
    }

    /// Shortens the list of the kinds of layers, where a file has one: to that of a model with fewer layers.
    pub(super) fn write(&self, map: &mut Map<String, Value>, layers: usize) {
        if let Some(Value::Array(types)) = map.get_mut("layer_types") {
            types.truncate(layers);
        }
    }

    /// How far the tokens of a layer see; everywhere if `None`.
    pub(crate) fn window_of(&self, layer: usize) -> Option<usize> {
        (!self.sees_all[layer]).then_some(self.window)
    }
}

fn pooling(fields: &Fields) -> Result<Pooling> {
    match fields.text("classifier_pooling")? {
        None | Some("cls") => Ok(Pooling::First),
        Some("mean") => Ok(Pooling::Mean),
        Some(other) => Err(fields.unexpected("classifier_pooling", "cls or mean", other)),
    }
}

fn sees_all(fields: &Fields, layers: usize) -> Result<Vec<bool>> {
    let types = fields.texts("layer_types")?;
    if types.is_empty() {
        let every = fields.size("global_attn_every_n_layers", 3, usize::MAX)?;
        return Ok((0..layers).map(|i| i.is_multiple_of(every)).collect());
    }
    if let Some(other) = types.iter().find(|name| ![FULL, SLIDING].contains(&name.as_str())) {
        return Err(fields.unexpected("layer_types", &format!("{FULL} or {SLIDING}"), other));
    }
    match types.len() == layers {
        true => Ok(types.iter().map(|name| name == FULL).collect()),
        false => {
            let expected = format!("one for each of {layers} layers");
            Err(fields.unexpected("layer_types", &expected, types.len()))
        }
    }
}

/// The base of the angles of one kind of layers; `old` is the key of published files and its default.
fn theta(fields: &Fields, kind: &str, old: (&str, f64)) -> Result<f64> {
    let of_file = fields.number(old.0, old.1, 1.0, 1e12)?;
    let Some(all) = fields.object("rope_parameters")? else { return Ok(of_file) };
    let all = Fields { path: fields.path, map: all };
    let Some(own) = all.object(kind)? else { return Ok(of_file) };
    let own = Fields { path: fields.path, map: own };
    match own.text("rope_type")? {
        None | Some("default") => own.number("rope_theta", of_file, 1.0, 1e12),
        Some(other) => Err(own.unexpected("rope_type", "default: angles are not scaled", other)),
    }
}
