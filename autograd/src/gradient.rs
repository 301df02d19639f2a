//! One gradient: a tensor, or the few rows of a table that are not zero; and what one use of a value adds to it.

use tensor::ops::{elementwise, linear};
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

/// What one use of a value adds to its gradient: what a derivative rule gives for an input.
pub(crate) enum Share {
    /// Computed.
    Ready(Gradient),
    /// dx = dy w of a linear layer, dy `[.., O]` and w `[O, I]`, yet to be multiplied. Where other uses came first,
    /// a GPU adds their sum while it writes the product: a pass over memory less than adding, a rounding less in bf16.
    Product(Tensor, Tensor),
}

impl Share {
    /// dy w, multiplied when it is added.
    pub(crate) fn product(dy: &Tensor, w: &Tensor) -> Self {
        Share::Product(dy.clone(), w.clone())
    }

    /// The shape of the value.
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Share::Ready(grad) => grad.shape().to_vec(),
            Share::Product(dy, w) => {
                let lead = dy.shape().split_last().map_or(&[][..], |(_, lead)| lead);
                [lead, &w.shape()[1..]].concat()
            }
        }
    }

    /// Together with the sum of the shares before it. No tensor is overwritten that something else holds, too.
    fn onto(self, sum: Option<Gradient>) -> Result<Gradient> {
        match (self, sum) {
            (Share::Ready(grad), None) => Ok(grad),
            (Share::Ready(grad), Some(sum)) => sum.add(grad),
            (Share::Product(dy, w), Some(Gradient::Dense(sum))) => {
                Ok(Gradient::Dense(linear::backward_input(&dy, &w, Some(&sum))?))
            }
            (Share::Product(dy, w), sum) => {
                Share::from(linear::backward_input(&dy, &w, None)?).onto(sum)
            }
        }
    }
}

impl From<Gradient> for Share {
    fn from(grad: Gradient) -> Self {
        Share::Ready(grad)
    }
}

impl From<Tensor> for Share {
    fn from(grad: Tensor) -> Self {
        Share::Ready(Gradient::Dense(grad))
    }
}

/// Adds a share to those of other uses of the same value.
pub(crate) fn accumulate(slot: &mut Option<Gradient>, share: Share) -> Result<()> {
    *slot = Some(share.onto(slot.take())?);
    Ok(())
}
