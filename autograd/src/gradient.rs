//! One gradient: a tensor, or the few rows of a table that are not zero.

use tensor::ops::elementwise;
use tensor::{Rows, Tensor};

use crate::Result;

/// The gradient of one value, of its shape.
#[derive(Clone, Debug)]
pub enum Gradient {
    /// Every element.
    Dense(Tensor),
    /// Of a table that was read by [`embedding`](crate::ops::embedding): the rows that were read.
    Rows(Rows),
}

impl Gradient {
    /// The lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        match self {
            Gradient::Dense(tensor) => tensor.shape(),
            Gradient::Rows(rows) => rows.shape(),
        }
    }

    /// Every element.
    ///
    /// # Errors
    /// When it is on a GPU that is full.
    pub fn to_dense(&self) -> Result<Tensor> {
        self.clone().into_dense()
    }

    /// The elements that may differ from zero, for sums over all: the tensor, or the rows that are there.
    pub fn values(&self) -> &Tensor {
        match self {
            Gradient::Dense(tensor) => tensor,
            Gradient::Rows(rows) => rows.values(),
        }
    }

    /// The sum of two: rows if both are. Rows go into a tensor in place, for a tied table has both at each step.
    fn add(self, other: Gradient) -> Result<Gradient> {
        Ok(match (self, other) {
            (Gradient::Rows(a), Gradient::Rows(b)) => Gradient::Rows(a.add(&b)?),
            (Gradient::Dense(mut sum), Gradient::Rows(rows))
            | (Gradient::Rows(rows), Gradient::Dense(mut sum)) => {
                rows.add_to(&mut sum)?;
                Gradient::Dense(sum)
            }
            (Gradient::Dense(mut sum), Gradient::Dense(other)) => {
                elementwise::add_assign(&mut sum, &other)?;
                Gradient::Dense(sum)
            }
        })
    }

    pub(crate) fn into_dense(self) -> Result<Tensor> {
        match self {
            Gradient::Dense(tensor) => Ok(tensor),
            Gradient::Rows(rows) => Ok(rows.to_dense()?),
        }
    }
}

/// Adds a gradient to what other uses of the same value have contributed.
pub(crate) fn accumulate(slot: &mut Option<Gradient>, grad: Gradient) -> Result<()> {
    *slot = Some(match slot.take() {
        Some(sum) => sum.add(grad)?,
        None => grad,
    });
    Ok(())
}
