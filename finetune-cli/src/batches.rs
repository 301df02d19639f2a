//! Examples to batches: ragged, shuffled by seed and epoch.
//!
//! ```text
//! text      an example of the file: a text, a pair of texts, or a sentence of words
//! row       a sequence of a batch: a text, or of a sentence that is too long a piece
//! target    what a label and a row of logits belong to: a row, or a word
//! ```
//!
//! Where words have labels, those without one are left out here, in [`Examples::of_words`], with the pieces that have
//! no others. From then on a row has as many words as labels, and as many rows of logits.

use bert::{Batch, Encoding, Targets};
use tensor::{Tensor, philox::Rng};

use crate::data::Labels;
use crate::predictions::Prediction;

/// The random stream of the shuffles: epoch e of a seed uses stream SHUFFLE + e.
const SHUFFLE: u64 = 0x5348_5546_0000_0000;

/// Tokens and labels of a data set, a row a sequence.
pub struct Examples {
    /// The tokens of each row.
    pub encodings: Vec<Encoding>,
    /// The labels of each row, or of the words of each, which may be absent.
    pub labels: Labels,
    /// C, the number of labels of the task.
    pub outputs: usize,
    /// Of how many rows each text is: one, or the pieces of a sentence.
    pub pieces: Vec<usize>,
    /// Whether a target is a word.
    of_words: bool,
}

impl Examples {
    /// Texts or pairs of them, each of which is a row and has a label.
    pub fn new(encodings: Vec<Encoding>, labels: Labels, outputs: usize) -> Self {
        let pieces = vec![1; encodings.len()];
        Self { encodings, labels, outputs, pieces, of_words: false }
    }

    /// Sentences in pieces, whose words have labels. A word without one is neither learned from nor measured, and a
    /// piece without any other is no row.
    ///
    /// # Panics
    /// When a sentence has not as many labels as words.
    pub fn of_words(mut sentences: Vec<Vec<Encoding>>, labels: Labels, outputs: usize) -> Self {
        let labels = match labels {
            Labels::Tags(tags) => Labels::Tags(keep_labelled(&mut sentences, tags)),
            other => other,
        };
        let pieces = sentences.iter().map(Vec::len).collect();
        let encodings = sentences.into_iter().flatten().collect();
        Self { encodings, labels, outputs, pieces, of_words: true }
    }

    /// The predictions of rows as those of texts, with the labels of texts.
    pub fn by_text(&self, rows: Vec<Prediction>) -> (Vec<Prediction>, Labels) {
        if self.pieces.iter().all(|&pieces| pieces == 1) {
            return (rows, self.labels.clone());
        }
        let words = rows.into_iter().map(|row| match row {
            Prediction::Tags(words) => words,
            _ => Vec::new(),
        });
        let joined = join(&self.pieces, words).into_iter().map(Prediction::Tags).collect();
        let labels = match &self.labels {
            Labels::Tags(tags) => Labels::Tags(join(&self.pieces, tags.iter().cloned())),
            other => other.clone(),
        };
        (joined, labels)
    }

    /// The number of texts, or pairs of them.
    pub fn texts(&self) -> usize {
        self.pieces.len()
    }

    /// How many texts were too long, and cut.
    pub fn truncated(&self) -> usize {
        self.encodings.iter().filter(|encoding| encoding.truncated).count()
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.encodings.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.encodings.is_empty()
    }

    /// These rows as one batch, in this order.
    ///
    /// # Errors
    /// When there are none.
    pub fn batch(&self, rows: &[usize]) -> bert::Result<Batch> {
        let encodings = || rows.iter().map(|&row| &self.encodings[row]);
        let batch = Batch::new(encodings().map(|e| (e.ids.as_slice(), e.type_ids.as_slice())))?;
        Ok(batch.with_words(encodings().map(|e| e.words.as_slice())))
    }

    /// The labels of these rows as targets of a loss; `None` if there are no labels.
    pub fn targets(&self, rows: &[usize]) -> Option<Targets> {
        let b = rows.len();
        let tensor = |values: Vec<f32>, columns| {
            Tensor::from_vec(values, &[b, columns]).expect("B times the columns")
        };
        match self.labels.select(rows) {
            Labels::Absent => None,
            Labels::Class(ids) => {
                Some(Targets::Classes(Tensor::from_vec(ids, &[b]).expect("one a row")))
            }
            Labels::Multi(sets) => {
                let holds = |set: &Vec<u32>, c| f32::from(u8::from(set.contains(&(c as u32))));
                let rows = sets.iter().flat_map(|set| (0..self.outputs).map(|c| holds(set, c)));
                Some(Targets::Labels(tensor(rows.collect(), self.outputs)))
            }
            Labels::Score(scores) => Some(Targets::Scores(tensor(scores, 1))),
            Labels::Tags(tags) => {
                let ids: Vec<u32> = tags.into_iter().flatten().flatten().collect();
                let shape = [ids.len()];
                Some(Targets::Classes(Tensor::from_vec(ids, &shape).expect("one a word")))
            }
        }
    }

