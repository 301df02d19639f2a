//! What stands beside the vocabulary: `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{ModelWrapper, NormalizerWrapper};

use super::added::{self, Added};
use crate::fields::Fields;
use crate::files::read_text;
use crate::pickle::quoted;
use crate::{Config, Error, Family, Result};

/// The special tokens by the keys of both files, as BERT spells them and as RoBERTa does.
const SPECIAL_TOKENS: [(&str, [&str; 2]); 5] = [
    ("unk_token", ["[UNK]", "<unk>"]),
    ("sep_token", ["[SEP]", "</s>"]),
    ("pad_token", ["[PAD]", "<pad>"]),
    ("cls_token", ["[CLS]", "<s>"]),
    ("mask_token", ["[MASK]", "<mask>"]),
];

/// The class of transformers that takes any `tokenizer.json`.
const GENERAL: &str = "PreTrainedTokenizerFast";

/// The class, in transformers 5, that puts rules of its own in place of those of a `tokenizer.json`.
const DEBERTA: &str = "DebertaV2Tokenizer";

/// transformers writes 1e30 for "no limit": anything beyond this is none.
const LARGEST_MAX_LENGTH: u64 = 1 << 32;

/// The files, as they are; empty where there are none.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    config: Map<String, Value>,
    special_tokens: Map<String, Value>,
    /// By ascending id.
    added: Added,
}

impl Settings {
    /// Reads the files. A value of another type than transformers writes is an error, and no value that is not there:
    /// with `do_lower_case: 0` passed over, the ids would be those of another model.
    pub fn load(dir: &Path) -> Result<Self> {
        let [config_path, special_path, added_path] =
            ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
                .map(|name| dir.join(name));
        let (config, special_tokens) = (read_object(&config_path)?, read_object(&special_path)?);
        let fields = Fields { path: &config_path, map: &config };
        check_types(&fields)?;
        check_special_tokens(&fields)?;
        check_special_tokens(&Fields { path: &special_path, map: &special_tokens })?;
        let described = added::described(&fields)?;
        let settings = Self { config, special_tokens, added: Vec::new() };
        let ids = read_object(&added_path)?;
        let ids = Fields { path: &added_path, map: &ids };
        let bare = added::bare(&ids, |text| settings.is_special(text))?;
        let mut added = described.unwrap_or(bare);
        added.sort_by_key(|(id, _)| *id);
        Ok(Self { added, ..settings })
    }

    pub fn model_max_length(&self) -> Option<usize> {
        let length = self.config.get("model_max_length")?.as_u64()?;
        (length <= LARGEST_MAX_LENGTH).then_some(length as usize)
    }

    /// Notes that each word is encoded with a blank before it.
    pub fn set_prefix_space(&mut self) {
        self.config.insert("add_prefix_space".into(), true.into());
    }

    /// Whether long texts lose their beginning rather than their end.
    pub fn cuts_left(&self) -> bool {
        self.config.get("truncation_side").and_then(Value::as_str) == Some("left")
    }

    /// How a special token is spelt: as the files say, else as usual, in the way that the vocabulary has; `key` is one
    /// of [`SPECIAL_TOKENS`].
    pub fn special_token(&self, key: &str, is_known: impl Fn(&str) -> bool) -> String {
        let usual = SPECIAL_TOKENS.iter().find(|(k, _)| *k == key).map(|(_, tokens)| tokens);
        let [bert, roberta] = usual.copied().unwrap_or_default();
        let usual = if is_known(roberta) && !is_known(bert) { roberta } else { bert };
        self.named(key).unwrap_or(usual).to_owned()
    }

    /// How the files spell the token of that key, if they do.
    pub fn named(&self, key: &str) -> Option<&str> {
        let named = self.config.get(key).and_then(content);
        named.or_else(|| self.special_tokens.get(key).and_then(content))
    }

    /// Whether a switch of `tokenizer_config.json` is there and on.
    pub fn is_on(&self, key: &str) -> bool {
        self.config.get(key).and_then(Value::as_bool) == Some(true)
    }

    /// Every special token.
    pub fn special_tokens(&self, inner: &tokenizers::Tokenizer) -> [String; 5] {
        SPECIAL_TOKENS.map(|(key, _)| self.special_token_of(inner, key))
    }

