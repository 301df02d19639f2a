//! How the text of a task meets the tokenizer of a candidate: no weights are needed.

use std::collections::HashMap;

use anyhow::Result;
use bert::{Encoding, Tokenizer};

use crate::data::Example;
use crate::select::summary::Fit;

/// Above this share of unknown tokens the vocabulary is one for another language or script, and the candidate is
/// not run: a text of which a third is missing teaches little.
pub const TOO_MANY_UNKNOWN: f64 = 1.0 / 3.0;

/// Text with fewer words of upper case than this has none to speak of.
const FEW_UPPERCASE: f64 = 0.01;
// From here on a figure is worth a remark, and a mark in the report.

/// Tokens a word: twice what a fitting vocabulary needs.
pub const MANY_TOKENS: f64 = 2.0;
/// The share of sequences that are cut.
pub const MANY_CUT: f64 = 0.05;
/// The share of tokens that are unknown.
pub const SOME_UNKNOWN: f64 = 0.01;

/// Measures texts and their encodings. Words are what stands between white space, as the tokenizer has them alone.
///
/// # Errors
/// When the tokenizer fails.
pub fn measure(tokenizer: &Tokenizer, examples: &[Example], encodings: &[Encoding]) -> Result<Fit> {
    let words = Words::count(examples);
    let pieces = pieces(tokenizer, &words)?;
    let unknown = tokenizer.unknown_id();
    let [mut tokens, mut whole, mut unknown_tokens] = [0u64; 3];
    for (ids, count) in pieces.iter().zip(words.counts()) {
        tokens += ids.len() as u64 * count;
        unknown_tokens += ids.iter().filter(|&&id| Some(id) == unknown).count() as u64 * count;
        whole += if ids.len() == 1 && ids.first().copied() != unknown { count } else { 0 };
    }
    let share = |part: u64, all: u64| part as f64 / all.max(1) as f64;
    let (rows, cut) = (encodings.len() as u64, encodings.iter().filter(|e| e.truncated).count());
    let length: usize = encodings.iter().map(|e| e.ids.len()).sum();
    Ok(Fit {
        tokens_per_word: share(tokens, words.total),
        whole_words: share(whole, words.total),
        unknown_rate: share(unknown_tokens, tokens),
        truncation_rate: share(cut as u64, rows),
        mean_tokens: share(length as u64, rows),
        lowercases: tokenizer.lowercases()?,
        uppercase_words: share(words.uppercase, words.total),
        pseudo_perplexity: None,
    })
}

/// What is worth saying of a fit.
pub fn remarks(fit: &Fit) -> Vec<String> {
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let mut remarks = Vec::new();
    if fit.unknown_rate >= SOME_UNKNOWN {
        remarks.push(format!("{} of the tokens are unknown to it", percent(fit.unknown_rate)));
    }
    if fit.tokens_per_word >= MANY_TOKENS {
        let pieces = fit.tokens_per_word;
        remarks.push(format!("{pieces:.1} tokens a word: its vocabulary is for other text"));
    }
    if fit.truncation_rate >= MANY_CUT {
        remarks.push(format!("{} of the texts are cut", percent(fit.truncation_rate)));
    }
    if !fit.lowercases && fit.uppercase_words < FEW_UPPERCASE {
        remarks.push("it knows upper case, of which the text has next to none".to_owned());
    }
    remarks
}

/// The distinct words of a text.
struct Words<'a> {
    counts: HashMap<&'a str, u64>,
    /// In the order of their first use, so that results do not depend on hashing.
    order: Vec<&'a str>,
    total: u64,
    uppercase: u64,
}

impl<'a> Words<'a> {
    fn count(examples: &'a [Example]) -> Self {
        let mut words = Self { counts: HashMap::new(), order: Vec::new(), total: 0, uppercase: 0 };
        let parts = examples.iter().flat_map(Example::parts);
        for word in parts.flat_map(|part| part.split_whitespace()) {
            let count = words.counts.entry(word).or_default();
            *count += 1;
            if *count == 1 {
                words.order.push(word);
            }
            words.total += 1;
            words.uppercase += u64::from(word.chars().any(char::is_uppercase));
        }
        words
    }

    fn counts(&self) -> impl Iterator<Item = u64> {
        self.order.iter().map(|word| self.counts[word])
    }
}

/// The ids of each distinct word, special ones apart.
fn pieces(tokenizer: &Tokenizer, words: &Words) -> Result<Vec<Vec<u32>>> {
    /// No word is so long.
    const UNCUT: usize = 1 << 20;
    let texts: Vec<_> = words.order.iter().map(|&word| (word, None)).collect();
    let special = tokenizer.special_ids();
    let unknown = tokenizer.unknown_id();
    let is_text = |id: &u32| !special.contains(id) || Some(*id) == unknown;
    let encodings = tokenizer.encode_batch(&texts, UNCUT)?;
    Ok(encodings.into_iter().map(|e| e.ids.into_iter().filter(is_text).collect()).collect())
}
