//! The angles of rotary position embeddings.

use std::sync::{Arc, Mutex, PoisonError};

use kernels::cuda::{Array, Device};
use kernels::rotary;

use crate::gpu_copies::GpuCopies;
use crate::{CuSeqLens, Error, Result};

/// By how much heads are turned at each place of a sequence; see [`kernels::rotary`].
///
/// Rows are made when a batch needs them, up to the next power of two, so that a model for long texts pays for the
/// texts that it gets. Cloning shares the memory.
#[derive(Clone)]
pub struct RotaryTable(Arc<Shared>);

/// What clones share.
struct Shared {
    head_dim: usize,
    theta: f64,
    made: Mutex<Arc<Made>>,
}

/// The rows that were made so far. A longer table takes its place, and that of its copies.
#[derive(Default)]
pub(crate) struct Made {
    /// `[P, D]`
    rows: Vec<f32>,
    uploaded: GpuCopies<Array>,
}

impl RotaryTable {
    /// For heads of D = `head_dim`, whose pair i turns by theta^(-2i / D) a place.
    ///
    /// # Errors
    /// When D is odd or 0: a head is turned pair by pair.
    pub fn new(head_dim: usize, theta: f64) -> Result<Self> {
        if head_dim == 0 || !head_dim.is_multiple_of(2) {
            let expected = "[even D > 0]".to_owned();
            return Err(Error::Shape { op: "rotary", expected, got: vec![head_dim] });
        }
        Ok(Self(Arc::new(Shared { head_dim, theta, made: Mutex::default() })))
    }

    /// D, the size of a head.
    pub fn head_dim(&self) -> usize {
        self.0.head_dim
    }

    /// The angle between the first place and the second is theta^(-2i / D), for pair i of a head.
    pub fn theta(&self) -> f64 {
        self.0.theta
    }

    /// At least the rows that the longest sequence of a batch takes.
    pub(crate) fn for_batch(&self, batch: &CuSeqLens) -> Arc<Made> {
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = batch.lens().max().unwrap_or(0);
        if made.rows.len() < longest * self.head_dim() {
            let rows = rotary::table(self.head_dim(), self.theta(), longest.next_power_of_two());
            *made = Arc::new(Made { rows, uploaded: GpuCopies::default() });
        }
        made.clone()
    }
}

impl Made {
    /// `[P, D]`, in a row D/2 cosines and then D/2 sines.
    pub(crate) fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// The same on a GPU.
    ///
    /// # Errors
    /// When the GPU is full.
    pub(crate) fn on_gpu(&self, gpu: &Device) -> Result<Arc<Array>> {
        self.uploaded.on(gpu, || Array::from_host(gpu, self.rows()))
    }
}

impl std::fmt::Debug for RotaryTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = f.debug_struct("RotaryTable");
        table.field("head_dim", &self.head_dim()).field("theta", &self.theta()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_with_the_longest_sequence() {
        let table = RotaryTable::new(4, 10_000.0).unwrap();
        let rows = |lens: &[usize]| {
            let batch = CuSeqLens::from_lens(lens).unwrap();
            table.clone().for_batch(&batch).rows().to_vec()
        };
        assert_eq!(rows(&[1]), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(rows(&[2, 5, 1]).len(), 8 * 4);
        assert_eq!(rows(&[3]), rows(&[8]));
        assert_eq!(rows(&[9]).len(), 16 * 4);
        assert_eq!(format!("{table:?}"), "RotaryTable { head_dim: 4, theta: 10000.0 }");
    }

    #[test]
    fn refuses_heads_without_pairs() {
        assert!([0, 1, 7].into_iter().all(|head_dim| RotaryTable::new(head_dim, 1e4).is_err()));
    }
}
