//! Views; the gradient goes back through the inverse view.

use tensor::Tensor;
use tensor::ops::concat;
use tensor::ops::reduce::sum_to;

use crate::{Result, Var, record};

impl Var {
    /// The same elements under another shape.
    ///
    /// # Errors
    /// When the number of elements would change.
    pub fn reshape(&self, shape: &[usize]) -> Result<Var> {
        let old = self.shape().to_vec();
        record("reshape", [self], self.value.reshape(shape)?, move |dy, _| {
            Ok([Some(dy.reshape(&old)?)])
        })
    }

    /// Axes `a` and `b` exchanged.
    ///
    /// # Errors
    /// When there is no such axis.
    pub fn transpose(&self, a: usize, b: usize) -> Result<Var> {
        record("transpose", [self], self.value.transpose(a, b)?, move |dy, _| {
            Ok([Some(dy.transpose(a, b)?)])
        })
    }

    /// Repeated up to `shape`, by NumPy's rules.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn broadcast_to(&self, shape: &[usize]) -> Result<Var> {
        let old = self.shape().to_vec();
        record("broadcast_to", [self], self.value.broadcast_to(shape)?, move |dy, _| {
            Ok([Some(sum_to(dy, &old)?)])
        })
    }

    /// Elements `start..start + len` along `axis`.
    ///
    /// # Errors
    /// When there is no such axis or the range leaves it.
    pub fn narrow(&self, axis: usize, start: usize, len: usize) -> Result<Var> {
        let shape = self.shape().to_vec();
        let y = self.value.narrow(axis, start, len)?;
        record("narrow", [self], y, move |dy, _| Ok([Some(widen(dy, axis, start, &shape)?)]))
    }
}

/// `dy` at its place in zeros of `shape`.
fn widen(dy: &Tensor, axis: usize, start: usize, shape: &[usize]) -> Result<Tensor> {
    let zeros = |len: usize| -> Result<Tensor> {
        let mut part = shape.to_vec();
        part[axis] = len;
        Ok(Tensor::zeros_on(&part, &dy.device())?.to_dtype(dy.dtype())?)
    };
    let rest = shape[axis] - start - dy.shape()[axis];
    Ok(concat::forward(&[&zeros(start)?, dy, &zeros(rest)?], axis)?)
}
