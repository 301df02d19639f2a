//! Examples to batches: ragged, shuffled by seed and epoch.

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
    /// The labels of each row, which may be absent.
    pub labels: Labels,
    /// C, the number of labels of the task.
    pub outputs: usize,
    /// Of texts that are split into words, of how many rows each is; the others are a row each, and this is empty.
    pub pieces: Vec<usize>,
}

impl Examples {
    /// A row for each encoding.
    pub fn new(encodings: Vec<Encoding>, labels: Labels, outputs: usize) -> Self {
        Self { encodings, labels, outputs, pieces: Vec::new() }
    }

    /// Rows of texts that are split into words: each text has some pieces. Where there are labels, a row has the places
    /// of those words alone that have one, and a piece without any is no row: it is neither learned from nor measured.
    ///
    /// # Panics
    /// When labels of words are not as many as the places of words.
    pub fn of_words(mut texts: Vec<Vec<Encoding>>, labels: Labels, outputs: usize) -> Self {
        let labels = match labels {
            Labels::Tags(tags) => Labels::Tags(keep_labelled(&mut texts, &tags)),
            other => other,
        };
        let pieces: Vec<usize> = texts.iter().map(Vec::len).collect();
        Self { encodings: texts.into_iter().flatten().collect(), labels, outputs, pieces }
    }

    /// The predictions of rows as those of texts, and their labels likewise.
    pub fn whole(&self, rows: Vec<Prediction>) -> (Vec<Prediction>, Labels) {
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
        if self.pieces.is_empty() { self.len() } else { self.pieces.len() }
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

    /// How many rows of logits these rows have: one each, or one for each of their words.
    pub fn targets_of(&self, rows: &[usize]) -> usize {
        match self.pieces.is_empty() {
            true => rows.len(),
            false => rows.iter().map(|&row| self.encodings[row].words.len()).sum(),
        }
    }
}

/// Keeps of each text the words that have a label, and the pieces that have such words; gives the labels of each piece.
fn keep_labelled(texts: &mut [Vec<Encoding>], tags: &[Vec<Option<u32>>]) -> Vec<Vec<Option<u32>>> {
    let mut rows = Vec::new();
    for (pieces, tags) in texts.iter_mut().zip(tags) {
        let mut rest = &tags[..];
        pieces.retain_mut(|piece| {
            let (own, behind) = rest.split_at(piece.words.len());
            rest = behind;
            let mut labels = own.iter();
            piece.words.retain(|_| labels.next().is_some_and(Option::is_some));
            let labelled: Vec<_> = own.iter().copied().filter(Option::is_some).collect();
            let is_row = !labelled.is_empty();
            rows.extend(is_row.then_some(labelled));
            is_row
        });
        assert!(rest.is_empty(), "batches: labels of words");
    }
    rows
}

/// The pieces of each text, one behind the other.
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
