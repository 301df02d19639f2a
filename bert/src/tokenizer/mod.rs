//! Text to ids: the tokenizer of a model folder.
//!
//! ```text
//! one text    [CLS] a [SEP]              types 0
//! a pair      [CLS] a [SEP] b [SEP]      types 0 up to the first [SEP], then 1
//! ```
//!
//! This is BERT's; a RoBERTa has `<s> a </s>` and `<s> a </s></s> b </s>`, types 0, as its `tokenizer.json` says.
//!
//! The work is done by the `tokenizers` library, the one under transformers: `tokenizer.json` is read as it
//! is, a `vocab.txt` alone makes the same tokenizer as `BertTokenizer` does, and a `spm.model` alone that of a
//! DeBERTa ([`sentencepiece`]). Texts too long are cut by transformers' `longest_first`: tokens go from the longer text
//! until both fit. Nothing is padded.
//!
//! Texts that are [split into words](Tokenizer::encode_words) are cut into pieces, so that each word keeps its tokens.
//!
//! Texts are encoded in parallel on the current rayon pool; the library starts no threads of its own. It
//! reads `TOKENIZERS_PARALLELISM`: with `false` or `0` it stays on one thread. Ids do not depend on that.

mod added;
mod check;
mod fit;
mod sentencepiece;
mod settings;
mod train;
mod vocab;
mod words;

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::parallelism::MaybeParallelIterator;
use tokenizers::{
    ModelWrapper, PostProcessor, TruncationDirection, TruncationParams, TruncationStrategy,
    truncate_encodings,
};

use crate::files::{self, is_there};
use crate::{Config, Error, Result};
use settings::Settings;
pub(crate) use settings::pretty;
pub use train::{VocabularyLimits, WordPieceTrainer};

/// One word a letter, so that one that a vocabulary lacks hides no other.
const ALPHABET: &str = "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z";

/// A text, or a pair of texts, as the model takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The ids of the tokens, with those that the tokenizer puts around texts.
    pub ids: Vec<u32>,
    /// For each token 0 if it belongs to the first text, 1 if to the second; of a RoBERTa's tokenizer always 0.
    pub type_ids: Vec<u32>,
    /// Whether tokens were cut off to fit the length.
    pub truncated: bool,
    /// The tokens of each word, in their order; none where the text was not split into words.
    pub words: Vec<Range<u32>>,
}

/// What turns texts into the ids of one model.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    settings: Settings,
    folder: PathBuf,
    vocab_size: usize,
}

impl Tokenizer {
    /// The tokenizer of a folder: `tokenizer.json`, or else `vocab.txt`, or else `spm.model`; each with what
    /// `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` say, where they are there.
    ///
    /// As in transformers, `do_lower_case`, `strip_accents` and `tokenize_chinese_chars` of
    /// `tokenizer_config.json` go before the normalizer of `tokenizer.json`; where they are absent, that
    /// normalizer stays. Padding and truncation stored in `tokenizer.json` are switched off.
    ///
    /// # Errors
    /// When none of the three is there, or a file is not valid, larger than 100 MiB, no regular file, or a link to
    /// nothing.
    pub fn load(dir: &Path) -> Result<Self> {
        let settings = Settings::load(dir)?;
        let [json, vocab, pieces] =
            ["tokenizer.json", "vocab.txt", sentencepiece::FILE].map(|name| dir.join(name));
        let mut inner = if is_there(&json)? {
            parse(&json)?
        } else if is_there(&vocab)? {
            vocab::build(&vocab, &settings)?
        } else if is_there(&pieces)? {
            sentencepiece::build(&pieces, &settings)?
        } else {
            return Err(none_found(dir));
        };
        settings.override_normalizer(&mut inner);
        Self::new(inner, settings, dir.to_owned())
    }

    fn new(mut inner: tokenizers::Tokenizer, settings: Settings, folder: PathBuf) -> Result<Self> {
        if inner.get_post_processor().is_none() {
            let template = settings.template(&folder, &inner)?;
            inner.with_post_processor(Some(template));
        }
        let largest = inner.get_vocab(true).into_values().max();
        let Some(largest) = largest else {
            return Err(Error::tokenizer(&folder, "the vocabulary is empty"));
        };
        Ok(Self { inner, settings, folder, vocab_size: largest as usize + 1 })
    }

