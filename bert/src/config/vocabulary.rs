//! What of a configuration belongs to a vocabulary.

use serde_json::Value;

use super::Config;
use crate::{Family, Tokenizer};

/// Lists of ids that are no key of a special token.
const LISTS: [&str; 3] = ["bad_words_ids", "suppress_tokens", "begin_suppress_tokens"];

impl Config {
    /// Goes with another vocabulary: it has the size of that, and the ids of its special tokens under the keys that the
    /// file has, or transformers gives a value where it has not. Other ids of the file, of the tokens of a decoder say,
    /// and the class of its tokenizer are forgotten.
    pub fn set_vocabulary(&mut self, tokenizer: &Tokenizer) {
        self.vocab_size = tokenizer.vocab_size();
        self.pad_token_id = tokenizer.pad_id().unwrap_or(0);
        self.forget_tokenizer_class();
        let is_id = |key: &str| key.ends_with("_token_id") || LISTS.contains(&key);
        let mut kept = self.file.clone();
        kept.retain(|key, _| !is_id(key) || key == "pad_token_id");
        for (key, id) in [
            ("bos_token_id", tokenizer.cls_id()),
            ("eos_token_id", tokenizer.sep_id()),
            ("cls_token_id", tokenizer.cls_id()),
            ("sep_token_id", tokenizer.sep_id()),
            ("mask_token_id", tokenizer.mask_id()),
            ("unk_token_id", tokenizer.unknown_id()),
        ] {
            let has_key = self.file.get(key).is_some_and(|id| !id.is_null());
            if has_key || self.has_default_of(key) {
                kept.insert(key.into(), id.map_or(Value::Null, Value::from));
            }
        }
        self.file = kept;
    }

    /// Whether the class of transformers has an id of its own vocabulary where the file has none.
    fn has_default_of(&self, key: &str) -> bool {
        let ends = ["bos_token_id", "eos_token_id"].contains(&key);
        match &self.family {
            Family::ModernBert(_) => ends || ["cls_token_id", "sep_token_id"].contains(&key),
            family => ends && family.is_like_roberta(),
        }
    }
}
