//! The everyday operations as methods; each is one of [`ops`](crate::ops).

use crate::ops::{elementwise, matmul, reduce};
use crate::{Binary, Result, Tensor};

impl Tensor {
    /// self + other, broadcast.
    ///
    /// # Errors
    /// When the shapes do not fit or the dtypes differ.
    pub fn add(&self, other: &Tensor) -> Result<Tensor> {
        elementwise::binary(Binary::Add, self, other)
    }

    /// self - other, broadcast.
    ///
    /// # Errors
    /// When the shapes do not fit or the dtypes differ.
    pub fn sub(&self, other: &Tensor) -> Result<Tensor> {
        elementwise::binary(Binary::Sub, self, other)
    }

    /// self * other, element by element, broadcast.
    ///
    /// # Errors
    /// When the shapes do not fit or the dtypes differ.
    pub fn mul(&self, other: &Tensor) -> Result<Tensor> {
        elementwise::binary(Binary::Mul, self, other)
    }

    /// self / other, element by element, broadcast.
    ///
    /// # Errors
    /// When the shapes do not fit or the dtypes differ.
    pub fn div(&self, other: &Tensor) -> Result<Tensor> {
        elementwise::binary(Binary::Div, self, other)
    }

    /// alpha * self.
    ///
    /// # Errors
    /// When the dtype is not f32 or f64.
    pub fn scale(&self, alpha: f64) -> Result<Tensor> {
        elementwise::scale(alpha, self)
    }

    /// The matrix product, `[.., M, K] [.., K, N] -> [.., M, N]`.
    ///
    /// # Errors
    /// When the shapes do not fit or the dtypes differ.
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        matmul::forward(self, other)
    }

    /// The sum of all elements, a scalar.
    ///
    /// # Errors
    /// When the dtype is not f32 or f64.
    pub fn sum(&self) -> Result<Tensor> {
        reduce::sum(self)
    }

    /// The mean of all elements, a scalar.
    ///
    /// # Errors
    /// When the dtype is not f32 or f64, or there are no elements.
    pub fn mean(&self) -> Result<Tensor> {
        reduce::mean(self)
    }
}