    /// Encodes texts, or pairs of texts, in at most `max_length` tokens each; the order is kept.
    ///
    /// # Errors
    /// When `max_length` leaves no room for a token between the special ones, or the tokenizer fails.
    pub fn encode_batch(
        &self,
        texts: &[(&str, Option<&str>)],
        max_length: usize,
    ) -> Result<Vec<Encoding>> {
        self.check_length(max_length, texts.iter().any(|(_, second)| second.is_some()))?;
        let encode = |&(first, second): &(&str, Option<&str>)| {
            self.encode(first, second, max_length).map_err(|e| {
                Error::tokenizer(&self.folder, format!("a text can't be encoded: {e}"))
            })
        };
        texts.into_maybe_par_iter().map(encode).collect()
    }

    /// Checks that `max_length` leaves room for a token.
    fn check_length(&self, max_length: usize, pairs: bool) -> Result<()> {
        let least = self.special_tokens(pairs) + 1;
        if max_length >= least {
            return Ok(());
        }
        let what = if pairs { "pairs" } else { "texts" };
        let message = format!("max_length: expected at least {least} for {what}, got {max_length}");
        Err(Error::tokenizer(&self.folder, message))
    }

    /// The ids of each text alone: no special tokens, nothing cut off.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode_plain(&self, texts: &[String]) -> Result<Vec<Vec<u32>>> {
        let encode = |text: &String| {
            let failed =
                |e| Error::tokenizer(&self.folder, format!("a text can't be encoded: {e}"));
            let encoding = self.inner.encode_fast(text.as_str(), false).map_err(failed)?;
            Ok(encoding.get_ids().to_vec())
        };
        texts.into_maybe_par_iter().map(encode).collect()
    }

    /// The largest id + 1: the least number of rows of a word embedding that fits.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The id of `[MASK]`, or what the settings name in its place; `None` if the vocabulary has no such token.
    pub fn mask_id(&self) -> Option<u32> {
        self.settings.special_id(&self.inner, "mask_token")
    }

    /// The id of `[CLS]`, with which every sequence begins; likewise.
    pub fn cls_id(&self) -> Option<u32> {
        self.settings.special_id(&self.inner, "cls_token")
    }

    /// The id of `[SEP]`, with which every text ends; likewise.
    pub fn sep_id(&self) -> Option<u32> {
        self.settings.special_id(&self.inner, "sep_token")
    }

    /// The id of `[PAD]`; likewise.
    pub fn pad_id(&self) -> Option<u32> {
        self.settings.special_id(&self.inner, "pad_token")
    }

    /// The id of `[UNK]`, which stands for what the vocabulary can't spell; likewise.
    pub fn unknown_id(&self) -> Option<u32> {
        self.settings.special_id(&self.inner, "unk_token")
    }

    /// The ids of `[UNK]`, `[SEP]`, `[PAD]`, `[CLS]` and `[MASK]`, as far as the vocabulary has them, ascending:
    /// the tokens that no text is made of.
    pub fn special_ids(&self) -> Vec<u32> {
        let tokens = self.settings.special_tokens(&self.inner);
        let mut ids: Vec<u32> = tokens.iter().filter_map(|t| self.inner.token_to_id(t)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// For each id whether the token continues the word of the token before it (`##ing`), `[V]`; `None` unless the
    /// vocabulary is one of word pieces.
    pub fn continuing(&self) -> Option<Vec<bool>> {
        let ModelWrapper::WordPiece(pieces) = self.inner.get_model() else { return None };
        let continues = |id| {
            let token = self.inner.id_to_token(id);
            token.is_some_and(|token| token.starts_with(&pieces.continuing_subword_prefix))
        };
        Some((0..self.vocab_size as u32).map(continues).collect())
    }

    /// Whether a text and the same text in small letters have the same ids, by trying the Latin alphabet.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn lowercases(&self) -> Result<bool> {
        let ids = |text: &str| self.encode_batch(&[(text, None)], ALPHABET.len() * 2);
        Ok(ids(ALPHABET)? == ids(&ALPHABET.to_lowercase())?)
    }

    /// The longest sequence in tokens that the model was made for, if `tokenizer_config.json` says so.
    pub fn model_max_length(&self) -> Option<usize> {
        self.settings.model_max_length()
    }

    /// The files of the tokenizer, by their names, for a folder that transformers opens.
    pub(crate) fn files(&self, config: &Config) -> Result<Vec<(&'static str, String)>> {
        let json = self.inner.to_string(true).map_err(|e| {
            Error::tokenizer(&self.folder, format!("the tokenizer can't be written: {e}"))
        })?;
        let mut files = vec![
            ("tokenizer.json", json),
            ("tokenizer_config.json", self.settings.config_json(&self.inner, config)),
            ("special_tokens_map.json", self.settings.special_tokens_json(&self.inner)),
        ];
        if let ModelWrapper::WordPiece(_) = self.inner.get_model() {
            files.extend(vocab::to_text(self.inner.get_vocab(false)).map(|t| ("vocab.txt", t)));
        }
        Ok(files)
    }

    fn encode(
        &self,
        first: &str,
        second: Option<&str>,
        max_length: usize,
    ) -> tokenizers::Result<Encoding> {
        let first = self.inner.encode_fast(first, false)?;
        let second = second.map(|text| self.inner.encode_fast(text, false)).transpose()?;
        let room = max_length - self.special_tokens(second.is_some());
        let length = first.len() + second.as_ref().map_or(0, |second| second.len());
        let (mut first, mut second) = truncate_encodings(first, second, &self.truncation(room))?;
        // The library keeps what it cuts off, and would put special tokens around every piece of it.
        first.take_overflowing();
        second.as_mut().map(tokenizers::Encoding::take_overflowing);
        let whole = self.inner.post_process(first, second, true)?;
        let (ids, type_ids) = (whole.get_ids().to_vec(), whole.get_type_ids().to_vec());
        Ok(Encoding { ids, type_ids, truncated: length > room, words: Vec::new() })
    }

    fn truncation(&self, room: usize) -> TruncationParams {
        let direction = match self.settings.cuts_left() {
            true => TruncationDirection::Left,
            false => TruncationDirection::Right,
        };
        let strategy = TruncationStrategy::LongestFirst;
        TruncationParams { direction, max_length: room, strategy, stride: 0 }
    }

    /// How many tokens are put around a text, or a pair.
    fn special_tokens(&self, pair: bool) -> usize {
        self.inner.get_post_processor().map_or(0, |processor| processor.added_tokens(pair))
    }
}

