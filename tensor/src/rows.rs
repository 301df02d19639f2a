//! A table of which most rows are zero: the gradient of an embedding.

use kernels::embedding;

use crate::ops::{concat, elementwise, embedding::scatter};
use crate::{DType, Device, Error, Result, Tensor};

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
    ///
    /// # Errors
    /// When it is on a GPU that is full.
    pub fn to_dense(&self) -> Result<Tensor> {
        scatter(&self.values, &self.ids, self.shape[0])
    }

    /// The sum with other rows of a table of this shape.
    ///
    /// # Errors
    /// When the shapes or dtypes differ.
    pub fn add(&self, other: &Rows) -> Result<Rows> {
        self.expect_shape(other.shape())?;
        let both = concat::forward(&[&self.values, &other.values], 0)?;
        let (ids, places) =
            embedding::distinct(&[&self.ids[..], &other.ids].concat(), self.shape[0]);
        let values = scatter(&both, &places, ids.len())?;
        Ok(Rows::new(ids, values, self.shape))
    }

    /// Adds these rows to a whole table of this shape, in place: the others are not touched.
    ///
    /// # Errors
    /// When the shapes or dtypes differ.
    pub fn add_to(&self, table: &mut Tensor) -> Result<()> {
        self.expect_shape(table.shape())?;
        let on_host = table.device() == Device::Cpu;
        if !on_host || [self.values.dtype(), table.dtype()] != [DType::F32; 2] {
            return elementwise::add_assign(table, &self.to_dense()?);
        }
        let values = self.values.contiguous()?;
        embedding::backward(values.as_slice()?, &self.ids, self.shape[1], table.make_mut()?);
        Ok(())
    }

    fn expect_shape(&self, other: &[usize]) -> Result<()> {
        let (left, right) = (self.shape.to_vec(), other.to_vec());
        match left == right {
            true => Ok(()),
            false => Err(Error::Shapes { op: "add", left, right }),
        }
    }
}
