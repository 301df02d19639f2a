//! Running text as words, for a model that labels words.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Where each word of a text stands, in bytes. Words are those of Unicode (UAX #29,
/// <https://unicode.org/reports/tr29/#Word_Boundaries>), and each mark between them is a word, too; blanks and what
/// can't be seen are none: `They're in St. Ives.` has the words `They're`, `in`, `St`, `.`, `Ives` and `.`. Scripts
/// that put no blanks between words, such as Thai, fall into characters.
pub fn spans(text: &str) -> Vec<Range<usize>> {
    let parts = text.split_word_bound_indices();
    let words = parts.filter(|(_, part)| !part.chars().all(is_invisible));
    words.map(|(start, word)| start..start + word.len()).collect()
}

/// Blanks, control characters, and those of no width: joiners, marks of direction and of byte order.
fn is_invisible(c: char) -> bool {
    let of_no_width = matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}');
    of_no_width || c.is_whitespace() || c.is_control()
}