    /// How many targets these rows have.
    pub fn count_targets(&self, rows: &[usize]) -> usize {
        match self.of_words {
            true => rows.iter().map(|&row| self.encodings[row].words.len()).sum(),
            false => rows.len(),
        }
    }
}

/// The labels of words, row by row; none of a word without one.
type Tags = Vec<Vec<Option<u32>>>;

/// Leaves out the words without a label, and the pieces that are without words then. From the labels of sentences, gives
/// those of the pieces that are left.
fn keep_labelled(sentences: &mut [Vec<Encoding>], tags: Tags) -> Tags {
    let mut rows = Vec::new();
    for (pieces, tags) in sentences.iter_mut().zip(tags) {
        let words: usize = pieces.iter().map(|piece| piece.words.len()).sum();
        assert_eq!(words, tags.len(), "batches: labels of words");
        let mut tags = tags.into_iter();
        for piece in pieces.iter_mut() {
            let words = std::mem::take(&mut piece.words).into_iter().zip(tags.by_ref());
            let targets = words.filter(|(_, tag)| tag.is_some());
            let (words, row): (Vec<_>, Vec<_>) = targets.unzip();
            piece.words = words;
            rows.push(row);
        }
        pieces.retain(|piece| !piece.words.is_empty());
    }
    rows.retain(|row: &Vec<_>| !row.is_empty());
    rows
}

/// The rows of each text, one behind the other.
fn join<T>(pieces: &[usize], rows: impl IntoIterator<Item = Vec<T>>) -> Vec<Vec<T>> {
    let mut rows = rows.into_iter();
    pieces.iter().map(|&count| rows.by_ref().take(count).flatten().collect()).collect()
}

/// The number of batches of an epoch; the last may be smaller.
pub fn count(rows: usize, batch_size: usize) -> u64 {
    rows.div_ceil(batch_size) as u64
}

/// The rows of each batch of an epoch (from 1), shuffled; the last batch may be smaller.
pub fn shuffled(rows: usize, batch_size: usize, seed: u64, epoch: u32) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..rows).collect();
    Rng::new(seed, SHUFFLE + u64::from(epoch)).shuffle(&mut order);
    order.chunks(batch_size).map(<[usize]>::to_vec).collect()
}

/// The rows of each batch in the order of the file.
pub fn in_order(rows: usize, batch_size: usize) -> Vec<Vec<usize>> {
    let order: Vec<usize> = (0..rows).collect();
    order.chunks(batch_size).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_without_a_label_are_no_targets() {
        let piece = |words: u32| {
            let (ids, type_ids) = (vec![7; words as usize + 2], vec![0; words as usize + 2]);
            let words = (1..=words).map(|place| place..place + 1).collect();
            Encoding { ids, type_ids, truncated: false, words }
        };
        let sentences = vec![vec![piece(2), piece(1), piece(1)], vec![piece(2)]];
        let tags = vec![vec![None, Some(3), None, Some(1)], vec![Some(0), Some(2)]];
        let examples = Examples::of_words(sentences, Labels::Tags(tags), 4);
        assert_eq!((examples.texts(), examples.len()), (2, 3));
        assert_eq!(examples.pieces, [2, 1]);
        assert_eq!(examples.encodings[0].words, std::slice::from_ref(&(2..3)));
        let left = vec![vec![Some(3)], vec![Some(1)], vec![Some(0), Some(2)]];
        assert_eq!(examples.labels, Labels::Tags(left));
        assert_eq!(examples.count_targets(&[0, 1, 2]), 4);
    }

    #[test]
    fn an_epoch_visits_every_row_once() {
        let batches = shuffled(103, 10, 7, 1);
        assert_eq!(batches.len(), 11);
        let mut rows = batches.concat();
        assert_ne!(rows, (0..103).collect::<Vec<_>>());
        rows.sort_unstable();
        assert_eq!(rows, (0..103).collect::<Vec<_>>());
    }

    #[test]
    fn seed_and_epoch_choose_the_order() {
        assert_eq!(shuffled(50, 8, 1, 1), shuffled(50, 8, 1, 1));
        assert_ne!(shuffled(50, 8, 1, 1), shuffled(50, 8, 1, 2));
        assert_ne!(shuffled(50, 8, 1, 1), shuffled(50, 8, 2, 1));
    }
}
