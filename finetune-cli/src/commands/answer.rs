//! What `predict` prints of a prediction: a line for people, or an object for programs.
//!
//! | task | line | object, beside the text |
//! |---|---|---|
//! | one class | `positive  0.9987  the text` | `label`, `score`, `scores` |
//! | any labels | `sports 0.9731, money 0.6120  the text` | `labels`, `scores` |
//! | a number | `3.2517  the text` | `score` |
//! | entities of a text | `person 0.9876 Ada Lovelace  the text` | `entities` |
//! | labels of words | a line a word, as in CoNLL files | `tokens`, `tags`, `scores` |
//!
//! Objects repeat the other columns of a file. The keys are those of transformers' pipelines: `text-classification`,
//! and `token-classification` with an aggregation strategy, whose `start` and `end` count characters.

use std::ops::Range;

use serde_json::{Map, Value, json};

use crate::data::{self, Cell, Example, Task};
use crate::metrics;
use crate::predictions::{Prediction, above, argmax};

/// How predictions of a task are said.
pub(super) struct Answers<'a> {
    pub(super) task: &'a Task,
    /// From this probability on a label holds, where any of them may.
    pub(super) threshold: f32,
}

/// An entity in a text.
struct Found<'a> {
    kind: &'a str,
    /// The mean over its words.
    score: f32,
    /// In bytes.
    span: Range<usize>,
}

/// Bytes of a text as characters, counted on from one place to the next.
struct Characters<'a> {
    text: &'a str,
    byte: usize,
    count: usize,
}

impl Characters<'_> {
    /// How many characters are before this byte, which is not before the last one that was asked for.
    fn of(&mut self, byte: usize) -> usize {
        self.count += self.text[self.byte..byte].chars().count();
        self.byte = byte;
        self.count
    }
}

impl Answers<'_> {
    /// For people; ends without a line break. Texts are on one line, whatever they hold.
    pub(super) fn line(&self, example: &Example, prediction: &Prediction) -> String {
        let text = || example.parts().iter().map(|text| flat(text)).collect::<Vec<_>>().join("\t");
        match prediction {
            Prediction::Class(p) => {
                let best = argmax(p);
                format!("{}\t{:.4}\t{}", self.name(best), p[best], text())
            }
            Prediction::Multi(p) => {
                let chosen = above(p, self.threshold);
                let named = |&i: &u32| format!("{} {:.4}", self.name(i as usize), p[i as usize]);
                format!("{}\t{}", chosen.iter().map(named).collect::<Vec<_>>().join(", "), text())
            }
            Prediction::Score(value) => format!("{value:.4}\t{}", text()),
            Prediction::Tags(words) => match self.whole_text(example) {
                Some(whole) => {
                    let named = |e: Found| {
                        format!("{} {:.4} {}", e.kind, e.score, flat(&whole[e.span.clone()]))
                    };
                    let found = self.entities(whole, words).into_iter().map(named);
                    format!("{}\t{}", found.collect::<Vec<_>>().join(", "), text())
                }
                None => {
                    let line = |(word, (class, _)): (&String, &(u32, f32))| {
                        format!("{}\t{}\n", flat(word), self.name(*class as usize))
                    };
                    example.words().iter().zip(words).map(line).collect()
                }
            },
        }
    }

    /// For programs. `other` are the cells of the other columns in the same row, an identifier say, by their names;
    /// where the answer has a key of such a name, that is it.
    pub(super) fn object<'c>(
        &self,
        example: &Example,
        prediction: &Prediction,
        other: impl Iterator<Item = (&'c str, &'c Cell)>,
    ) -> Value {
        let mut object = Map::new();
        if let Example::Text(text) | Example::Pair([text, _]) = example {
            object.insert("text".into(), json!(text));
        }
        if let Example::Pair([_, second]) = example {
            object.insert("text_pair".into(), json!(second));
        }
        let fields = match prediction {
            Prediction::Class(p) => {
                let best = argmax(p);
                json!({"label": self.name(best), "score": p[best], "scores": self.scores(p)})
            }
            Prediction::Multi(p) => {
                let chosen = above(p, self.threshold);
                let names: Vec<_> = chosen.iter().map(|&i| self.name(i as usize)).collect();
                json!({"labels": names, "scores": self.scores(p)})
            }
            Prediction::Score(value) => json!({"score": value}),
            Prediction::Tags(words) => self.words(example, words),
        };
        object.extend(fields.as_object().cloned().unwrap_or_default());
        for (name, cell) in other {
            object.entry(name).or_insert_with(|| json!(cell));
        }
        object.into()
    }

    /// The entities of a text, or the labels of words.
    fn words(&self, example: &Example, words: &[(u32, f32)]) -> Value {
        let Some(text) = self.whole_text(example) else {
            let (tags, scores): (Vec<&str>, Vec<f32>) =
                words.iter().map(|&(class, p)| (self.name(class as usize), p)).unzip();
            return json!({"tokens": example.words(), "tags": tags, "scores": scores});
        };
        let mut place = Characters { text, byte: 0, count: 0 };
        let entity = |found: Found| {
            let (start, end) = (place.of(found.span.start), place.of(found.span.end));
            json!({"entity_group": found.kind, "score": found.score, "word": text[found.span],
                "start": start, "end": end})
        };
        json!({"entities": self.entities(text, words).into_iter().map(entity).collect::<Vec<_>>()})
    }

    /// The text in which there may be entities: one that was not split into words, where labels are of entities.
    fn whole_text<'e>(&self, example: &'e Example) -> Option<&'e str> {
        let names = self.task.label_set()?.names();
        match example {
            Example::Text(text) if metrics::are_entities(names) => Some(text),
            _ => None,
        }
    }

    fn entities(&self, text: &str, words: &[(u32, f32)]) -> Vec<Found<'_>> {
        let spans = data::spans(text);
        let tags: Vec<&str> = words.iter().map(|(class, _)| self.name(*class as usize)).collect();
        let found = metrics::entities(&tags).into_iter().map(|entity| {
            let own = entity.words.clone();
            let sum: f32 = words[own.clone()].iter().map(|(_, p)| p).sum();
            let span = spans[own.start].start..spans[own.end - 1].end;
            Found { kind: entity.kind, score: sum / own.len() as f32, span }
        });
        found.collect()
    }

    fn scores(&self, probabilities: &[f32]) -> Value {
        let named = probabilities.iter().enumerate();
        named.map(|(i, p)| (self.name(i).to_owned(), json!(p))).collect::<Map<_, _>>().into()
    }

    fn name(&self, id: usize) -> &str {
        self.task.label_set().map_or("", |set| set.name(id as u32))
    }
}

/// A text without line breaks and tabs.
fn flat(text: &str) -> String {
    text.replace(char::is_control, " ")
}
