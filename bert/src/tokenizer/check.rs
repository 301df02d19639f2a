//! What a `tokenizer.json` has to be before the `tokenizers` library makes a tokenizer of it.
//!
//! The library takes the file at its word: on one that is damaged it panics, on one that is made to do harm it fills
//! the memory or does not come to an end. Each function here is a rule that keeps it from that.
//!
//! ```text
//! text -> normalizer -> pre_tokenizer -> model -> post_processor -> ids
//!         rewrites it   splits it        splits    puts special tokens around
//! ```
//!
//! Each of the first two and the last is a step or a sequence of steps. A step without `type` is known by its keys, as
//! in the library.

use serde_json::{Map, Value};

use super::sentencepiece::{LONGEST_PIECE, charsmap};
use crate::pickle::quoted;

/// Nothing, or which field was what.
pub(super) type Checked<T = ()> = Result<T, String>;

/// How many bytes a text may become for each of its own: SentencePiece's NFKC, the largest known, makes 33 of one, and
/// the steps beside it some dozens more.
const MOST_GROWTH: usize = 1 << 16;

/// What NFKC and NFKD make of one byte at most: of ﷺ, of 3 bytes, they make 33.
const GROWTH_OF_NFKC: usize = 11;

/// What other rewriting steps make of a byte at most: a letter apart from its accents, or ▁ in place of a blank.
const GROWTH_OF_OTHERS: usize = 3;

/// Letters of a word, 100 in BERT, up to which it is split: each part of it may be looked up in the vocabulary.
const LONGEST_WORD: u64 = 1000;

/// Bytes of what marks a piece as the beginning or the end of no word, such as `##`: it is put to each piece looked up.
const LONGEST_MARK: usize = 100;

/// Ids, as many as rows of the largest embedding table that is read: the library counts on from the largest.
const MOST_TOKENS: u64 = 1 << 24;

/// Checks a whole file.
pub(super) fn check(json: &Value) -> Checked {
    let rewriting = steps(json, "normalizer", "normalizers")?;
    let splitting = steps(json, "pre_tokenizer", "pretokenizers")?;
    growth(rewriting.iter().chain(&splitting))?;
    lengths(&splitting)?;
    templates(&steps(json, "post_processor", "processors")?)?;
    let Some(model) = json["model"].as_object() else {
        return Err(format!("model: expected an object, found {}", kind(&json["model"])));
    };
    vocabulary(model)?;
    words(model)?;
    merges(model)
}

/// The steps of a part, those within sequences too. One that is a list of the values of its keys, as the library takes
/// it but nobody writes it, would pass by the rules unseen.
fn steps<'a>(json: &'a Value, part: &str, list: &str) -> Checked<Vec<&'a Map<String, Value>>> {
    let mut steps = Vec::new();
    let mut open: Vec<&Value> =
        json.get(part).filter(|value| !value.is_null()).into_iter().collect();
    while let Some(value) = open.pop() {
        let Some(step) = value.as_object() else {
            return Err(format!("{part}: expected objects, found {}", kind(value)));
        };
        steps.push(step);
        open.extend(step.get(list).and_then(Value::as_array).into_iter().flatten());
    }
    Ok(steps)
}

/// Steps that each make a few letters of one make a book of it together.
fn growth<'a>(mut steps: impl Iterator<Item = &'a &'a Map<String, Value>>) -> Checked {
    let growth = steps.try_fold(1_usize, |growth, step| {
        Ok::<_, String>(growth.saturating_mul(growth_of(step)?))
    })?;
    match growth <= MOST_GROWTH {
        true => Ok(()),
        false => Err(format!(
            "normalizer, pre_tokenizer: expected steps that make at most {MOST_GROWTH} bytes of one, found more"
        )),
    }
}

/// How many bytes a step makes of one at most: by each of its keys, for the library looks at those of its type alone.
fn growth_of(step: &Map<String, Value>) -> Checked<usize> {
    let text = |key: &str| step.get(key).and_then(Value::as_str).unwrap_or_default();
    let is_precompiled = text("type") == "Precompiled" || step.contains_key("precompiled_charsmap");
    let rules = match is_precompiled {
        true => precompiled(text("precompiled_charsmap"))?,
        false => 1,
    };
    let pattern = step.get("pattern").and_then(|pattern| pattern.get("String")?.as_str());
    let replaced = match (text("content").len(), pattern.unwrap_or_default().len()) {
        // An expression may match nothing, between any two letters.
        (content, 0) => 1 + content,
        (content, pattern) => content.div_ceil(pattern),
    };
    let by_type = match text("type") {
        "NFKC" | "NFKD" => GROWTH_OF_NFKC,
        "NFC" | "NFD" | "Lowercase" | "Bert" | "BertNormalizer" | "ByteLevel" | "Metaspace" => {
            GROWTH_OF_OTHERS
        }
        _ => 1,
    };
    let factors = [rules, 1 + text("prepend").len(), replaced, by_type];
    Ok(factors.into_iter().map(|factor| factor.max(1)).fold(1, usize::saturating_mul))
}

