//! The affine map of a layer; see [`kernels::matmul`].
//!
//! ```text
//! forward    y = x w^T + b        x [.., I], w [O, I], b [O] -> y [.., O]
//! backward   dx = dy w            dw = dy^T x           db = sum of dy over rows
//! ```
//!
//! The bias is added while the product is written: one pass over y. Weights are stored `[O, I]`, as in
//! PyTorch checkpoints.

use kernels::matmul::{MatMut, MatRef, Store, gemm, reference};

use super::{Floats, expect_shape, floats, last_axis, matrix, wide};
use crate::{Result, Tensor};

const OP: &str = "linear";

/// y = x w^T + b; `b` may be absent.
///
/// # Errors
/// When the shapes do not fit or the dtypes differ.
pub fn forward(x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Tensor> {
    let (o, i) = matrix(OP, w)?;
    let rows = rows_of(x, i)?;
    let (x, w) = (x.contiguous(), w.contiguous());
    let b = b.map_or_else(|| Tensor::zeros(&[o]).to_dtype(x.dtype()), Tensor::contiguous);
    expect_shape(OP, &b, &[o])?;
    let mut shape = x.shape().to_vec();
    *shape.last_mut().expect("checked by rows_of") = o;
    Ok(match floats(OP, [&x, &w, &b])? {
        Floats::F32([x, w, b]) => Tensor::build(&shape, |y| {
            let store = Store { bias: Some(b), ..Store::default() };
            let (x, w) = (MatRef::new(x, rows, i), MatRef::new(w, o, i));
            gemm(x, w.t(), MatMut::new(y, rows, o), store);
        }),
        Floats::F64([x, w, b]) => {
            let mut y = reference::product(x, &reference::transpose(w, o, i), rows, o);
            y.chunks_mut(o.max(1)).for_each(|row| row.iter_mut().zip(b).for_each(|(y, b)| *y += b));
            wide(y, &shape)
        }
    })
}

/// dx `[.., I]` from dy `[.., O]` and w `[O, I]`.
///
/// # Errors
/// When the shapes do not fit or the dtypes differ.
pub fn backward_input(dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (o, i) = matrix(OP, w)?;
    let rows = rows_of(dy, o)?;
    let (dy, w) = (dy.contiguous(), w.contiguous());
    let mut shape = dy.shape().to_vec();
    *shape.last_mut().expect("checked by rows_of") = i;
    Ok(match floats(OP, [&dy, &w])? {
        Floats::F32([dy, w]) => Tensor::build(&shape, |dx| {
            let (dy, w) = (MatRef::new(dy, rows, o), MatRef::new(w, o, i));
            gemm(dy, w, MatMut::new(dx, rows, i), Store::default());
        }),
        Floats::F64([dy, w]) => wide(reference::product(dy, w, rows, i), &shape),
    })
}

/// dw `[O, I]` from x `[.., I]` and dy `[.., O]`.
///
/// # Errors
/// When the shapes do not fit or the dtypes differ.
pub fn backward_weight(x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let (i, o) = (last_axis(OP, x)?, last_axis(OP, dy)?);
    let rows = rows_of(x, i)?;
    expect_shape(OP, &dy.reshape(&[dy.len() / o, o])?, &[rows, o])?;
    let (x, dy) = (x.contiguous(), dy.contiguous());
    Ok(match floats(OP, [&x, &dy])? {
        Floats::F32([x, dy]) => Tensor::build(&[o, i], |dw| {
            let (x, dy) = (MatRef::new(x, rows, i), MatRef::new(dy, rows, o));
            gemm(dy.t(), x, MatMut::new(dw, o, i), Store::default());
        }),
        Floats::F64([x, dy]) => {
            wide(reference::product(&reference::transpose(dy, rows, o), x, o, i), &[o, i])
        }
    })
}

/// db `[O]` from dy `[.., O]`.
///
/// # Errors
/// When `dy` is not f32 or f64.
pub fn backward_bias(dy: &Tensor) -> Result<Tensor> {
    super::reduce::sum_to(dy, &[last_axis(OP, dy)?])
}

/// The rows of `x` seen as a matrix with `cols` columns.
fn rows_of(x: &Tensor, cols: usize) -> Result<usize> {
    if last_axis(OP, x)? != cols {
        let expected = format!("[.., {cols}]");
        return Err(crate::Error::Shape { op: OP, expected, got: x.shape().to_vec() });
    }
    Ok(x.len() / cols)
}
