//! A table of which most rows are zero: the gradient of an embedding.

use kernels::embedding;

use crate::ops::{concat, embedding::scatter};
use crate::{Error, Result, Tensor};

/// Rows of a table `[V, H]` whose other rows are zero.
#[derive(Clone, Debug)]
pub struct Rows {
    ids: Vec<u32>,
    values: Tensor,
    shape: [usize; 2],
}

impl Rows {
    /// `ids` ascend and are distinct and below V; `values` is `[R, H]`.
    pub(crate) fn new(ids: Vec<u32>, values: Tensor, shape: [usize; 2]) -> Self {
        Self { ids, values, shape }
    }

    /// Which rows are there, `[R]`, ascending.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// These rows, `[R, H]`.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// Of the whole table: V and H.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The whole table, `[V, H]`.
    pub fn to_dense(&self) -> Tensor {
        scatter(&self.values, &self.ids, self.shape[0]).expect("rows fit their table")
    }

    /// The sum with other rows of a table of this shape.
    ///
    /// # Errors
    /// When the shapes or dtypes differ.
    pub fn add(&self, other: &Rows) -> Result<Rows> {
        if self.shape != other.shape {
            let (left, right) = (self.shape.to_vec(), other.shape.to_vec());
            return Err(Error::Shapes { op: "add", left, right });
        }
        let both = concat::forward(&[&self.values, &other.values], 0)?;
        let (ids, places) = embedding::distinct(&[&self.ids[..], &other.ids].concat());
        let values = scatter(&both, &places, ids.len())?;
        Ok(Rows::new(ids, values, self.shape))
    }
}
