//! Running text as words, for a model that labels words.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Where each word of a text stands, in bytes. Words are those of Unicode (UAX #29,
/// <https://unicode.org/reports/tr29/#Word_Boundaries>), and each mark between them is a word, too; blanks are none:
/// `They're in St. Ives.` has the words `They're`, `in`, `St`, `.`, `Ives` and `.`.
pub fn spans(text: &str) -> Vec<Range<usize>> {
    let parts = text.split_word_bound_indices();
    let words =
        parts.filter(|(_, part)| !part.chars().all(|c| c.is_whitespace() || c.is_control()));
    words.map(|(start, word)| start..start + word.len()).collect()
}
