//! Sums and means; the gradient is spread over what was summed.

use tensor::Tensor;
use tensor::ops::reduce;

use crate::{Result, Var, record};

impl Var {
    /// The sum of all elements, a scalar.
    ///
    /// # Errors
    /// When the dtype is not f32 or f64.
    pub fn sum(&self) -> Result<Var> {
        let shape = self.shape().to_vec();
        record("sum", [self], reduce::sum(&self.value)?, move |dy, _| {
            Ok([Some(dy.broadcast_to(&shape)?.contiguous()?)])
        })
    }

    /// The mean of all elements, a scalar.
    ///
    /// # Errors
    /// When there are no elements.
    pub fn mean(&self) -> Result<Var> {
        let (y, shape) = (reduce::mean(&self.value)?, self.shape().to_vec());
        let share = 1.0 / self.value.len() as f64;
        record("mean", [self], y, move |dy, _| {
            Ok([Some(dy.scale(share)?.broadcast_to(&shape)?.contiguous()?)])
        })
    }

    /// The sum along `axis`, which goes away.
    ///
    /// # Errors
    /// When there is no such axis.
    pub fn sum_axis(&self, axis: usize) -> Result<Var> {
        let shape = self.shape().to_vec();
        let y = reduce::sum_axis(&self.value, axis)?;
        record("sum_axis", [self], y, move |dy, _| Ok([Some(spread(dy, axis, &shape)?)]))
    }

    /// The mean along `axis`, which goes away.
    ///
    /// # Errors
    /// When there is no such axis or it has length 0.
    pub fn mean_axis(&self, axis: usize) -> Result<Var> {
        let (y, shape) = (reduce::mean_axis(&self.value, axis)?, self.shape().to_vec());
        let share = 1.0 / shape[axis] as f64;
        record("mean_axis", [self], y, move |dy, _| {
            Ok([Some(spread(&dy.scale(share)?, axis, &shape)?)])
        })
    }
}

fn spread(dy: &Tensor, axis: usize, shape: &[usize]) -> Result<Tensor> {
    Ok(dy.unsqueeze(axis)?.broadcast_to(shape)?.contiguous()?)
}
