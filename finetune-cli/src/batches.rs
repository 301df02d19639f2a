//! Examples to batches: ragged, shuffled by seed and epoch.

use bert::{Batch, Encoding, Targets};
use tensor::{Tensor, philox::Rng};

use crate::data::Labels;

/// The random stream of the shuffles: epoch e of a seed uses stream SHUFFLE + e.
const SHUFFLE: u64 = 0x5348_5546_0000_0000;

/// Tokens and labels of a data set.
pub struct Examples {
    /// The tokens of each example.
    pub encodings: Vec<Encoding>,
    /// The labels, which may be absent.
    pub labels: Labels,
    /// C, the number of labels of the task.
    pub outputs: usize,
}

impl Examples {
    /// The number of examples.
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
        let encodings = rows.iter().map(|&row| &self.encodings[row]);
        Batch::new(encodings.map(|e| (e.ids.as_slice(), e.type_ids.as_slice())))
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
        }
    }
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