/// The rules of SentencePiece are walked without a look at where they end.
fn precompiled(base64: &str) -> Checked<usize> {
    let longest = decode_base64(base64).and_then(|charsmap| charsmap::check(&charsmap));
    longest.ok_or("normalizer.precompiled_charsmap: it is damaged".into())
}

/// Pieces of no letters have no end.
fn lengths(steps: &[&Map<String, Value>]) -> Checked {
    match steps.iter().any(|step| step.get("length").is_some_and(|length| *length == 0)) {
        true => Err("pre_tokenizer.length: expected at least 1, found 0".into()),
        false => Ok(()),
    }
}

/// A template takes one text, or two, as they are; a second one would get the pieces of the first.
fn templates(steps: &[&Map<String, Value>]) -> Checked {
    let is_template = |step: &&&Map<String, Value>| step.contains_key("single");
    match steps.iter().filter(is_template).collect::<Vec<_>>()[..] {
        [] => Ok(()),
        [template] => ["single", "pair"].into_iter().try_for_each(|key| pieces(template, key)),
        _ => Err("post_processor: expected one template, found more".into()),
    }
}

/// The pieces of a template are looked up without a look whether they are there.
fn pieces(template: &Map<String, Value>, key: &str) -> Checked {
    let invalid = |what: String| Err(format!("post_processor.{key}: {what}"));
    let mut texts = Vec::new();
    for piece in template.get(key).and_then(Value::as_array).into_iter().flatten() {
        if let Some(text) = piece.get("Sequence") {
            texts.push(&text["id"]);
            continue;
        }
        let token = piece["SpecialToken"]["id"].as_str().unwrap_or_default();
        let Some(special) = template.get("special_tokens").and_then(|all| all.get(token)) else {
            return invalid(format!("`{}` is not in special_tokens", quoted(token)));
        };
        let count = |key: &str| special[key].as_array().map(Vec::len);
        if count("ids") != count("tokens") {
            return invalid(format!("`{}` has not as many ids as tokens", quoted(token)));
        }
    }
    let is_whole = match key {
        "single" => texts == ["A"],
        _ => texts == ["A", "B"] || texts == ["B", "A"],
    };
    match is_whole {
        true => Ok(()),
        false if key == "single" => invalid("expected the sequence A once, and no B".into()),
        false => invalid("expected the sequences A and B once each".into()),
    }
}

/// A unigram model keeps its pieces in a tree, a level for each byte, and walks down it by recursion.
fn vocabulary(model: &Map<String, Value>) -> Checked {
    if let Some(Value::Object(ids)) = model.get("vocab") {
        let largest = ids.iter().find(|(_, id)| id.as_u64().is_some_and(|id| id >= MOST_TOKENS));
        return largest.map_or(Ok(()), |(token, id)| {
            let token = quoted(token);
            Err(format!("model.vocab: `{token}` is {id}, expected ids below {MOST_TOKENS}"))
        });
    }
    let pieces = model.get("vocab").and_then(Value::as_array).into_iter().flatten();
    let lengths = pieces.filter_map(|piece| Some(piece[0].as_str()?.chars().count()));
    match lengths.max() {
        Some(length) if length > LONGEST_PIECE => Err(format!(
            "model.vocab: a piece has {length} letters, expected at most {LONGEST_PIECE}"
        )),
        _ => Ok(()),
    }
}

/// The parts of a word that are looked up grow with the square of its length, and the work with the cube.
fn words(model: &Map<String, Value>) -> Checked {
    let most = model.get("max_input_chars_per_word").and_then(Value::as_u64);
    if let Some(most) = most.filter(|most| *most > LONGEST_WORD) {
        return Err(format!(
            "model.max_input_chars_per_word: expected at most {LONGEST_WORD}, found {most}"
        ));
    }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
        let length = model.get(key).and_then(Value::as_str).map_or(0, str::len);
        if length > LONGEST_MARK {
            return Err(format!(
                "model.{key}: expected at most {LONGEST_MARK} bytes, found {length}"
            ));
        }
    }
    Ok(())
}

/// Of the second part of a merge as many bytes are cut off as the prefix has, whatever they are.
fn merges(model: &Map<String, Value>) -> Checked {
    let prefix = model.get("continuing_subword_prefix").and_then(Value::as_str).unwrap_or_default();
    let merges = model.get("merges").and_then(Value::as_array).into_iter().flatten();
    for merge in merges {
        // As `["a", "##b"]`, or in older files as `"a ##b"`.
        let second = merge[1].as_str().or_else(|| Some(merge.as_str()?.split_once(' ')?.1));
        if let Some(second) = second.filter(|second| !second.is_char_boundary(prefix.len())) {
            let (second, prefix) = (quoted(second), quoted(prefix));
            return Err(format!(
                "model.merges: the second part `{second}` has no `{prefix}` before it"
            ));
        }
    }
    Ok(())
}

/// The bytes that stand as letters, 6 bits each; `None` of what the library would not read either.
///
/// Source: RFC 4648, section 4, <https://www.rfc-editor.org/rfc/rfc4648>.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let (mut bytes, mut bits, mut count) = (Vec::with_capacity(text.len() / 4 * 3), 0_u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

/// What a value is, for a message: it may be long.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
