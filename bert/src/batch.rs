//! A ragged batch of token ids.

use std::ops::Range;

use tensor::{CuSeqLens, Tensor};

use crate::Result;

/// The tokens of several sequences, one below the other.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Token ids, `[T]`, u32.
    pub ids: Tensor,
    /// 0 for the first text of a pair, 1 for the second, `[T]`, u32; not looked at by a model with less than two types.
    pub type_ids: Tensor,
    /// The place of each token in its sequence from 0, `[T]`, u32; RoBERTa counts its own.
    pub positions: Tensor,
    /// Where each sequence begins.
    pub seqlens: CuSeqLens,
    /// The row of the first token of each word, ascending, `[M]`; none where texts were not split into words.
    pub words: Vec<u32>,
}

impl Batch {
    /// From (ids, type ids) of each sequence; both of equal length, at least one token.
    ///
    /// # Errors
    /// When there are no sequences, or one is empty.
    ///
    /// # Panics
    /// When ids and type ids of a sequence differ in number.
    pub fn new<'a>(sequences: impl IntoIterator<Item = (&'a [u32], &'a [u32])>) -> Result<Self> {
        let (mut ids, mut types, mut positions, mut lens) = (vec![], vec![], vec![], vec![]);
        for (sequence, type_ids) in sequences {
            assert_eq!(sequence.len(), type_ids.len(), "batch: ids and type ids");
            ids.extend_from_slice(sequence);
            types.extend_from_slice(type_ids);
            positions.extend(0..sequence.len() as u32);
            lens.push(sequence.len());
        }
        let seqlens = CuSeqLens::from_lens(&lens)?;
        let shape = [seqlens.total()];
        Ok(Self {
            ids: Tensor::from_vec(ids, &shape)?,
            type_ids: Tensor::from_vec(types, &shape)?,
            positions: Tensor::from_vec(positions, &shape)?,
            seqlens,
            words: Vec::new(),
        })
    }

    /// The same batch with words: for each sequence, the tokens of each of its words.
    ///
    /// # Panics
    /// When there are more sequences than in the batch.
    pub fn with_words<'a>(mut self, words: impl IntoIterator<Item = &'a [Range<u32>]>) -> Self {
        for (i, words) in words.into_iter().enumerate() {
            let start = self.seqlens.range(i).start as u32;
            self.words.extend(words.iter().map(|tokens| start + tokens.start));
        }
        self
    }

    /// B, the number of sequences.
    pub fn sequences(&self) -> usize {
        self.seqlens.batch()
    }
}