    /// The id of a special token, if the vocabulary has it; `key` is one of [`SPECIAL_TOKENS`].
    pub fn special_id(&self, inner: &tokenizers::Tokenizer, key: &str) -> Option<u32> {
        inner.token_to_id(&self.special_token_of(inner, key))
    }

    fn special_token_of(&self, inner: &tokenizers::Tokenizer, key: &str) -> String {
        self.special_token(key, |token| inner.token_to_id(token).is_some())
    }

    /// The normalizer of `BertTokenizer`.
    pub fn normalizer(&self) -> BertNormalizer {
        let mut normalizer = BertNormalizer::default();
        self.override_in(&mut normalizer);
        normalizer
    }

    /// Puts what the configuration says in place of what a `tokenizer.json` stores.
    pub fn override_normalizer(&self, inner: &mut tokenizers::Tokenizer) {
        if let Some(NormalizerWrapper::BertNormalizer(normalizer)) = inner.get_normalizer() {
            let mut normalizer = *normalizer;
            self.override_in(&mut normalizer);
            inner.with_normalizer(Some(normalizer));
        }
    }

    fn override_in(&self, normalizer: &mut BertNormalizer) {
        let flag = |key| self.config.get(key).and_then(Value::as_bool);
        normalizer.lowercase = flag("do_lower_case").unwrap_or(normalizer.lowercase);
        let chinese = flag("tokenize_chinese_chars").unwrap_or(normalizer.handle_chinese_chars);
        normalizer.handle_chinese_chars = chinese;
        // Null has a meaning of its own here: as do_lower_case.
        if self.config.contains_key("strip_accents") {
            normalizer.strip_accents = flag("strip_accents");
        }
    }

    /// `[CLS] a [SEP]` and `[CLS] a [SEP] b [SEP]`; of a RoBERTa `<s> a </s>` and `<s> a </s></s> b </s>`, of one type.
    pub fn template(
        &self,
        dir: &Path,
        inner: &tokenizers::Tokenizer,
    ) -> Result<PostProcessorWrapper> {
        let [cls, sep] = ["cls_token", "sep_token"].map(|key| self.special_token_of(inner, key));
        let id = |token: &str| {
            let missing = || Error::tokenizer(dir, format!("{token} is not in the vocabulary"));
            inner.token_to_id(token).map(|id| (token.to_owned(), id)).ok_or_else(missing)
        };
        let tokens = vec![id(&cls)?, id(&sep)?];
        let invalid = |e: String| Error::tokenizer(dir, format!("special tokens: {e}"));
        let second = match (cls.as_str(), sep.as_str()) {
            ("<s>", "</s>") => format!("{sep}:0 $B:0 {sep}:0"),
            _ => format!("$B:1 {sep}:1"),
        };
        let template = TemplateProcessing::builder()
            .try_single(format!("{cls}:0 $A:0 {sep}:0"))
            .map_err(invalid)?
            .try_pair(format!("{cls}:0 $A:0 {sep}:0 {second}"))
            .map_err(invalid)?
            .special_tokens(tokens)
            .build();
        Ok(template.map_err(|e| invalid(e.to_string()))?.into())
    }

    /// Adds the tokens that were added to the vocabulary, by ascending id, each of which must be the next that is free.
    pub fn add_tokens(&self, inner: &mut tokenizers::Tokenizer) -> std::result::Result<(), String> {
        for (id, token) in &self.added {
            match token.special {
                true => inner.add_special_tokens(std::slice::from_ref(token)),
                false => inner.add_tokens(std::slice::from_ref(token)),
            };
            if inner.token_to_id(&token.content) != Some(*id) {
                let content = quoted(&token.content);
                return Err(format!("the added token {content} as {id}: that id is not free"));
            }
        }
        Ok(())
    }

    /// Whether a text is that of a special token.
    fn is_special(&self, text: &str) -> bool {
        SPECIAL_TOKENS.iter().any(|(key, usual)| self.named(key).unwrap_or(usual[0]) == text)
    }

