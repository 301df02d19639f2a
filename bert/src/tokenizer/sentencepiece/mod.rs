//! `spm.model`: the vocabulary of a DeBERTa of version 2 or 3, as SentencePiece trained it.
//!
//! ```text
//! text      "Two  films…"                 lower case, if do_lower_case
//! rewritten "Two films..."                charsmap; blanks at the ends go, of several one stays
//! split     "▁Two" "▁films..."            at blanks, and around punctuation with split_by_punct
//! pieces    "▁Two" "▁film" "s" "..."      those whose product of probabilities is greatest
//! ```
//!
//! A unigram model has a probability for each piece; the best split is found by dynamic programming, which the
//! `tokenizers` library does. This builds for it what `DebertaV2Converter` of transformers builds. The class
//! `DebertaV2Tokenizer` of transformers 5 leaves the charsmap of the file out and puts NFC in its place, so that "…"
//! or "½" is no token that the model has seen; here the file's own rules hold, as in its training and in transformers
//! 4. Like both, this has unknown tokens where SentencePiece itself would spell bytes (`byte_fallback`).
//!
//! Sources: Kudo, 2018, *Subword Regularization*, <https://arxiv.org/abs/1804.10959>; `DebertaV2Converter` of
//! <https://github.com/huggingface/transformers/blob/main/src/transformers/convert_slow_tokenizer.py>.

pub(super) mod charsmap;
mod proto;

use std::collections::HashSet;
use std::path::Path;

use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Replace, Sequence, Strip};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence as Splitters;
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::settings::Settings;
use crate::{Error, Result, files};
use proto::{Kind, Model};

/// The name of the file.
pub(super) const FILE: &str = "spm.model";

/// Letters of a piece; SentencePiece trains no longer ones. The library has a level of a tree for each byte, and walks
/// down it by recursion.
pub(super) const LONGEST_PIECE: usize = 512;

/// Stands for a blank.
const BLANK: char = '▁';

/// The special tokens in the order in which transformers adds those that the vocabulary lacks, and their usual texts.
const SPECIAL_TOKENS: [(&str, &str); 7] = [
    ("bos_token", "[CLS]"),
    ("eos_token", "[SEP]"),
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];

/// The tokenizer of a `spm.model`, with the special tokens of DeBERTa.
pub(super) fn build(path: &Path, settings: &Settings) -> Result<tokenizers::Tokenizer> {
    let invalid = |e: String| Error::tokenizer(path, e);
    let bytes = files::read(path)?;
    let model = Model::parse(&bytes)
        .map_err(|e| invalid(format!("not a model of SentencePiece: {e}; fetch it again")))?;
    check(&model).map_err(invalid)?;
    let pieces = model.pieces.iter().map(|p| (p.text.clone(), f64::from(p.score))).collect();
    let unigram = Unigram::from(pieces, Some(model.unk_id as usize), false);
    let mut inner = tokenizers::Tokenizer::new(unigram.map_err(|e| invalid(e.to_string()))?);
    inner.with_normalizer(Some(normalizer(&model, settings).map_err(invalid)?));
    inner.with_pre_tokenizer(Some(splitter(settings)));
    inner.with_decoder(Some(metaspace()));
    add_tokens(&model, &mut inner);
    settings.add_tokens(&mut inner).map_err(invalid)?;
    let token = |(key, usual)| AddedToken::from(settings.named(key).unwrap_or(usual), true);
    for special in SPECIAL_TOKENS.map(token) {
        inner.add_special_tokens(&[special]);
    }
    Ok(inner)
}

/// Refuses what SentencePiece would refuse, and what would be split in another way than is done here.
fn check(model: &Model) -> std::result::Result<(), String> {
    if model.model_type != 1 {
        return Err(format!("model_type: expected 1, unigram, found {}", model.model_type));
    }
    let usual = [
        ("treat_whitespace_as_suffix", !model.suffix_whitespace),
        ("add_dummy_prefix", model.dummy_prefix),
        ("remove_extra_whitespaces", model.remove_extra_whitespace),
        ("escape_whitespaces", model.escape_whitespace),
    ];
    if let Some((name, _)) = usual.iter().find(|(_, is_usual)| !is_usual) {
        return Err(format!("{name} is not as in a DeBERTa; such a model is not read"));
    }
    let unknown = usize::try_from(model.unk_id).ok().and_then(|id| model.pieces.get(id));
    if unknown.is_none_or(|piece| piece.kind != Kind::Unknown) {
        return Err(format!("unk_id {} is not the id of an unknown token", model.unk_id));
    }
    let lengths = model.pieces.iter().map(|piece| piece.text.chars().count());
    if let Some(length) = lengths.max().filter(|length| *length > LONGEST_PIECE) {
        return Err(format!("a piece has {length} letters, expected at most {LONGEST_PIECE}"));
    }
    let mut seen = HashSet::new();
    match model.pieces.iter().find(|piece| {
        piece.text.is_empty() || !piece.score.is_finite() || !seen.insert(&piece.text)
    }) {
        Some(piece) => {
            let text = &piece.text;
            Err(format!("the piece {text:?} is empty, there twice, or has no finite score"))
        }
        None => Ok(()),
    }
}

fn normalizer(model: &Model, settings: &Settings) -> std::result::Result<Sequence, String> {
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if settings.is_on("do_lower_case") {
        steps.push(Lowercase.into());
    }
    steps.push(Strip::new(true, true).into());
    steps.extend(charsmap::parse(&model.charsmap)?.map(NormalizerWrapper::from));
    let blanks = Replace::new(ReplacePattern::Regex(" {2,}".into()), " ");
    steps.push(blanks.map_err(|e| e.to_string())?.into());
    Ok(Sequence::new(steps))
}

fn splitter(settings: &Settings) -> Splitters {
    let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
    if settings.is_on("split_by_punct") {
        steps.push(Punctuation::new(SplitDelimiterBehavior::Isolated).into());
    }
    steps.push(metaspace().into());
    Splitters::new(steps)
}

/// Splits at blanks, each kept as the [`BLANK`] of the piece after it, and puts one before the text.
fn metaspace() -> Metaspace {
    Metaspace::new(BLANK, PrependScheme::Always, true)
}

/// Makes units of the pieces that are found in the text as it was written.
fn add_tokens(model: &Model, inner: &mut tokenizers::Tokenizer) {
    for piece in &model.pieces {
        let is_special = piece.kind == Kind::Control;
        let token = AddedToken::from(piece.text.as_str(), is_special).normalized(false);
        match piece.kind {
            Kind::Control => inner.add_special_tokens(&[token]),
            Kind::UserDefined => inner.add_tokens(&[token]),
            _ => 0,
        };
    }
}

#[cfg(test)]
mod tests;