/// Files of older RoBERTa and XLM-R models, which hold the vocabulary alone.
const BARE_VOCABULARIES: [&str; 3] = ["vocab.json", "sentencepiece.bpe.model", "spiece.model"];

fn none_found(dir: &Path) -> Error {
    let Some(bare) = BARE_VOCABULARIES.iter().find(|name| dir.join(name).exists()) else {
        return Error::not_found(dir, "tokenizer", "tokenizer.json, vocab.txt, spm.model");
    };
    let message = format!(
        "{bare} alone is not read; make tokenizer.json of it, in Python: \
         transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
    );
    Error::tokenizer(dir, message)
}

/// Reads a `tokenizer.json`, without the padding and truncation that it may store.
fn parse(path: &Path) -> Result<tokenizers::Tokenizer> {
    let bytes = files::read(path)?;
    let invalid = |e: String| {
        Error::tokenizer(
            path,
            format!("not a tokenizer: {e}; fetch it again, or remove it to use vocab.txt"),
        )
    };
    let json: Value = serde_json::from_slice(&bytes).map_err(|e| invalid(e.to_string()))?;
    check::check(&json).map_err(invalid)?;
    // What was checked and no text, in which a key may stand twice.
    let inner = serde_json::from_value::<tokenizers::Tokenizer>(json);
    let mut inner = inner.map_err(|e| invalid(e.to_string()))?;
    inner.with_padding(None);
    inner.with_truncation(None).map_err(|e| Error::tokenizer(path, e.to_string()))?;
    Ok(inner)
}
