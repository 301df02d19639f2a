//! Arithmetic element by element. Gradients of broadcast operands are summed back to their shape.

use tensor::ops::{elementwise as op, reduce::sum_to};
use tensor::{Binary, DType, Tensor, Unary};

use crate::{Result, Var, record};

impl Var {
    /// self + other, broadcast.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn add(&self, other: &Var) -> Result<Var> {
        self.binary(Binary::Add, other)
    }

    /// self - other, broadcast.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn sub(&self, other: &Var) -> Result<Var> {
        self.binary(Binary::Sub, other)
    }

    /// self * other, element by element, broadcast.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn mul(&self, other: &Var) -> Result<Var> {
        self.binary(Binary::Mul, other)
    }

    /// self / other, element by element, broadcast.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn div(&self, other: &Var) -> Result<Var> {
        self.binary(Binary::Div, other)
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

    fn binary(&self, f: Binary, other: &Var) -> Result<Var> {
        let y = op::binary(f, &self.value, &other.value)?;
        let (a, b) = (self.value.clone(), other.value.clone());
        record(f.name(), [self, other], y, move |dy, [da, db]| {
            let da = da.then(|| left(f, &b, dy).and_then(|d| Ok(sum_to(&d, a.shape())?)));
            let db = db.then(|| right(f, &a, &b, dy).and_then(|d| Ok(sum_to(&d, b.shape())?)));
            Ok([da.transpose()?, db.transpose()?])
        })
    }
}

/// The gradient of a in a op b, before it is summed to a's shape.
fn left(op: Binary, b: &Tensor, dy: &Tensor) -> Result<Tensor> {
    Ok(match op {
        Binary::Add | Binary::Sub => dy.clone(),
        Binary::Mul => dy.mul(b)?,
        Binary::Div => dy.div(b)?,
    })
}

/// The gradient of b in a op b, before it is summed to b's shape.
fn right(op: Binary, a: &Tensor, b: &Tensor, dy: &Tensor) -> Result<Tensor> {
    Ok(match op {
        Binary::Add => dy.clone(),
        Binary::Sub => dy.scale(-1.0)?,
        Binary::Mul => dy.mul(a)?,
        Binary::Div => dy.mul(a)?.div(&b.mul(b)?)?.scale(-1.0)?,
    })
}
