//! Models that are damaged, or made to do harm. Ids are held against transformers in `tests/sentencepiece.rs`.

use std::fs;

use proptest::prelude::*;

use super::*;

/// The model that `make_sentencepiece.py` trained.
fn golden() -> Vec<u8> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/sentencepiece");
    fs::read(golden.join("spm.model")).unwrap()
}

fn build(bytes: &[u8]) -> Result<tokenizers::Tokenizer> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    fs::write(&path, bytes).unwrap();
    super::build(&path, &Settings::load(dir.path())?)
}

fn refused(bytes: &[u8], part: &str) {
    let message = build(bytes).map(|_| ()).expect_err(part).to_string();
    assert!(message.contains(FILE) && message.contains(part), "{message}: {part}");
}

/// A field of a message: a number, or bytes.
fn number(field: u8, value: u8) -> Vec<u8> {
    match field {
        0..16 => vec![field << 3, value],
        _ => vec![field << 3 | 0x80, field >> 4, value],
    }
}

fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    [&[field << 3 | 2, value.len() as u8 | 0x80, (value.len() >> 7) as u8], value].concat()
}

fn piece(text: &str, score: f32, kind: u8) -> Vec<u8> {
    let score = [&[2 << 3 | 5][..], &score.to_le_bytes()].concat();
    bytes(1, &[bytes(1, text.as_bytes()), score, number(3, kind)].concat())
}

/// A model of an unknown token, of "▁a", and of what else is given.
fn model(more: &[u8]) -> Vec<u8> {
    [piece("[UNK]", 0.0, 2), piece("▁a", -1.0, 1), more.to_vec()].concat()
}

fn with_charsmap(units: &[u32], length: u32, texts: &[u8]) -> Vec<u8> {
    let units: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let map = [&length.to_le_bytes()[..], &units, texts].concat();
    model(&bytes(3, &bytes(2, &map)))
}

/// A double array in which "a" becomes the text at `value`: from the root, at 0, to base 256; from there to 256 ^ 97,
/// and from that to its leaf at base 512.
fn rule(value: u32) -> Vec<u32> {
    let mut units = vec![0; 768];
    units[0] = 256 << 10;
    let place = 256 ^ u32::from(b'a');
    units[place as usize] = (place ^ 512) << 10 | 1 << 8 | u32::from(b'a');
    units[512] = 1 << 31 | value;
    units
}

#[test]
fn a_model_made_by_hand_splits_texts() {
    let ids = |bytes: &[u8], text: &str| build(bytes).unwrap().encode(text, false).unwrap();
    // Without scores and kinds: those of a piece of text that is certain.
    let bare = model(&bytes(1, &bytes(1, "b".as_bytes())));
    assert_eq!(ids(&bare, " a  ab c").get_ids(), [1, 1, 2, 0]);
    // Unknown fields of every type, and switches that come twice: the last counts.
    let other = [vec![7 << 3 | 1; 9], number(9, 1), vec![9 << 3 | 5; 5], bytes(8, b"x")].concat();
    let twice = bytes(3, &[number(3, 0), number(3, 1)].concat());
    assert_eq!(ids(&model(&[other, twice].concat()), "a").get_ids(), [1]);
    // The special tokens that it lacks come behind.
    let built = build(&model(b"")).unwrap();
    let id = |token| built.token_to_id(token);
    let tokens = ["[UNK]", "▁a", "[CLS]", "[SEP]", "[PAD]", "[MASK]"];
    assert_eq!(tokens.map(id), [0, 1, 2, 3, 4, 5].map(Some));
}

#[test]
fn a_rule_is_followed() {
    let encode = |map: &[u8]| build(map).unwrap().encode("xa", false).unwrap();
    let length = 768 * 4;
    let last = with_charsmap(&rule(2), length, b"b\0cd");
    assert_eq!(encode(&last).get_tokens(), ["▁xcd"]);
    // x becomes a blank, so that a is "▁a".
    let mut units = rule(0);
    let place = 256 ^ usize::from(b'x');
    units[place] = (place as u32 ^ 512) << 10 | 1 << 8 | u32::from(b'x');
    units[256 ^ usize::from(b'a')] = 0;
    assert_eq!(encode(&with_charsmap(&units, length, b" \0")).get_ids(), [1]);
}

