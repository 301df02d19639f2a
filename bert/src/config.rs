//! The configuration of a BERT model: `config.json`.
//!
//! Keys that are absent have the defaults of transformers' `BertConfig`. Keys that this crate does not use
//! are kept, and written back in their places. Sizes are bounded, so that a hostile file is refused here
//! and not by the allocator.
//!
//! Source: <https://huggingface.co/docs/transformers/model_doc/bert#transformers.BertConfig>.

use std::path::Path;

use serde_json::{Map, Value};
use tensor::Activation;

use crate::fields::Fields;
use crate::known_keys::is_known;
use crate::{Error, Result, labels};

/// What the outputs of a classification head mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum ProblemType {
    /// One of C classes.
    #[serde(rename = "single_label_classification")]
    SingleLabel,
    /// Any of C labels.
    #[serde(rename = "multi_label_classification")]
    MultiLabel,
    /// Numbers.
    #[serde(rename = "regression")]
    Regression,
}

impl ProblemType {
    const ALL: [Self; 3] = [Self::SingleLabel, Self::MultiLabel, Self::Regression];

    /// The name in a `config.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SingleLabel => "single_label_classification",
            Self::MultiLabel => "multi_label_classification",
            Self::Regression => "regression",
        }
    }
}

impl std::fmt::Display for ProblemType {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ProblemType {
    type Err = String;

    /// Reads the name in a `config.json`; an unknown one gives a message with those that are known.
    fn from_str(name: &str) -> std::result::Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("problem_type: expected one of {known}, found {name}")
        })
    }
}

/// The configuration of a model: sizes, rates and the meaning of its outputs.
#[derive(Clone, Debug)]
pub struct Config {
    /// V: rows of the word embeddings.
    pub vocab_size: usize,
    /// H: the width of the hidden states.
    pub hidden_size: usize,
    /// Transformer layers.
    pub num_hidden_layers: usize,
    /// N: attention heads of a layer; divides H.
    pub num_attention_heads: usize,
    /// F: the width of the feed-forward part.
    pub intermediate_size: usize,
    /// Rows of the position embeddings: the longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Rows of the type embeddings.
    pub type_vocab_size: usize,
    /// The activation of the feed-forward part.
    pub hidden_act: Activation,
    /// The dropout rate of hidden states.
    pub hidden_dropout_prob: f32,
    /// The dropout rate of attention probabilities.
    pub attention_probs_dropout_prob: f32,
    /// The dropout rate before the head; that of hidden states if `None`.
    pub classifier_dropout: Option<f32>,
    /// The standard deviation of fresh weights.
    pub initializer_range: f64,
    /// Added to the variance in LayerNorm.
    pub layer_norm_eps: f64,
    /// The id of `[PAD]`.
    pub pad_token_id: u32,
    /// What the outputs of the head mean, if the file says so.
    pub problem_type: Option<ProblemType>,
    /// The labels in the order of their ids; empty if the file names none.
    pub labels: Vec<String>,
    /// The classes of transformers that the weights were saved from.
    pub architectures: Vec<String>,
    /// The file as it was: its order, and every key that has no field here.
    file: Map<String, Value>,
}

