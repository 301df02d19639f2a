//! Whether a tokenizer and a model belong together: an id or a type beyond the tables of the model has no row there.

use tokenizers::Token;

use super::Tokenizer;
use crate::{Config, Error, Result};

impl Tokenizer {
    /// Checks that a model of this configuration has rows for all tokens, and for the ids and types of those that are
    /// put around texts; these are told by trying, for each kind of post-processor has its own.
    ///
    /// # Errors
    /// When they belong to different models, or the post-processor does other than it says.
    pub fn check_fit(&self, config: &Config) -> Result<()> {
        let (tokens, rows) = (self.vocab_size, config.vocab_size);
        if tokens > rows {
            let message = format!(
                "the tokenizer has {tokens} tokens, the embedding table {rows} rows (vocab_size); they belong to \
                 different models"
            );
            return Err(Error::tokenizer(&self.folder, message));
        }
        [false, true].into_iter().try_for_each(|pair| self.check_post_processor(pair, config))
    }

    /// Tries the post-processor on a token, or a pair of them.
    fn check_post_processor(&self, pair: bool, config: &Config) -> Result<()> {
        let invalid = |what: String| {
            let path = self.folder.join("tokenizer.json");
            Err(Error::tokenizer(&path, format!("post_processor: {what}; fetch it again")))
        };
        let text = || {
            let token = Token::new(0, "a".into(), (0, 1));
            tokenizers::Encoding::from_tokens(vec![token], 0)
        };
        let whole = match self.inner.post_process(text(), pair.then(text), true) {
            Ok(whole) => whole,
            Err(e) => return invalid(e.to_string()),
        };
        let expected = self.special_tokens(pair) + 1 + usize::from(pair);
        if whole.len() != expected {
            return invalid(format!(
                "expected {expected} tokens of {}, found {}",
                what(pair),
                whole.len()
            ));
        }
        if let Some(id) = whole.get_ids().iter().find(|&&id| id as usize >= self.vocab_size) {
            return invalid(format!(
                "id {id} is beyond the vocabulary of {} tokens",
                self.vocab_size
            ));
        }
        // Where there is one type, or none, types are not looked at.
        let rows = config.type_vocab_size;
        match whole.get_type_ids().iter().find(|&&id| rows > 1 && id as usize >= rows) {
            Some(id) => invalid(format!(
                "type {id} in {}, expected less than type_vocab_size {rows} of config.json",
                what(pair)
            )),
            None => Ok(()),
        }
    }
}

fn what(pair: bool) -> &'static str {
    if pair { "a pair of texts" } else { "a text" }
}
