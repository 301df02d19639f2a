//! The configuration of a model: `config.json`.
//!
//! Keys that are absent have the defaults of transformers' `BertConfig`, `RobertaConfig`, ... Keys that this crate
//! does not use are kept, and written back in their places. Sizes are bounded, so that a hostile file is refused here
//! and not by the allocator.
//!
//! Source: <https://huggingface.co/docs/transformers/model_doc/bert#transformers.BertConfig>, and the pages of the
//! other models.

mod deberta;
mod modern;
mod parts;
mod read;
mod vocabulary;

use std::path::Path;

use serde_json::{Map, Value};
use tensor::Activation;

use crate::fields::Fields;
use crate::files::read_text;
use crate::known_keys::is_known;
use crate::{Error, Family, Result, labels, shapes};

pub use deberta::Deberta;
#[cfg(test)]
pub(crate) use deberta::switches;
pub use modern::Modern;

/// How the names of the classes of transformers end that give each word a label.
pub(crate) const TOKEN_CLASSIFICATION: &str = "ForTokenClassification";

/// What the outputs of a sequence classifier's head mean.
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
    /// Which kind of model it is, and what only this kind has.
    pub family: Family,
    /// V: rows of the word embeddings.
    pub vocab_size: usize,
    /// H: the width of the hidden states.
    pub hidden_size: usize,
    /// E: the width of the word, position and type embeddings; H but for ELECTRA.
    pub embedding_size: usize,
    /// Transformer layers.
    pub num_hidden_layers: usize,
    /// N: attention heads of a layer; divides H.
    pub num_attention_heads: usize,
    /// F: the width of the feed-forward part.
    pub intermediate_size: usize,
    /// Rows of the position embeddings, where there are such; see [`Config::max_length`].
    pub max_position_embeddings: usize,
    /// Rows of the type embeddings; 0 where there are none.
    pub type_vocab_size: usize,
    /// The activation of the feed-forward part.
    pub hidden_act: Activation,
    /// The dropout rate of hidden states; of a ModernBERT, of those within the feed-forward part.
    pub hidden_dropout_prob: f32,
    /// The dropout rate of attention probabilities.
    pub attention_probs_dropout_prob: f32,
    /// The dropout rate in the head; that of hidden states if `None`.
    pub classifier_dropout: Option<f32>,
    /// The standard deviation of fresh weights.
    pub initializer_range: f64,
    /// Added to the variance in LayerNorm.
    pub layer_norm_eps: f64,
    /// The id of the padding token; RoBERTa counts positions from behind it.
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
        match read_text(&path)? {
            Some(json) => Self::parse(&json, &path),
            None => Err(Error::not_found(dir, "configuration", "config.json")),
        }
    }

    /// Whether a masked-language-model head shares the table of the words, as all published ones do.
    pub(crate) fn ties_word_embeddings(&self) -> bool {
        self.file.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(true)
    }

    /// The class of the tokenizer, where the file names one.
    pub(crate) fn tokenizer_class(&self) -> Option<&str> {
        self.file.get("tokenizer_class")?.as_str()
    }

    /// Forgets which class reads the tokenizer: for a model that gets another vocabulary.
    pub fn forget_tokenizer_class(&mut self) {
        self.file.shift_remove("tokenizer_class");
    }

    /// Reads a configuration from its text; `path` is where it came from, for messages.
    ///
    /// # Errors
    /// When it is not JSON, not of an encoder of this [`Family`], or a value is out of its range.
    pub fn parse(json: &str, path: &Path) -> Result<Self> {
        let file: Map<String, Value> = serde_json::from_str(json)
            .map_err(|e| Error::config(path, format!("not a JSON object: {e}")))?;
        let fields = Fields { path, map: &file };
        let mut config = read::config(&fields)?;
        config.check(&fields)?;
        config.file = file;
        Ok(config)
    }

    /// The configuration as transformers writes it: the keys of the file it was read from, in their order
    /// and with the values of the fields, then the fields it did not have.
    pub fn to_json(&self) -> Value {
        let mut map = self.file.clone();
        map.insert("model_type".into(), self.family.model_type().into());
        for (key, value) in self.sizes() {
            self.write(&mut map, key, value.into());
        }
        self.write_rates(&mut map);
        self.write_meaning(&mut map);
        match &self.family {
            Family::ModernBert(modern) => modern.write(&mut map, self.num_hidden_layers),
            Family::DebertaV2(deberta) => deberta.write(&mut map),
            _ => {}
        }
        Value::Object(map)
    }

    /// Keys of the file that neither this crate nor transformers knows: misspelt ones, or those of another
    /// architecture.
    pub fn unknown_keys(&self) -> Vec<String> {
        let defaults = Self { file: Map::new(), ..self.clone() }.to_json();
        let of_family = |key: &str| {
            let is_deberta = matches!(self.family, Family::DebertaV2(_));
            is_deberta && deberta::CHECKED.contains(&key) || self.family.takes_name_of_bert(key)
        };
        let known = |key: &str| defaults.get(key).is_some() || is_known(key) || of_family(key);
        self.file.keys().filter(|key| !known(key)).cloned().collect()
    }

    /// D: the width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Whether the weights were saved from a [`TokenClassifier`](crate::TokenClassifier), which `architectures` alone
    /// tells: `problem_type` is for sequence classifiers.
    pub fn is_token_classifier(&self) -> bool {
        self.architectures.iter().any(|class| class.ends_with(TOKEN_CLASSIFICATION))
    }

    /// The longest sequence, in tokens.
    pub fn max_length(&self) -> usize {
        self.max_position_embeddings - self.first_position()
    }

    /// How many weights an encoder of this configuration has.
    pub fn encoder_parameters(&self) -> u64 {
        shapes::elements(shapes::encoder(self))
    }

    /// How many a classifier has in front of its last map: a sequence classifier, or one `of_words`.
    pub fn transform_parameters(&self, of_words: bool) -> u64 {
        shapes::elements(match of_words {
            true => shapes::token_classifier(self),
            false => shapes::pooler(self),
        })
    }

    /// How many the maps of one layer have, without their biases.
    pub fn map_parameters(&self) -> u64 {
        shapes::elements(shapes::maps(self))
    }

    /// How far the tokens of a layer see, to either side; everywhere if `None`.
    pub fn window_of(&self, layer: usize) -> Option<usize> {
        match &self.family {
            Family::ModernBert(modern) => modern.window_of(layer),
            _ => None,
        }
    }

    /// The id of the padding token, where positions are counted from behind it.
    pub(crate) fn padding_before_positions(&self) -> Option<u32> {
        match &self.family {
            // Whatever the configuration says, in transformers.
            Family::Mpnet => Some(1),
            family => family.is_like_roberta().then_some(self.pad_token_id),
        }
    }

    /// The row of the position embeddings that the first token has.
    fn first_position(&self) -> usize {
        self.padding_before_positions().map_or(0, |padding| padding as usize + 1)
    }

    /// The name in this family of one of BERT's keys that it has.
    fn key(&self, key: &'static str) -> &'static str {
        self.family.key(key).unwrap_or(key)
    }

    /// Sets one of BERT's keys, under its name in this family alone.
    fn write(&self, map: &mut Map<String, Value>, key: &'static str, value: Value) {
        if self.family.takes_name_of_bert(key) {
            map.shift_remove(key);
        }
        if let Some(key) = self.family.key(key) {
            map.insert(key.into(), value);
        }
    }

    /// Every size by its key.
    fn sizes(&self) -> [(&'static str, usize); 9] {
        [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("embedding_size", self.embedding_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
            ("pad_token_id", self.pad_token_id as usize),
        ]
    }

    fn write_rates(&self, map: &mut Map<String, Value>) {
        let known = map.get(self.key("hidden_act")).and_then(Value::as_str);
        if known.and_then(Activation::from_name) != Some(self.hidden_act) {
            self.write(map, "hidden_act", self.hidden_act.name().into());
        }
        let classifier = self.classifier_dropout.map_or(Value::Null, shortest);
        for (key, value) in [
            ("hidden_dropout_prob", shortest(self.hidden_dropout_prob)),
            ("attention_probs_dropout_prob", shortest(self.attention_probs_dropout_prob)),
            ("classifier_dropout", classifier),
            ("initializer_range", self.initializer_range.into()),
            ("layer_norm_eps", self.layer_norm_eps.into()),
        ] {
            self.write(map, key, value);
        }
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
            let expected = &format!("a multiple of {}", self.key("num_attention_heads"));
            return Err(fields.unexpected(self.key("hidden_size"), expected, found));
        }
        if self.is_modern() && !self.head_dim().is_multiple_of(2) {
            let expected = "heads of an even width, whose halves are turned";
            return Err(fields.unexpected("num_attention_heads", expected, self.head_dim()));
        }
        if self.pad_token_id as usize >= self.vocab_size {
            let expected = format!("an id below vocab_size {}", self.vocab_size);
            return Err(fields.unexpected("pad_token_id", &expected, self.pad_token_id));
        }
        if self.first_position() >= self.max_position_embeddings {
            let expected = format!("more than {}, pad_token_id + 1", self.first_position());
            let found = self.max_position_embeddings;
            return Err(fields.unexpected("max_position_embeddings", &expected, found));
        }
        let weights = self.encoder_parameters();
        match weights <= MOST_WEIGHTS {
            true => Ok(()),
            false => Err(fields.unexpected("sizes", "at most 8e9 weights in all", weights)),
        }
    }
}

/// Twice the largest BERT that was ever trained (Megatron's 3.9e9): 32 GB in f32.
const MOST_WEIGHTS: u64 = 8_000_000_000;

/// The shortest decimal that reads back as the same f32: 0.1 and not 0.10000000149011612.
fn shortest(value: f32) -> Value {
    value.to_string().parse::<f64>().expect("a printed f32 is a number").into()
}
