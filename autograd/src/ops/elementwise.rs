//! Arithmetic element by element. Gradients of broadcast operands are summed back to their shape. Sums and differences
//! keep no operand.

use tensor::ops::{elementwise as op, reduce::sum_to};
use tensor::{DType, Tensor, Unary};

use crate::{Result, Var, record};

impl Var {
    /// self + other, broadcast.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn add(&self, other: &Var) -> Result<Var> {
        let (y, [a, b]) = (self.value.add(&other.value)?, shapes(self, other));
        record("add", [self, other], y, move |dy, [da, db]| {
            Ok([share(da, || Ok(dy.clone()), &a)?, share(db, || Ok(dy.clone()), &b)?])
        })
    }

    /// self - other, broadcast.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn sub(&self, other: &Var) -> Result<Var> {
        let (y, [a, b]) = (self.value.sub(&other.value)?, shapes(self, other));
        record("sub", [self, other], y, move |dy, [da, db]| {
            Ok([share(da, || Ok(dy.clone()), &a)?, share(db, || Ok(dy.scale(-1.0)?), &b)?])
        })
    }

    /// self * other, element by element, broadcast.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn mul(&self, other: &Var) -> Result<Var> {
        let (a, b) = (self.value.clone(), other.value.clone());
        record("mul", [self, other], a.mul(&b)?, move |dy, [da, db]| {
            let da = share(da, || Ok(dy.mul(&b)?), a.shape())?;
            Ok([da, share(db, || Ok(dy.mul(&a)?), b.shape())?])
        })
    }

    /// self / other, element by element, broadcast.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn div(&self, other: &Var) -> Result<Var> {
        let (b, [a_shape, b_shape]) = (other.value.clone(), shapes(self, other));
        let y = self.value.div(&b)?;
        let saved = y.clone();
        record("div", [self, other], y, move |dy, [da, db]| {
            let da = share(da, || Ok(dy.div(&b)?), &a_shape)?;
            // Not dy a / b^2: b^2 leaves the range of f32 where the derivative does not.
            let by_b = || Ok(dy.mul(&saved)?.div(&b)?.scale(-1.0)?);
            Ok([da, share(db, by_b, &b_shape)?])
        })
    }

    /// y = f(x), element by element.
    ///
    /// # Errors
    /// When the dtype is not f32 or f64.
    pub fn unary(&self, f: Unary) -> Result<Var> {
        let y = op::unary(f, &self.value)?;
        let (x, saved) = (self.value.clone(), y.clone());
        record("unary", [self], y, move |dy, _| Ok([Some(op::unary_backward(f, &x, &saved, dy)?)]))
    }

    /// alpha * self.
    ///
    /// # Errors
    /// When the dtype is not f32 or f64.
    pub fn scale(&self, alpha: f64) -> Result<Var> {
        let y = op::scale(alpha, &self.value)?;
        record("scale", [self], y, move |dy, _| Ok([Some(op::scale(alpha, dy)?)]))
    }

    /// The same values in another float type; the gradient is turned back.
    ///
    /// # Errors
    /// When this variable is on a tape that was walked.
    pub fn to_dtype(&self, dtype: DType) -> Result<Var> {
        let from = self.value.dtype();
        if dtype == from {
            return Ok(self.clone());
        }
        let y = self.value.to_dtype(dtype)?;
        record("to_dtype", [self], y, move |dy, _| Ok([Some(dy.to_dtype(from)?)]))
    }
}

fn shapes(a: &Var, b: &Var) -> [Vec<usize>; 2] {
    [a, b].map(|operand| operand.shape().to_vec())
}

/// A gradient of the shape of the result, summed to that of the operand; none if none is wanted.
fn share(
    wanted: bool,
    gradient: impl FnOnce() -> Result<Tensor>,
    shape: &[usize],
) -> Result<Option<Tensor>> {
    wanted.then(|| Ok(sum_to(&gradient()?, shape)?)).transpose()
}
