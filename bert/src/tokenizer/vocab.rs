//! `vocab.txt`: one token a line, its id the number of the line from 0.

use std::collections::HashMap;
use std::path::Path;

use tokenizers::AddedToken;
use tokenizers::decoders::wordpiece::WordPiece as Decoder;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;

use super::settings::Settings;
use crate::{Error, Result, files};

/// The tokenizer that transformers' `BertTokenizer` makes of a `vocab.txt`.
pub(super) fn build(path: &Path, settings: &Settings) -> Result<tokenizers::Tokenizer> {
    let invalid = |e: String| Error::tokenizer(path, e);
    let bytes = files::read(path)?;
    let vocab = WordPiece::read_bytes(&bytes).map_err(|e| invalid(format!("not a list: {e}")))?;
    for key in ["unk_token", "cls_token", "sep_token"] {
        let token = settings.special_token(key, |token| vocab.contains_key(token));
        if !vocab.contains_key(&token) {
            return Err(invalid(format!("the {key} {token} is not in the vocabulary")));
        }
    }
    let unknown = settings.special_token("unk_token", |token| vocab.contains_key(token));
    let model = WordPiece::builder().vocab(vocab).unk_token(unknown);
    let model = model.build().map_err(|e| invalid(e.to_string()))?;
    let mut inner = tokenizers::Tokenizer::new(model);
    inner.with_normalizer(Some(settings.normalizer()));
    inner.with_pre_tokenizer(Some(BertPreTokenizer));
    inner.with_decoder(Some(Decoder::default()));
    add_tokens(path, settings, &mut inner)?;
    Ok(inner)
}

/// Makes the special tokens units that are never split, and adds those beyond the file.
fn add_tokens(path: &Path, settings: &Settings, inner: &mut tokenizers::Tokenizer) -> Result<()> {
    settings.add_tokens(inner).map_err(|e| Error::tokenizer(path, e))?;
    let known = |token: &String| inner.token_to_id(token).is_some();
    let special: Vec<AddedToken> = settings
        .special_tokens(inner)
        .into_iter()
        .filter(known)
        .map(|token| AddedToken::from(token, true))
        .collect();
    inner.add_special_tokens(&special);
    Ok(())
}

/// The text of a `vocab.txt`; none when the ids have gaps, which the format can't say.
pub(super) fn to_text(vocab: HashMap<String, u32>) -> Option<String> {
    let mut tokens: Vec<(u32, String)> = vocab.into_iter().map(|(token, id)| (id, token)).collect();
    tokens.sort_unstable();
    let gapless = tokens.iter().enumerate().all(|(i, (id, _))| *id as usize == i);
    gapless.then(|| tokens.into_iter().map(|(_, token)| token + "\n").collect())
}
