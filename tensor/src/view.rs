//! Views: new shapes over the same storage.

use crate::shape::{Layout, checked_count};
use crate::{Error, Result, Tensor};

impl Tensor {
    /// The same elements in row-major order under another shape; copies only a strided view.
    ///
    /// # Errors
    /// When the number of elements would change.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        if checked_count(shape) != Some(self.len()) {
            let expected = format!("of {} elements (from {:?})", self.len(), self.shape());
            return Err(Error::Shape { op: "reshape", expected, got: shape.to_vec() });
        }
        let base = self.contiguous()?;
        let layout = Layout { offset: base.layout.offset, ..Layout::contiguous(shape) };
        Ok(Self { storage: base.storage, layout })
    }

    /// Axes `a` and `b` exchanged.
    ///
    /// # Errors
    /// When there is no such axis.
    pub fn transpose(&self, a: usize, b: usize) -> Result<Self> {
        self.check_axis("transpose", a.max(b))?;
        let mut view = self.clone();
        view.layout.shape.swap(a, b);
        view.layout.strides.swap(a, b);
        Ok(view)
    }

    /// The last two axes exchanged.
    ///
    /// # Errors
    /// When there are fewer than two axes.
    pub fn t(&self) -> Result<Self> {
        match self.rank() {
            rank @ 2.. => self.transpose(rank - 2, rank - 1),
            _ => Err(Error::Axis { op: "t", axis: 1, shape: self.shape().to_vec() }),
        }
    }

    /// Elements `start..start + len` along `axis`.
    ///
    /// # Errors
    /// When there is no such axis or the range leaves it.
    pub fn narrow(&self, axis: usize, start: usize, len: usize) -> Result<Self> {
        self.check_axis("narrow", axis)?;
        if start.checked_add(len).is_none_or(|end| end > self.shape()[axis]) {
            let expected = format!("with at least {start} + {len} elements along axis {axis}");
            return Err(Error::Shape { op: "narrow", expected, got: self.shape().to_vec() });
        }
        let mut view = self.clone();
        view.layout.offset += start * view.layout.strides[axis];
        view.layout.shape[axis] = len;
        Ok(view)
    }

    /// Repeated along missing and length-1 axes up to `shape`, by NumPy's rules, without a copy.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn broadcast_to(&self, shape: &[usize]) -> Result<Self> {
        let layout = self.layout.broadcast_to(shape)?;
        Ok(Self { storage: self.storage.clone(), layout })
    }

    /// A new axis of length 1 before `axis`.
    ///
    /// # Errors
    /// When `axis` is beyond the end.
    pub fn unsqueeze(&self, axis: usize) -> Result<Self> {
        if axis > self.rank() {
            return Err(Error::Axis { op: "unsqueeze", axis, shape: self.shape().to_vec() });
        }
        let mut view = self.clone();
        view.layout.shape.insert(axis, 1);
        view.layout.strides.insert(axis, 0);
        Ok(view)
    }

    /// Without `axis`, which has length 1.
    ///
    /// # Errors
    /// When there is no such axis or it is longer.
    pub fn squeeze(&self, axis: usize) -> Result<Self> {
        self.check_axis("squeeze", axis)?;
        if self.shape()[axis] != 1 {
            let expected = format!("with length 1 along axis {axis}");
            return Err(Error::Shape { op: "squeeze", expected, got: self.shape().to_vec() });
        }
        let mut view = self.clone();
        view.layout.shape.remove(axis);
        view.layout.strides.remove(axis);
        Ok(view)
    }

    pub(crate) fn check_axis(&self, op: &'static str, axis: usize) -> Result<()> {
        match axis < self.rank() {
            true => Ok(()),
            false => Err(Error::Axis { op, axis, shape: self.shape().to_vec() }),
        }
    }
}
