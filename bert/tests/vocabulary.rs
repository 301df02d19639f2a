//! A vocabulary is what the plain definition makes of the words, whatever their order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bert::{Config, SavedDType, Tokenizer, VocabularyLimits, WordPieceTrainer, save_pretrained};

const TEXTS: [&str; 6] = [
    "The actors were acting; the acted play was a playful act.",
    "Playing, played, plays: he who plays well is a player.",
    "the cinema, the cinemas, the film, the films, the filmed film",
    "boring boring bored bore, a boring film and a boring act",
    "What a film! What a play! What a boring play!",
    "She was bored. He was not bored; he was filming.",
];

/// V, least frequency, letters.
const LIMITS: VocabularyLimits = VocabularyLimits { size: 70, min_frequency: 2, alphabet: 1000 };

fn trained(texts: &[&str], limits: VocabularyLimits) -> bert::Result<Tokenizer> {
    let mut trainer = WordPieceTrainer::new(true);
    for text in texts {
        trainer.feed(&[(*text).to_owned()])?;
    }
    trainer.finish(limits)
}

/// The pieces in the order of their ids, by way of `vocab.txt`.
fn pieces(tokenizer: &Tokenizer) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::parse(r#"{"model_type": "bert"}"#, "config.json".as_ref()).unwrap();
    save_pretrained(dir.path(), &config, &[], tokenizer, SavedDType::F32).unwrap();
    let vocabulary = std::fs::read_to_string(dir.path().join("vocab.txt")).unwrap();
    vocabulary.lines().map(str::to_owned).collect()
}

