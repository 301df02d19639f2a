//! Arithmetic element by element, with broadcasting; see [`kernels::elementwise`].

use kernels::elementwise::{self, Binary, Unary, reference};

use super::{Floats, Hidden, floats, hidden, on_gpu, same_shape, wide};
use crate::shape::broadcast_shapes;
use crate::{DType, Result, Tensor};

const OP: &str = "elementwise";

/// y = a op b; the shapes are broadcast by NumPy's rules.
///
/// # Errors
/// When the shapes do not fit or the dtypes differ.
pub fn binary(op: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let shape = broadcast_shapes(op.name(), a.shape(), b.shape())?;
    if let Some(y) = binary_row(op, a, b, &shape)? {
        return Ok(y);
    }
    let (a, b) = (a.broadcast_to(&shape)?.contiguous()?, b.broadcast_to(&shape)?.contiguous()?);
    Ok(match floats(op.name(), [&a, &b])? {
        Floats::Cuda([a, b]) => Tensor::from_array(elementwise::cuda::binary(op, a, b)?, &shape),
        Floats::F32([a, b]) => Tensor::build(&shape, |y| elementwise::binary(op, a, b, y)),
        Floats::F64([a, b]) => wide(reference::binary(op, a, b), &shape),
    })
}

/// The fast path of a vector `b` added to (or times, ...) every row of `a`.
fn binary_row(op: Binary, a: &Tensor, b: &Tensor, shape: &[usize]) -> Result<Option<Tensor>> {
    let row = b.rank() == 1 && a.rank() > 1 && a.shape() == shape && shape.last() == Some(&b.len());
    if !row || a.is_empty() {
        return Ok(None);
    }
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    Ok(match floats(op.name(), [&a, &b])? {
        Floats::Cuda([a, b]) => {
            Some(Tensor::from_array(elementwise::cuda::binary_row(op, a, b)?, shape))
        }
        Floats::F32([a, b]) => Some(Tensor::build(shape, |y| elementwise::binary_row(op, a, b, y))),
        Floats::F64(_) => None,
    })
}

/// y = f(x).
///
/// # Errors
/// When `x` is not f32 or f64.
pub fn unary(f: Unary, x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    Ok(match floats(OP, [&x])? {
        Floats::Cuda([v]) => Tensor::from_array(elementwise::cuda::unary(f, v)?, x.shape()),
        Floats::F32([v]) => Tensor::build(x.shape(), |y| elementwise::unary(f, v, y)),
        Floats::F64([v]) => wide(reference::unary(f, v), x.shape()),
    })
}

/// dx = f'(x) dy, from the input `x`, the output `y` and its gradient `dy`.
///
/// # Errors
/// When the shapes or dtypes differ.
pub fn unary_backward(f: Unary, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Tensor> {
    same_shape(OP, x, dy)?;
    same_shape(OP, x, y)?;
    let (x, y, dy) = (x.contiguous()?, y.contiguous()?, dy.contiguous()?);
    Ok(match floats(OP, [&x, &y, &dy])? {
        Floats::Cuda([v, y, d]) => {
            Tensor::from_array(elementwise::cuda::unary_backward(f, v, y, d)?, x.shape())
        }
        Floats::F32([v, y, d]) => {
            Tensor::build(x.shape(), |dx| elementwise::unary_backward(f, v, y, d, dx))
        }
        Floats::F64([v, _, d]) => wide(reference::unary_backward(f, v, d), x.shape()),
    })
}

/// y = alpha x.
///
/// # Errors
/// When `x` is not f32 or f64.
pub fn scale(alpha: f64, x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    Ok(match floats("scale", [&x])? {
        Floats::Cuda([v]) => {
            Tensor::from_array(elementwise::cuda::scale(alpha as f32, v)?, x.shape())
        }
        Floats::F32([v]) => Tensor::build(x.shape(), |y| elementwise::scale(alpha as f32, v, y)),
        Floats::F64([v]) => wide(v.iter().map(|v| alpha * v).collect(), x.shape()),
    })
}

/// y += x; the shapes are equal. The memory of `y` is used again if no other tensor shares it.
///
/// # Errors
/// When the shapes or dtypes differ.
pub fn add_assign(y: &mut Tensor, x: &Tensor) -> Result<()> {
    same_shape("add", y, x)?;
    let x = x.contiguous()?;
    on_gpu("add", [y, &x])?;
    match (y.dtype(), hidden("add", [&x])?) {
        (DType::F32, Hidden::F32([x])) => elementwise::add_assign(y.make_mut()?, x),
        (DType::BF16, Hidden::BF16([x])) => elementwise::add_assign(y.make_mut_of()?, x),
        (dtype, Hidden::Cuda([v])) if dtype == x.dtype() => {
            elementwise::cuda::add_assign(y.make_array_mut("add")?, v)?;
        }
        _ => *y = binary(Binary::Add, y, &x)?,
    }
    Ok(())
}