impl Config {
    /// Reads the `config.json` of a folder.
    ///
    /// # Errors
    /// When the file is missing, can't be read, or is refused by [`Config::parse`].
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        match std::fs::read_to_string(&path) {
            Ok(json) => Self::parse(&json, &path),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::not_found(dir, "configuration", "config.json"))
            }
            Err(e) => Err(Error::read(&path, e)),
        }
    }

    /// Whether a masked-language-model head shares the table of the words, as all published ones do.
    pub(crate) fn ties_word_embeddings(&self) -> bool {
        self.file.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(true)
    }

    /// Reads a configuration from its text; `path` is where it came from, for messages.
    ///
    /// # Errors
    /// When it is not JSON, not of a BERT encoder, or a value is out of its range.
    pub fn parse(json: &str, path: &Path) -> Result<Self> {
        let file: Map<String, Value> = serde_json::from_str(json)
            .map_err(|e| Error::config(path, format!("not a JSON object: {e}")))?;
        let fields = Fields { path, map: &file };
        check_kind(&fields)?;
        let mut config = read(&fields)?;
        config.check(&fields)?;
        config.file = file;
        Ok(config)
    }

    /// The configuration as transformers writes it: the keys of the file it was read from, in their order
    /// and with the values of the fields, then the fields it did not have.
    pub fn to_json(&self) -> Value {
        let mut map = self.file.clone();
        map.insert("model_type".into(), "bert".into());
        for (key, value) in self.sizes() {
            map.insert(key.into(), value.into());
        }
        self.write_rates(&mut map);
        self.write_meaning(&mut map);
        Value::Object(map)
    }

    /// Keys of the file that neither this crate nor transformers knows: misspelt ones, or those of another architecture.
    pub fn unknown_keys(&self) -> Vec<String> {
        let defaults = Self { file: Map::new(), ..self.clone() }.to_json();
        let known = |key: &str| defaults.get(key).is_some() || is_known(key);
        self.file.keys().filter(|key| !known(key)).cloned().collect()
    }

    /// D: the width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Every size by its key.
    fn sizes(&self) -> [(&'static str, usize); 8] {
        [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
            ("pad_token_id", self.pad_token_id as usize),
        ]
    }

    fn write_rates(&self, map: &mut Map<String, Value>) {
        let known = map.get("hidden_act").and_then(Value::as_str).and_then(Activation::from_name);
        if known != Some(self.hidden_act) {
            map.insert("hidden_act".into(), self.hidden_act.name().into());
        }
        let classifier = self.classifier_dropout.map_or(Value::Null, shortest);
        map.insert("hidden_dropout_prob".into(), shortest(self.hidden_dropout_prob));
        let attention = shortest(self.attention_probs_dropout_prob);
        map.insert("attention_probs_dropout_prob".into(), attention);
        map.insert("classifier_dropout".into(), classifier);
        map.insert("initializer_range".into(), self.initializer_range.into());
        map.insert("layer_norm_eps".into(), self.layer_norm_eps.into());
    }

    fn write_meaning(&self, map: &mut Map<String, Value>) {
        match self.problem_type {
            Some(kind) => map.insert("problem_type".into(), kind.as_str().into()),
            None => map.shift_remove("problem_type"),
        };
        match self.architectures.is_empty() {
            false => map.insert("architectures".into(), self.architectures.clone().into()),
            true => map.shift_remove("architectures"),
        };
        labels::write(&self.labels, map);
    }

    /// What no single key shows.
    fn check(&self, fields: &Fields) -> Result<()> {
        let (h, heads) = (self.hidden_size, self.num_attention_heads);
        if !h.is_multiple_of(heads) {
            let found = format!("{h} and {heads}");
            let expected = "a multiple of num_attention_heads";
            return Err(fields.unexpected("hidden_size", expected, found));
        }
        if self.pad_token_id as usize >= self.vocab_size {
            let expected = format!("an id below vocab_size {}", self.vocab_size);
            return Err(fields.unexpected("pad_token_id", &expected, self.pad_token_id));
        }
        let weights = self.weights();
        match weights <= MOST_WEIGHTS {
            true => Ok(()),
            false => Err(fields.unexpected("sizes", "at most 8e9 weights in all", weights)),
        }
    }

    /// The number of weights in the large matrices of the encoder. The bounds of the sizes keep it far
    /// from overflow.
    fn weights(&self) -> u64 {
        let wide = |n: usize| n as u64;
        let rows = self.vocab_size + self.max_position_embeddings + self.type_vocab_size;
        let layer = 4 * wide(self.hidden_size) + 2 * wide(self.intermediate_size);
        wide(self.hidden_size) * (wide(rows) + wide(self.num_hidden_layers) * layer)
    }
}