    /// `tokenizer_config.json`: what was read, and what a reader needs beyond it.
    pub fn config_json(&self, inner: &tokenizers::Tokenizer, config: &Config) -> String {
        let mut map = self.config.clone();
        if let Some(NormalizerWrapper::BertNormalizer(normalizer)) = inner.get_normalizer() {
            map.insert("do_lower_case".into(), normalizer.lowercase.into());
            map.insert("strip_accents".into(), normalizer.strip_accents.into());
            let chinese = normalizer.handle_chinese_chars;
            map.insert("tokenize_chinese_chars".into(), chinese.into());
        }
        self.add_special_tokens(inner, &mut map);
        let class = config.tokenizer_class().unwrap_or(class(&config.family, inner.get_model()));
        if !map.contains_key("tokenizer_class") && class == GENERAL {
            // This class knows of no model: without the list it makes types, which some models do not take.
            let inputs = ["input_ids", "token_type_ids", "attention_mask"].into_iter();
            let takes = |input: &&str| *input != "token_type_ids" || config.type_vocab_size > 1;
            let inputs: Vec<&str> = inputs.filter(takes).collect();
            map.entry("model_input_names").or_insert(inputs.into());
        }
        map.entry("tokenizer_class").or_insert(class.into());
        if map["tokenizer_class"].as_str().is_some_and(|class| class.starts_with(DEBERTA)) {
            map.insert("tokenizer_class".into(), GENERAL.into());
        }
        map.entry("model_max_length").or_insert(config.max_length().into());
        pretty(map)
    }

    /// `special_tokens_map.json`, likewise.
    pub fn special_tokens_json(&self, inner: &tokenizers::Tokenizer) -> String {
        let mut map = self.special_tokens.clone();
        self.add_special_tokens(inner, &mut map);
        pretty(map)
    }

    fn add_special_tokens(&self, inner: &tokenizers::Tokenizer, map: &mut Map<String, Value>) {
        for (key, _) in SPECIAL_TOKENS {
            let token = self.special_token_of(inner, key);
            if inner.token_to_id(&token).is_some() && !map.contains_key(key) {
                map.insert(key.into(), token.into());
            }
        }
    }
}

/// The class of transformers that reads a tokenizer of this kind as this family wants it: DistilBERT takes no types.
fn class(family: &Family, model: &ModelWrapper) -> &'static str {
    match (family, model) {
        (Family::Bert, ModelWrapper::WordPiece(_)) => "BertTokenizer",
        (Family::DistilBert, ModelWrapper::WordPiece(_)) => "DistilBertTokenizer",
        (Family::Electra, ModelWrapper::WordPiece(_)) => "ElectraTokenizer",
        (Family::Mpnet, ModelWrapper::WordPiece(_)) => "MPNetTokenizer",
        (Family::Roberta, ModelWrapper::BPE(_)) => "RobertaTokenizer",
        (Family::XlmRoberta, ModelWrapper::Unigram(_)) => "XLMRobertaTokenizer",
        (Family::Camembert, ModelWrapper::Unigram(_)) => "CamembertTokenizer",
        _ => GENERAL,
    }
}

/// Checks the keys that are read.
fn check_types(config: &Fields) -> Result<()> {
    for key in ["do_lower_case", "tokenize_chinese_chars", "strip_accents", "split_by_punct"] {
        config.switch(key, false)?;
    }
    config.text("tokenizer_class")?;
    if let Some(length) = config.get("model_max_length").filter(|length| !length.is_number()) {
        return Err(config.unexpected("model_max_length", "a number", length));
    }
    match config.text("truncation_side")? {
        None | Some("left" | "right") => Ok(()),
        Some(side) => Err(config.unexpected("truncation_side", "left or right", side)),
    }
}

/// Checks the special tokens, which both files may name.
fn check_special_tokens(fields: &Fields) -> Result<()> {
    let keys = SPECIAL_TOKENS.map(|(key, _)| key).into_iter().chain(["bos_token", "eos_token"]);
    for key in keys {
        if let Some(token) = fields.get(key).filter(|token| content(token).is_none()) {
            return Err(fields.unexpected(key, "a token, or an object with its content", token));
        }
    }
    Ok(())
}

/// The text of a token, which is stored as itself or as an object with its properties.
fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}

pub(crate) fn pretty(map: impl Into<Value>) -> String {
    format!("{:#}\n", map.into())
}

fn read_object(path: &Path) -> Result<Map<String, Value>> {
    let Some(text) = read_text(path)? else { return Ok(Map::new()) };
    serde_json::from_str(&text)
        .map_err(|e| Error::tokenizer(path, format!("not a JSON object: {e}")))
}
