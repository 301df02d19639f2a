//! Offsets of the sequences of a ragged batch.

use std::ops::Range;
use std::sync::Arc;

use kernels::cuda::{self, Offsets};
use kernels::rotary::cuda::Places;

use crate::gpu_copies::GpuCopies;
use crate::{Error, Result};

/// Where each sequence of a ragged batch begins: B + 1 offsets into the T tokens, from 0, ascending.
///
/// Sequence `i` is rows `offsets[i]..offsets[i + 1]` of every `[T, H]` tensor of the batch. Cloning shares
/// the memory.
///
/// ```
/// let batch = tensor::CuSeqLens::from_lens(&[3, 1, 2]).unwrap();
/// assert_eq!(batch.offsets(), [0, 3, 4, 6]);
/// assert_eq!(batch.range(2), 4..6);
/// ```
#[derive(Clone)]
pub struct CuSeqLens(Arc<Shared>);

/// What clones share.
struct Shared {
    offsets: Vec<u32>,
    /// The offsets on GPUs, where every layer of a step reads them.
    uploaded: GpuCopies<Offsets>,
    /// The place of each token in its sequence, likewise.
    places: GpuCopies<Places>,
}

impl CuSeqLens {
    /// From the lengths of the sequences.
    ///
    /// # Errors
    /// When there are none, one is empty, or the tokens are more than a u32 counts.
    pub fn from_lens(lens: &[usize]) -> Result<Self> {
        let mut offsets = vec![0u32];
        let mut total = 0u32;
        for (i, &len) in lens.iter().enumerate() {
            let next = u32::try_from(len).ok().and_then(|len| total.checked_add(len));
            total = next.ok_or_else(|| Error::CuSeqLens(format!("too many tokens at {i}")))?;
            offsets.push(total);
        }
        Self::from_offsets(offsets)
    }

    /// From the offsets themselves.
    ///
    /// # Errors
    /// When they do not begin with 0, do not ascend, or name no sequence.
    pub fn from_offsets(offsets: Vec<u32>) -> Result<Self> {
        if offsets.len() < 2 || offsets[0] != 0 {
            let message = format!("expected at least two offsets from 0, got {offsets:?}");
            return Err(Error::CuSeqLens(message));
        }
        if let Some(i) = offsets.windows(2).position(|w| w[0] >= w[1]) {
            let (a, b) = (offsets[i], offsets[i + 1]);
            return Err(Error::CuSeqLens(format!("sequence {i} is empty: from {a} to {b}")));
        }
        let (uploaded, places) = (GpuCopies::default(), GpuCopies::default());
        Ok(Self(Arc::new(Shared { offsets, uploaded, places })))
    }

    /// The B + 1 offsets.
    pub fn offsets(&self) -> &[u32] {
        &self.0.offsets
    }

    /// The B + 1 offsets on a GPU: uploaded when it first asks, the same copy after that and for all clones.
    ///
    /// # Errors
    /// When the GPU is full.
    pub(crate) fn on_gpu(&self, gpu: &cuda::Device) -> Result<Arc<Offsets>> {
        self.0.uploaded.on(gpu, || Offsets::upload(gpu, self.offsets()))
    }

    /// The place of each token in its sequence, `[T]`, on a GPU: as [`on_gpu`](Self::on_gpu).
    ///
    /// # Errors
    /// When the GPU is full.
    pub(crate) fn places_on_gpu(&self, gpu: &cuda::Device) -> Result<Arc<Places>> {
        self.0.places.on(gpu, || Places::upload(gpu, self.lens()))
    }

    /// B, the number of sequences.
    pub fn batch(&self) -> usize {
        self.offsets().len() - 1
    }

    /// T, the number of tokens of all sequences.
    pub fn total(&self) -> usize {
        self.offsets()[self.batch()] as usize
    }

    /// The rows of sequence `i`.
    ///
    /// # Panics
    /// When there is no such sequence.
    pub fn range(&self, i: usize) -> Range<usize> {
        self.offsets()[i] as usize..self.offsets()[i + 1] as usize
    }

    /// The length of each sequence.
    pub fn lens(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        self.offsets().windows(2).map(|w| (w[1] - w[0]) as usize)
    }
}

impl PartialEq for CuSeqLens {
    fn eq(&self, other: &Self) -> bool {
        self.offsets() == other.offsets()
    }
}

impl Eq for CuSeqLens {}

impl std::fmt::Debug for CuSeqLens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CuSeqLens").field(&self.offsets()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_and_messages_are_those_of_the_offsets() {
        let batch = CuSeqLens::from_lens(&[3, 1]).expect("two sequences");
        assert_eq!(format!("{batch:?}"), "CuSeqLens([0, 3, 4])");
        assert_eq!(batch, CuSeqLens::from_offsets(vec![0, 3, 4]).expect("two sequences"));
    }

    #[test]
    fn refuses_what_is_no_division() {
        for offsets in [vec![], vec![0], vec![1, 2], vec![0, 2, 2], vec![0, 3, 1]] {
            assert!(CuSeqLens::from_offsets(offsets.clone()).is_err(), "{offsets:?}");
        }
        assert!(CuSeqLens::from_lens(&[2, 0, 1]).is_err());
        assert!(CuSeqLens::from_lens(&[u32::MAX as usize, 1]).is_err());
    }
}
