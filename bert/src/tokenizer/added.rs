//! Tokens that were added to a vocabulary, with their ids.
//!
//! ```text
//! tokenizer_config.json   "added_tokens_decoder": {"128000": {"content": "[MASK]", "special": true, ...}}
//! added_tokens.json       {"[MASK]": 128000}          of older models
//! ```

use serde_json::Value;
use tokenizers::AddedToken;

use crate::Result;
use crate::fields::Fields;

/// Tokens by their ids.
pub(super) type Added = Vec<(u32, AddedToken)>;

/// Those of a `tokenizer_config.json`, if it lists any.
pub(super) fn described(config: &Fields) -> Result<Option<Added>> {
    let key = "added_tokens_decoder";
    let Some(decoder) = config.object(key)? else { return Ok(None) };
    let token = |(id, token): (&String, &Value)| {
        let number = id.parse().map_err(|_| config.unexpected(key, "ids as keys", id));
        let map = token.as_object().ok_or_else(|| config.unexpected(key, "objects", token))?;
        let fields = Fields { path: config.path, map };
        let Some(text) = fields.text("content")? else {
            return Err(config.unexpected(key, "tokens with their content", token));
        };
        let special = fields.switch("special", false)?;
        let token = AddedToken::from(text, special)
            .normalized(fields.switch("normalized", !special)?)
            .single_word(fields.switch("single_word", false)?)
            .lstrip(fields.switch("lstrip", false)?)
            .rstrip(fields.switch("rstrip", false)?);
        Ok((number?, token))
    };
    decoder.iter().map(token).collect::<Result<Added>>().map(Some)
}

/// Those of an `added_tokens.json`, which has ids alone.
pub(super) fn bare(ids: &Fields, is_special: impl Fn(&str) -> bool) -> Result<Added> {
    let token = |(text, id): (&String, &Value)| {
        let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
        let number = number.ok_or_else(|| ids.unexpected(text, "an id", id))?;
        Ok((number, AddedToken::from(text.as_str(), is_special(text))))
    };
    ids.map.iter().map(token).collect()
}