#[test]
fn a_charsmap_that_leads_outside_is_refused() {
    let length = 768 * 4;
    let texts = "é\0".as_bytes();
    assert!(build(&with_charsmap(&rule(0), length, texts)).is_ok());
    assert!(build(&with_charsmap(&rule(3), length, texts)).is_ok(), "an empty text at the end");
    for value in [1, 4, 0x7fff_ffff] {
        refused(&with_charsmap(&rule(value), length, texts), "precompiled_charsmap");
    }
    for wrong in [u32::MAX, length + 4, length - 1, 0] {
        refused(&with_charsmap(&rule(0), wrong, texts), "precompiled_charsmap");
    }
    for offset in [768 << 10, u32::MAX >> 1, 3 << 10 | 1 << 9, 1 << 31, u32::MAX] {
        let mut units = rule(0);
        units[0] = offset;
        refused(&with_charsmap(&units, length, texts), "precompiled_charsmap");
    }
    // One letter that becomes a book: the memory of a text would be that of the book, times its letters.
    let long = |n: usize| with_charsmap(&rule(0), length, &[&vec![b'b'; n], &b"\0"[..]].concat());
    assert!(build(&long(256)).is_ok());
    refused(&long(257), "precompiled_charsmap");
    // Without the last unit of a block, a byte can lead beyond.
    refused(&with_charsmap(&rule(0)[..767], 767 * 4, texts), "precompiled_charsmap");
    refused(&with_charsmap(&rule(0), length, b"\xff"), "precompiled_charsmap");
    refused(&model(&bytes(3, &bytes(2, b"abc"))), "precompiled_charsmap");
}

#[test]
fn a_model_that_is_another_or_damaged_is_refused() {
    for (more, part) in [
        (piece("▁a", 0.0, 1), "there twice"),
        (piece("", 0.0, 1), "empty"),
        (piece("b", f32::NAN, 1), "no finite score"),
        (piece("b", 0.0, 7), "of kind 7"),
        (piece("b", 0.0, 0), "of kind 0"),
        (bytes(1, &bytes(1, b"\xff")), "not UTF-8"),
        (bytes(2, &number(3, 2)), "model_type: expected 1, unigram, found 2"),
        (bytes(2, &number(40, 1)), "unk_id 1"),
        (bytes(2, &number(40, 99)), "unk_id 99"),
        (bytes(2, &number(24, 1)), "treat_whitespace_as_suffix"),
        (bytes(3, &number(3, 0)), "add_dummy_prefix"),
        (bytes(3, &number(4, 0)), "remove_extra_whitespaces"),
        (bytes(3, &number(5, 0)), "escape_whitespaces"),
        (vec![1 << 3 | 3], "wire type 3"),
        (vec![0xff; 11], "more than 10 bytes"),
        (vec![1 << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "truncated"),
        (vec![1 << 3 | 5, 0], "truncated"),
    ] {
        refused(&model(&more), part);
    }
    refused(b"", "unk_id 0");
    refused(&model(&piece(&"a".repeat(513), -1.0, 1)), "513 letters, expected at most 512");
    assert!(build(&model(&piece(&"a".repeat(512), -1.0, 1))).is_ok());
}

#[test]
fn a_model_that_is_cut_anywhere_is_refused_or_whole() {
    let bytes = golden();
    assert!(build(&bytes).is_ok());
    // A cut between two fields of the outermost message leaves a valid one, of fewer pieces.
    for length in 0..bytes.len() {
        let _ = Model::parse(&bytes[..length]).map(|model| check(&model));
    }
    let [last, whole] = [bytes.len() - 1, bytes.len()].map(|n| Model::parse(&bytes[..n]));
    assert!(last.is_err() && whole.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Nothing panics, in here or in the library that walks what was read, whatever a few bytes become.
    #[test]
    fn flipped_bytes_do_no_harm(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        text in "\\PC{0,20}",
    ) {
        let mut bytes = golden();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(tokenizer) = build(&bytes) {
            for text in [text.as_str(), "Ｔｈｅ ﬁsh…\t½ e\u{301}", "\u{1}goat\u{200b}㌔"] {
                let _ = tokenizer.encode(text, true);
            }
        }
    }
}