/// The words of ASCII texts, by BERT's rules: small letters, each punctuation mark a word.
fn words(texts: &[&str]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        let spaced: String = text
            .to_lowercase()
            .chars()
            .flat_map(|c| if c.is_ascii_punctuation() { vec![' ', c, ' '] } else { vec![c] })
            .collect();
        for word in spaced.split_whitespace() {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Each word as `[f, ##i, ##l, ##m]`.
fn letters(word: &str) -> Vec<String> {
    let mut chars = word.chars();
    let first = chars.next().map(String::from);
    first.into_iter().chain(chars.map(|c| format!("##{c}"))).collect()
}

fn joined(a: &str, b: &str) -> String {
    format!("{a}{}", b.trim_start_matches("##"))
}

/// The definition: again and again the most frequent pair; among equals the one whose parts came first.
fn by_definition(texts: &[&str], limits: VocabularyLimits) -> Vec<String> {
    let mut words: Vec<(Vec<String>, usize)> =
        words(texts).into_iter().map(|(word, n)| (letters(&word), n)).collect();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    let all: BTreeSet<char> =
        words.iter().flat_map(|(w, _)| w).map(|p| p.chars().last().unwrap()).collect();
    let within: BTreeSet<String> =
        words.iter().flat_map(|(w, _)| w).filter(|p| p.starts_with("##")).cloned().collect();
    let mut pieces: Vec<String> = special.into_iter().collect();
    pieces.extend(all.iter().map(char::to_string));
    pieces.extend(within);
    while pieces.len() < limits.size {
        let id: HashMap<&String, usize> = pieces.iter().enumerate().map(|(i, p)| (p, i)).collect();
        let mut pairs: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (word, n) in &words {
            for pair in word.windows(2) {
                *pairs.entry((id[&pair[0]], id[&pair[1]])).or_default() += n;
            }
        }
        let best = pairs.iter().max_by_key(|&(pair, n)| (*n, std::cmp::Reverse(*pair)));
        let Some((&(a, b), &n)) = best else { break };
        if (n as u64) < limits.min_frequency {
            break;
        }
        let (a, b) = (pieces[a].clone(), pieces[b].clone());
        let new = joined(&a, &b);
        for (word, _) in &mut words {
            while let Some(i) = word.windows(2).position(|p| p[0] == a && p[1] == b) {
                word.splice(i..i + 2, [new.clone()]);
            }
        }
        if !pieces.contains(&new) {
            pieces.push(new);
        }
    }
    pieces
}

#[test]
fn the_vocabulary_is_that_of_the_definition() {
    let want = by_definition(&TEXTS, LIMITS);
    assert_eq!(want.len(), LIMITS.size);
    assert_eq!(pieces(&trained(&TEXTS, LIMITS).unwrap()), want);
    // Until no pair is frequent enough.
    let endless = VocabularyLimits { size: 10_000, ..LIMITS };
    let want = by_definition(&TEXTS, endless);
    assert!(want.len() < 200);
    assert_eq!(pieces(&trained(&TEXTS, endless).unwrap()), want);
}

#[test]
fn the_order_of_the_texts_does_not_matter() {
    let mut reversed = TEXTS;
    reversed.reverse();
    let first = pieces(&trained(&TEXTS, LIMITS).unwrap());
    for _ in 0..5 {
        assert_eq!(pieces(&trained(&reversed, LIMITS).unwrap()), first);
    }
}

#[test]
fn a_trained_tokenizer_encodes_as_bert_does() {
    let tokenizer = trained(&TEXTS, VocabularyLimits { size: 10_000, ..LIMITS }).unwrap();
    let pieces = pieces(&tokenizer);
    let encoded = &tokenizer.encode_batch(&[("FILMS, Bored", None)], 16).unwrap()[0];
    let tokens: Vec<&str> = encoded.ids.iter().map(|&id| pieces[id as usize].as_str()).collect();
    assert_eq!(tokens, ["[CLS]", "film", "##s", ",", "bored", "[SEP]"]);
    let plain = tokenizer.encode_plain(&["FILMS, Bored".to_owned()]).unwrap();
    assert_eq!(plain[0], encoded.ids[1..5]);
    assert_eq!(tokenizer.special_ids(), [0, 1, 2, 3, 4]);
    assert_eq!(
        (tokenizer.cls_id(), tokenizer.sep_id(), tokenizer.mask_id()),
        (Some(2), Some(3), Some(4))
    );
    let continuing = tokenizer.continuing().unwrap();
    assert_eq!(continuing.len(), pieces.len());
    for (piece, continues) in pieces.iter().zip(continuing) {
        assert_eq!(continues, piece.starts_with("##") && piece.len() > 2, "{piece}");
    }
}

#[test]
fn upper_case_is_kept_where_it_is_wanted() {
    let mut trainer = WordPieceTrainer::new(false);
    trainer.feed(&TEXTS.map(str::to_owned)).unwrap();
    let pieces = pieces(&trainer.finish(LIMITS).unwrap());
    assert!(pieces.contains(&"S".to_owned()) && pieces.contains(&"W".to_owned()));
}

#[test]
fn rare_letters_are_left_out() {
    let texts = ["aaa abab ba b", "a ß b", "c c"];
    let three = VocabularyLimits { size: 50, min_frequency: 2, alphabet: 3 };
    let tokenizer = trained(&texts, three).unwrap();
    assert!(!pieces(&tokenizer).contains(&"ß".to_owned()));
    let ids = tokenizer.encode_plain(&["ß".to_owned()]).unwrap();
    assert_eq!(ids[0], [tokenizer.unknown_id().unwrap()]);
}

#[test]
fn a_size_below_the_alphabet_is_refused_with_the_least_that_works() {
    let least = by_definition(&TEXTS, VocabularyLimits { size: 0, ..LIMITS }).len();
    let message =
        |size| trained(&TEXTS, VocabularyLimits { size, ..LIMITS }).unwrap_err().to_string();
    assert!(message(10).contains(&format!("at least {least}")), "{}", message(10));
    assert!(message(least - 1).contains("no room"));
    assert!(trained(&TEXTS, VocabularyLimits { size: least, ..LIMITS }).is_ok());
    assert!(trained(&["", "  "], LIMITS).unwrap_err().to_string().contains("no words"));
}
