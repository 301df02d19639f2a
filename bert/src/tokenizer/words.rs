//! Texts that are split into words, as data sets of tagged words are.
//!
//! ```text
//! words    Sonmarg        ,    said
//! tokens   son ##mar ##g  ,    said         a piece:  [CLS] son ##mar ##g , said [SEP]
//! places    1..4           4..5 5..6        of the tokens of each word in it
//! ```
//!
//! Each word is encoded by itself, as with `is_split_into_words` of transformers. A text too long becomes several
//! pieces, one behind the other, each with the special tokens around it: no word is left without a place. What goes on
//! with a word that is longer than a piece is left out.

use std::ops::Range;

use tokenizers::parallelism::MaybeParallelIterator;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{InputSequence, TruncationDirection};

use super::{Encoding, Tokenizer};
use crate::{Error, Result};

impl Tokenizer {
    /// The tokenizer for texts that are split into words. A byte-level one, RoBERTa's, puts a blank in front of each
    /// word, as if it stood in a text (`add_prefix_space` of transformers); the others are as they were.
    pub fn of_words(mut self) -> Self {
        let Some(mut splitter) = self.inner.get_pre_tokenizer().cloned() else { return self };
        if add_prefix_space(&mut splitter) {
            self.inner.with_pre_tokenizer(Some(splitter));
            self.settings.set_prefix_space();
        }
        self
    }

    /// Encodes texts that are split into words, each in pieces of at most `max_length` tokens; a text without words has
    /// no piece. A word that the tokenizer makes nothing of, such as an empty one, becomes the unknown token.
    ///
    /// # Errors
    /// When `max_length` leaves no room for a token between the special ones, the vocabulary has no unknown token where
    /// one is needed, or the tokenizer fails.
    pub fn encode_words(
        &self,
        texts: &[&[String]],
        max_length: usize,
    ) -> Result<Vec<Vec<Encoding>>> {
        self.check_length(max_length, false)?;
        let encode = |words: &&[String]| {
            self.pieces(words, max_length).map_err(|e| {
                Error::tokenizer(&self.folder, format!("a text can't be encoded: {e}"))
            })
        };
        texts.into_maybe_par_iter().map(encode).collect()
    }

    fn pieces(&self, words: &[String], max_length: usize) -> tokenizers::Result<Vec<Encoding>> {
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let mut first = self.tokens_of_all(words)?;
        let room = max_length - self.special_tokens(false);
        first.truncate(room, 0, TruncationDirection::Right);
        let rest = first.take_overflowing();
        let mut last_word = None;
        let piece = |tokens| {
            let whole = self.inner.post_process(tokens, None, true)?;
            let (ids, type_ids) = (whole.get_ids().to_vec(), whole.get_type_ids().to_vec());
            let words = places(whole.get_word_ids(), &mut last_word);
            Ok(Encoding { ids, type_ids, truncated: false, words })
        };
        let pieces = std::iter::once(first).chain(rest).map(piece);
        let mut pieces = pieces.collect::<tokenizers::Result<Vec<Encoding>>>()?;
        pieces.retain(|piece| !piece.words.is_empty());
        Ok(pieces)
    }

    /// The tokens of words, at least one of each.
    fn tokens_of_all(&self, words: &[String]) -> tokenizers::Result<tokenizers::Encoding> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let tokens = self.inner.encode(InputSequence::from(&words[..]), false)?;
        let mut found = vec![false; words.len()];
        tokens.get_word_ids().iter().flatten().for_each(|&word| found[word as usize] = true);
        let Some(lost) = found.iter().position(|found| !found) else { return Ok(tokens) };
        let unknown = self.settings.special_tokens(&self.inner)[0].clone();
        if self.unknown_id().is_none() {
            let word = words[lost];
            return Err(
                format!("no token of word `{word}`, and the vocabulary has no {unknown}").into()
            );
        }
        let known = |(word, found)| if found { word } else { unknown.as_str() };
        let words: Vec<&str> = words.into_iter().zip(found).map(known).collect();
        self.inner.encode(InputSequence::from(&words[..]), false)
    }
}

/// The tokens of each word that begins in a piece, by the number of the word of each token. What goes on with the last
/// word of the piece before is no word of this one.
fn places(words: &[Option<u32>], last_word: &mut Option<u32>) -> Vec<Range<u32>> {
    let mut found: Vec<Range<u32>> = Vec::new();
    let begins_here = |word: &Option<u32>, last: &Option<u32>| word.is_some() && word != last;
    for (place, word) in (0..).zip(words) {
        if begins_here(word, last_word) {
            found.push(place..place + 1);
            *last_word = *word;
        } else if let Some(last) = found.last_mut().filter(|_| word.is_some()) {
            last.end = place + 1;
        }
    }
    found
}

/// Sets the blank before each word; says whether there was one to set.
fn add_prefix_space(splitter: &mut PreTokenizerWrapper) -> bool {
    match splitter {
        PreTokenizerWrapper::ByteLevel(bytes) => {
            bytes.add_prefix_space = true;
            true
        }
        PreTokenizerWrapper::Sequence(parts) => {
            let set: Vec<bool> = parts.as_mut().iter_mut().map(add_prefix_space).collect();
            set.contains(&true)
        }
        _ => false,
    }
}
