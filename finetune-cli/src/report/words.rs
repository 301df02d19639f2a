//! Sentences whose words have labels: the wrong words marked, with as much around them as it takes to understand.

use super::Measured;
use crate::data::Labels;
use crate::page::html::{Element, element, with_text};
use crate::page::numbers::shorten;
use crate::predictions::Prediction;

/// Words on either side of a wrong one that are shown.
const AROUND: usize = 8;
/// Words of a sentence at most.
const WORDS: usize = 120;
/// Letters of a word at most.
const LETTERS: usize = 40;

/// A word with its true and its predicted class, and how probable that is.
pub struct Wrong {
    /// Its place in the sentence.
    place: usize,
    pub word: String,
    pub truth: u32,
    pub predicted: u32,
    pub probability: f32,
}

/// The words of a sentence whose label is wrong.
pub fn wrong(measured: &Measured, row: usize) -> Vec<Wrong> {
    let (Labels::Tags(tags), Some(example)) =
        (&measured.texts.labels, measured.texts.examples.get(row))
    else {
        return Vec::new();
    };
    let Some(Prediction::Tags(predicted)) = measured.predictions.get(row) else {
        return Vec::new();
    };
    let words = example.words();
    let tags = tags.get(row).map_or(&[][..], Vec::as_slice);
    // Words without a label have no prediction either.
    let labelled = words.iter().zip(tags).enumerate();
    let labelled = labelled.filter_map(|(place, (word, tag))| Some((place, word, (*tag)?)));
    let wrong = labelled.zip(predicted).filter(|((.., truth), (class, _))| truth != class);
    let wrong = wrong.map(|((place, word, truth), (class, p))| Wrong {
        place,
        word: shorten(word, LETTERS),
        truth,
        predicted: *class,
        probability: *p,
    });
    wrong.collect()
}

/// The sentence, with an ellipsis for what is far from any wrong word.
pub fn sentence(measured: &Measured, row: usize, wrong: &[Wrong]) -> Element {
    let text = element("bdi").class("text");
    let Some(example) = measured.texts.examples.get(row) else { return text };
    let words = example.words();
    // Wrong words are in the order of the sentence: the first that is not too far before a place is found by halving.
    let close = |place: usize| wrong.get(wrong.partition_point(|w| w.place + AROUND < place));
    let near = |place: &usize| close(*place).is_some_and(|w| w.place <= place + AROUND);
    let shown: Vec<usize> = (0..words.len()).filter(near).take(WORDS).collect();
    let is_wrong = |place: usize| wrong.binary_search_by_key(&place, |w| w.place).is_ok();
    let mut text = text;
    let mut next = 0;
    for &place in &shown {
        if place > next {
            text = text.text("… ");
        }
        let word = shorten(&words[place], LETTERS);
        text = match is_wrong(place) {
            true => text.child(with_text("mark", word)).text(" "),
            false => text.text(word).text(" "),
        };
        next = place + 1;
    }
    if next < words.len() { text.text("…") } else { text }
}