/// Twice the largest BERT that was ever trained (Megatron's 3.9e9): 32 GB in f32.
const MOST_WEIGHTS: u64 = 8_000_000_000;

/// The keys without which a file that names no model_type is not taken for a BERT.
const TELLING_KEYS: [&str; 4] =
    ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"];

/// Refuses every model that this crate does not have.
fn check_kind(fields: &Fields) -> Result<()> {
    match fields.text("model_type")? {
        Some("bert") => {}
        Some(other) => {
            return Err(fields.unexpected("model_type", "bert (no other is supported)", other));
        }
        None => {
            if let Some(key) = TELLING_KEYS.into_iter().find(|key| fields.get(key).is_none()) {
                let message = format!("neither model_type nor {key}: not the config of a BERT");
                return Err(Error::config(fields.path, message));
            }
        }
    }
    match fields.text("position_embedding_type")? {
        None | Some("absolute") => {}
        Some(other) => {
            return Err(fields.unexpected("position_embedding_type", "absolute", other));
        }
    }
    fields.off("is_decoder", "only encoders are supported")?;
    fields.off("add_cross_attention", "only encoders are supported")
}

fn read(fields: &Fields) -> Result<Config> {
    // The minimum: the rounding to f32 must not make a rate just below 1 into 1.
    let rate = |key, default| {
        fields.number(key, default, 0.0, 1.0).map(|rate| (rate as f32).min(1.0 - f32::EPSILON))
    };
    let own_rate = fields.get("classifier_dropout").map(|_| rate("classifier_dropout", 0.0));
    let kind = fields.text("problem_type")?.map(str::parse).transpose();
    Ok(Config {
        vocab_size: fields.size("vocab_size", 30_522, 1 << 24)?,
        hidden_size: fields.size("hidden_size", 768, 1 << 16)?,
        num_hidden_layers: fields.size("num_hidden_layers", 12, 1 << 10)?,
        num_attention_heads: fields.size("num_attention_heads", 12, 1 << 10)?,
        intermediate_size: fields.size("intermediate_size", 3072, 1 << 18)?,
        max_position_embeddings: fields.size("max_position_embeddings", 512, 1 << 20)?,
        type_vocab_size: fields.size("type_vocab_size", 2, 1 << 16)?,
        hidden_act: activation(fields)?,
        hidden_dropout_prob: rate("hidden_dropout_prob", 0.1)?,
        attention_probs_dropout_prob: rate("attention_probs_dropout_prob", 0.1)?,
        classifier_dropout: own_rate.transpose()?,
        initializer_range: fields.number("initializer_range", 0.02, 0.0, 1e3)?,
        // From the smallest normal f32 on: LayerNorm adds it to a variance in f32.
        layer_norm_eps: fields.number(
            "layer_norm_eps",
            1e-12,
            f64::from(f32::MIN_POSITIVE),
            1.0,
        )?,
        pad_token_id: pad_token(fields)?,
        problem_type: kind.map_err(|message| Error::config(fields.path, message))?,
        labels: labels::read(fields)?,
        architectures: fields.texts("architectures")?,
        file: Map::new(),
    })
}

fn activation(fields: &Fields) -> Result<Activation> {
    let name = fields.text("hidden_act")?.unwrap_or("gelu");
    Activation::from_name(name).ok_or_else(|| {
        let known = Activation::ALL.map(Activation::name).join(", ");
        fields.unexpected("hidden_act", &format!("one of {known}, gelu_new"), name)
    })
}

fn pad_token(fields: &Fields) -> Result<u32> {
    let Some(value) = fields.get("pad_token_id") else { return Ok(0) };
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| fields.unexpected("pad_token_id", "a token id", value))
}

/// The shortest decimal that reads back as the same f32: 0.1 and not 0.10000000149011612.
fn shortest(value: f32) -> Value {
    value.to_string().parse::<f64>().expect("a printed f32 is a number").into()
}
