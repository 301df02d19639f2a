//! A WordPiece vocabulary from texts.
//!
//! ```text
//! words     = counts of what normalizer and pre-tokenizer make of the texts
//! pieces    = special tokens, letters, and letters within a word ("##x")
//! until there are V pieces:
//!     (a, b) = the most frequent pair of neighbours over all words
//!     pieces += a b as one, which takes their place everywhere
//! ```
//!
//! The merging is done by the `tokenizers` library, whose trainer for WordPiece this is. Two things are decided here
//! before it starts, because the library takes them in the order of a hash table, different in every run: which letters
//! are kept where there are too many, and the ids of the letters, by which it breaks ties. So the same texts give the
//! same vocabulary, in any order.
//!
//! Source: Schuster and Nakajima, 2012, *Japanese and Korean voice search*; that the most frequent pair is merged and
//! not the most likely one is the library's choice (and that of Sennrich et al., 2016,
//! <https://arxiv.org/abs/1508.07909>).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use rayon::prelude::*;
use tokenizers::decoders::wordpiece::WordPiece as Decoder;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer,
};

use super::Tokenizer;
use super::settings::Settings;
use crate::{Error, Result};

/// Stands before a piece that is not the beginning of a word.
const CONTINUING: &str = "##";

/// `[PAD]` is 0, where configurations expect it.
const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Words longer than this are `[UNK]` to WordPiece, so nothing is to be learned from them.
const LONGEST_WORD: usize = 100;

/// How large a vocabulary becomes.
#[derive(Clone, Copy, Debug)]
pub struct VocabularyLimits {
    /// V: special tokens, letters and pieces together, at most; fewer where the texts have no more pairs.
    pub size: usize,
    /// A pair that occurs less often is not merged.
    pub min_frequency: u64,
    /// The letters that are kept, the most frequent; words with others become `[UNK]`.
    pub alphabet: usize,
}

/// Counts the words of texts, and makes a vocabulary of them.
///
/// It holds each distinct word once, not the texts.
pub struct WordPieceTrainer {
    normalizer: BertNormalizer,
    words: HashMap<String, u64>,
}

impl WordPieceTrainer {
    /// Before the first text. With `lowercase` upper case and accents are taken off, as in an uncased BERT.
    pub fn new(lowercase: bool) -> Self {
        let mut normalizer = BertNormalizer::default();
        normalizer.lowercase = lowercase;
        Self { normalizer, words: HashMap::new() }
    }

    /// Counts the words of these texts, on the current rayon pool.
    ///
    /// # Errors
    /// When a text can't be split.
    pub fn feed(&mut self, texts: &[String]) -> Result<()> {
        let words: Vec<Vec<String>> =
            texts.par_iter().map(|text| self.split(text)).collect::<Result<_>>()?;
        for word in words.into_iter().flatten() {
            *self.words.entry(word).or_default() += 1;
        }
        Ok(())
    }

    fn split(&self, text: &str) -> Result<Vec<String>> {
        let failed = |e: tokenizers::Error| failure(format!("a text can't be split: {e}"));
        let mut normalized = NormalizedString::from(text);
        self.normalizer.normalize(&mut normalized).map_err(failed)?;
        let mut split = PreTokenizedString::from(normalized);
        BertPreTokenizer.pre_tokenize(&mut split).map_err(failed)?;
        let words = split.get_splits(OffsetReferential::Original, OffsetType::None);
        let fits = |word: &&str| word.chars().count() <= LONGEST_WORD;
        Ok(words.into_iter().map(|(word, ..)| word).filter(fits).map(str::to_owned).collect())
    }

    /// The tokenizer with a vocabulary of the words that were counted.
    ///
    /// # Errors
    /// When there were none, or the size has no room for the special tokens and the letters; the message says how
    /// much they take.
    pub fn finish(self, limits: VocabularyLimits) -> Result<Tokenizer> {
        if self.words.is_empty() {
            return Err(failure("the texts have no words"));
        }
        let alphabet = self.alphabet(limits.alphabet);
        let first = self.first_pieces(&alphabet);
        if first.len() > limits.size {
            return Err(failure(format!(
                "vocab_size {} has no room for the {} special tokens and the {} forms of the {} letters of the \
                 texts; use a size of at least {}, or a smaller alphabet",
                limits.size,
                SPECIAL_TOKENS.len(),
                first.len() - SPECIAL_TOKENS.len(),
                alphabet.len(),
                first.len()
            )));
        }
        let trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(limits.size)
            .min_frequency(limits.min_frequency)
            .limit_alphabet(alphabet.len())
            .initial_alphabet(alphabet)
            .special_tokens(first.into_iter().map(|piece| AddedToken::from(piece, true)).collect())
            .continuing_subword_prefix(CONTINUING.to_owned())
            .build();
        let words = self.words.into_iter().map(|(word, count)| (word.into(), count)).collect();
        let mut merges = BPE::default();
        trainer.do_train(&words, &mut merges).map_err(|e| failure(e.to_string()))?;
        assemble(WordPiece::from_bpe(&merges), self.normalizer)
    }

    /// The most frequent letters.
    fn alphabet(&self, limit: usize) -> HashSet<char> {
        let mut counts: HashMap<char, u64> = HashMap::new();
        for (word, count) in &self.words {
            word.chars().for_each(|letter| *counts.entry(letter).or_default() += count);
        }
        let mut letters: Vec<(char, u64)> = counts.into_iter().collect();
        letters.sort_unstable_by_key(|&(letter, count)| (std::cmp::Reverse(count), letter));
        letters.into_iter().take(limit).map(|(letter, _)| letter).collect()
    }

    /// The special tokens, then the letters, then those within a word, in alphabetical order.
    fn first_pieces(&self, alphabet: &HashSet<char>) -> Vec<String> {
        let within: BTreeSet<char> =
            self.words.keys().flat_map(|word| word.chars().skip(1)).collect();
        let letters: BTreeSet<&char> = alphabet.iter().collect();
        let special = SPECIAL_TOKENS.map(str::to_owned).into_iter();
        let within = within.into_iter().filter(|letter| alphabet.contains(letter));
        special
            .chain(letters.into_iter().map(char::to_string))
            .chain(within.map(|letter| format!("{CONTINUING}{letter}")))
            .collect()
    }
}

/// BERT's tokenizer around a vocabulary.
fn assemble(model: WordPiece, normalizer: BertNormalizer) -> Result<Tokenizer> {
    let settings = Settings::default();
    let mut inner = tokenizers::Tokenizer::new(model);
    inner.with_normalizer(Some(normalizer));
    inner.with_pre_tokenizer(Some(BertPreTokenizer));
    inner.with_decoder(Some(Decoder::default()));
    inner.add_special_tokens(&SPECIAL_TOKENS.map(|token| AddedToken::from(token, true)));
    Tokenizer::new(inner, settings, PathBuf::from("vocabulary"))
}

fn failure(message: impl Into<String>) -> Error {
    Error::tokenizer("vocabulary".as_ref(), message)
}
