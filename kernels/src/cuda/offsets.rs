//! The offsets of a ragged batch, which kernels trust.

use super::{Array, Device, Result, Slice};

/// Where each sequence of a ragged batch begins, on a GPU: B + 1 offsets into T rows, u32, from 0, ascending.
///
/// Kernels find the rows of a sequence by them and check nothing. So they are checked before they go up, and nobody
/// writes them there.
#[derive(Debug)]
pub struct Offsets {
    array: Array,
    host: Vec<u32>,
}

impl Offsets {
    /// Copies them to a GPU.
    ///
    /// # Errors
    /// When the GPU is full.
    ///
    /// # Panics
    /// When there are none, the first is not 0, or one is below the one before.
    pub fn upload(device: &Device, offsets: &[u32]) -> Result<Self> {
        assert!(offsets.first() == Some(&0) && offsets.is_sorted(), "offsets: {offsets:?}");
        Ok(Self { array: Array::from_host(device, offsets)?, host: offsets.to_vec() })
    }

    /// The same on the host.
    pub fn host(&self) -> &[u32] {
        &self.host
    }

    /// B.
    pub fn sequences(&self) -> usize {
        self.host.len() - 1
    }

    /// T.
    pub fn tokens(&self) -> usize {
        self.host[self.sequences()] as usize
    }

    /// What kernels read, `[B + 1]`.
    pub(crate) fn slice(&self) -> Slice<'_> {
        self.array.slice()
    }
}
