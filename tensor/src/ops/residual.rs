//! An update, dropped out and added to the residual stream; see [`kernels::residual`].

use half::bf16;
use kernels::dropout::Dropout;
use kernels::residual::{self, reference};

use super::{
    Floats, Hidden, dense, droppable, floats, hidden, last_axis, mixed, on_gpu, same_shape, wide,
};
use crate::{DType, Error, Result, Tensor};

const OP: &str = "residual";

/// s = x + dropout(u), all `[.., H]`: x and s are f32, u is f32 or bf16; or all are f64.
///
/// # Errors
/// When the shapes differ, there is no last axis, the dtypes do not fit, or p is not in [0, 1).
pub fn forward(x: &Tensor, u: &Tensor, dropout: Option<Dropout>) -> Result<Tensor> {
    let h = last_axis(OP, x)?;
    droppable(OP, dropout)?;
    same_shape(OP, x, u)?;
    on_gpu(OP, [x, u])?;
    let dropout = dropout.filter(|d| d.p > 0.0);
    let [x, u] = dense([x, u])?;
    match (floats(OP, [&x])?, hidden(OP, [&u])?) {
        (Floats::F32([xs]), Hidden::F32([us])) => {
            Ok(Tensor::build(x.shape(), |s| residual::forward(xs, us, dropout, h, s)))
        }
        (Floats::F32([xs]), Hidden::BF16([us])) => {
            Ok(Tensor::build(x.shape(), |s| residual::forward(xs, us, dropout, h, s)))
        }
        (Floats::Cuda([xs]), Hidden::Cuda([us])) => {
            let s = residual::cuda::forward(xs, us, dropout, h)?;
            Ok(Tensor::from_array(s, x.shape()))
        }
        (Floats::F64([xs]), Hidden::F64([us])) => {
            Ok(wide(reference::forward(xs, us, dropout, h), x.shape()))
        }
        _ => Err(mixed(OP, &u, &x)),
    }
}

/// du, `[.., H]`, in the dtype `to` of u: that of the stream, or bf16 where it is f32. (dx is ds.)
///
/// # Errors
/// When there is no last axis, the dtypes do not fit, or p is not in [0, 1).
pub fn backward(ds: &Tensor, to: DType, dropout: Option<Dropout>) -> Result<Tensor> {
    let h = last_axis(OP, ds)?;
    droppable(OP, dropout)?;
    let Some(dropout) = dropout.filter(|d| d.p > 0.0) else { return ds.to_dtype(to) };
    let ds = ds.contiguous()?;
    Ok(match (floats(OP, [&ds])?, to) {
        (Floats::F32([v]), DType::F32) => {
            Tensor::build(ds.shape(), |du: &mut [f32]| residual::backward(dropout, v, h, du))
        }
        (Floats::F32([v]), DType::BF16) => {
            Tensor::build(ds.shape(), |du: &mut [bf16]| residual::backward(dropout, v, h, du))
        }
        (Floats::Cuda([v]), to) => {
            let du = residual::cuda::backward(dropout, v, h, to.on_gpu(OP)?)?;
            Tensor::from_array(du, ds.shape())
        }
        (Floats::F64([v]), DType::F64) => {
            wide(reference::backward(v, Some(dropout), h), ds.shape())
        }
        (_, got) => return Err(Error::DType { op: OP, expected: ds.dtype().name(), got }),
    })
}
