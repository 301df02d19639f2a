//! The rules by which SentencePiece rewrites a text before it is split: `precompiled_charsmap`.
//!
//! ```text
//! 4 bytes     n, the length of the trie
//! n bytes     the trie, a double array of units of 4 bytes: from the bytes of a sequence to an offset
//! the rest    texts, each ended by a zero byte; a sequence is replaced by the one at its offset
//!
//! unit        offset << 10 | wide << 9 | leaf << 8 | label      wide: 8 more bits of offset
//! step        from place p with unit u by byte c to q = p ^ offset(u) ^ c; it is there if label(q) = c
//! leaf        the unit at p ^ offset(u) is the offset of the text, with bit 31 set
//! ```
//!
//! The `tokenizers` library walks the trie, without a look at where it ends. So every step of a file from elsewhere is
//! checked here first.
//!
//! Sources: <https://github.com/google/sentencepiece/blob/master/src/normalizer.cc>; Aoe, 1989, *An Efficient Digital
//! Search Algorithm by Using a Double-Array Structure*; <https://github.com/s-yata/darts-clone>.

use tokenizers::normalizers::Precompiled;

/// Set in units that hold a value.
const VALUE: u32 = 1 << 31;

/// Bytes that a sequence may be replaced by: NFKC makes 33 of one letter, and a file must not make a book of each.
const LONGEST_TEXT: usize = 256;

/// The normalizer of a charsmap; none of an empty one.
pub fn parse(charsmap: &[u8]) -> Result<Option<Precompiled>, String> {
    if charsmap.is_empty() {
        return Ok(None);
    }
    check(charsmap).ok_or("precompiled_charsmap is damaged")?;
    let parsed = Precompiled::from(charsmap);
    parsed.map(Some).map_err(|e| format!("precompiled_charsmap is damaged: {e}"))
}

/// The bytes of the longest text that a sequence is replaced by; `None` where a walk can leave the trie or its texts.
pub fn check(charsmap: &[u8]) -> Option<usize> {
    let (length, rest) = charsmap.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (trie, texts) = rest.split_at_checked(length)?;
    let texts = std::str::from_utf8(texts).ok()?;
    let unit = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let trie: Vec<u32> = trie.chunks_exact(4).map(unit).collect();
    if !length.is_multiple_of(4) || trie.is_empty() {
        return None;
    }
    let mut lengths =
        trie.iter().enumerate().map(|(place, unit)| text_at(&trie, texts, place, *unit));
    lengths.try_fold(0, |longest, length| Some(longest.max(length?)))
}

/// The length of the text at the leaf of this unit, 0 where it has none; `None` unless every byte leads from the unit
/// to another, and the leaf to a text.
fn text_at(trie: &[u32], texts: &str, place: usize, unit: u32) -> Option<usize> {
    if unit & VALUE != 0 && place != 0 {
        return Some(0); // No step arrives here, for the label of such a unit is no byte; but every walk starts at the first.
    }
    let offset = ((unit >> 10) as usize) << if unit & 1 << 9 != 0 { 8 } else { 0 };
    let base = place ^ offset;
    if base | 0xff >= trie.len() {
        return None;
    }
    match unit & 1 << 8 != 0 {
        true => text_length(texts, (trie[base] & !VALUE) as usize),
        false => Some(0),
    }
}

fn text_length(texts: &str, start: usize) -> Option<usize> {
    let text = texts.get(start..)?;
    let length = text.find('\0').unwrap_or(text.len());
    (length <= LONGEST_TEXT).then_some(length)
}
