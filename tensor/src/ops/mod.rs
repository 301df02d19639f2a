//! The operations, one file each: check shapes, allocate the result, call the kernel.
//!
//! Every op takes f32, which runs the fast kernel, and f64, which runs the plain definition beside it
//! (`kernels/src/*/reference.rs`). Both operands have the same dtype. Where they are on a GPU, its kernel runs there
//! (`kernels/src/*/cuda.rs`); indices stay on the host. `forward` and `backward` stand
//! together; the derivative rules of `autograd` call them. The ops of a transformer layer also take hidden states
//! in bf16, with parameters, and their gradients, in f32.

pub mod activation;
pub mod adamw;
pub mod add_norm;
pub mod attention;
pub mod bce_with_logits;
pub mod concat;
pub mod cross_entropy;
pub mod dropout;
pub mod elementwise;
pub mod embedding;
pub mod gated;
pub mod layer_norm;
pub mod linear;
pub mod matmul;
mod mean_loss;
pub mod mse;
pub mod pooling;
pub mod reduce;
pub mod residual;
pub mod rotary;
pub mod softmax;
pub mod weighted_cross_entropy;

use half::bf16;

use kernels::cuda::Slice;
use kernels::dropout::Dropout;

use crate::{DType, Device, Error, Result, Tensor};

/// The elements of N contiguous operands of one float type.
pub(crate) enum Floats<'a, const N: usize> {
    /// To the kernels.
    F32([&'a [f32]; N]),
    /// To the definitions.
    F64([&'a [f64]; N]),
    /// f32, to the kernels of the GPU.
    Cuda([Slice<'a>; N]),
}

/// The elements of contiguous operands, which must be all f32 or all f64, on one device.
pub(crate) fn floats<'a, const N: usize>(
    op: &'static str,
    operands: [&'a Tensor; N],
) -> Result<Floats<'a, N>> {
    let dtype = operands[0].dtype();
    let refuse = |expected, got| Err(Error::DType { op, expected, got });
    if let Some(other) = operands.iter().find(|t| t.dtype() != dtype) {
        return refuse(dtype.name(), other.dtype());
    }
    if on_gpu(op, operands)? {
        return match dtype {
            DType::F32 => Ok(Floats::Cuda(arrays(op, operands)?)),
            other => refuse("f32 on a GPU", other),
        };
    }
    match dtype {
        DType::F32 => Ok(Floats::F32(slices(operands)?)),
        DType::F64 => Ok(Floats::F64(slices(operands)?)),
        other => refuse("f32 or f64", other),
    }
}

/// The elements of N contiguous hidden states of one type.
pub(crate) enum Hidden<'a, const N: usize> {
    /// To the kernels.
    F32([&'a [f32]; N]),
    /// To the same kernels.
    BF16([&'a [bf16]; N]),
    /// To the definitions.
    F64([&'a [f64]; N]),
    /// All f32 or all bf16, to the kernels of the GPU.
    Cuda([Slice<'a>; N]),
}

/// The elements of contiguous hidden states, which must be all f32, all bf16 or all f64, on one device.
pub(crate) fn hidden<'a, const N: usize>(
    op: &'static str,
    operands: [&'a Tensor; N],
) -> Result<Hidden<'a, N>> {
    if operands.iter().all(|t| t.dtype() == DType::BF16) {
        return Ok(match on_gpu(op, operands)? {
            true => Hidden::Cuda(arrays(op, operands)?),
            false => Hidden::BF16(slices(operands)?),
        });
    }
    Ok(match floats(op, operands)? {
        Floats::F32(x) => Hidden::F32(x),
        Floats::F64(x) => Hidden::F64(x),
        Floats::Cuda(x) => Hidden::Cuda(x),
    })
}

/// The error of hidden states and parameters that do not go together.
pub(crate) fn mixed(op: &'static str, x: &Tensor, w: &Tensor) -> Error {
    let expected = if w.dtype() == DType::F64 { "f64" } else { "f32 or bf16" };
    Error::DType { op, expected, got: x.dtype() }
}

fn slices<T: crate::Element, const N: usize>(operands: [&Tensor; N]) -> Result<[&[T]; N]> {
    let mut slices: [&[T]; N] = [&[]; N];
    for (slice, tensor) in slices.iter_mut().zip(operands) {
        *slice = tensor.as_slice()?;
    }
    Ok(slices)
}

fn arrays<'a, const N: usize>(
    op: &'static str,
    operands: [&'a Tensor; N],
) -> Result<[Slice<'a>; N]> {
    // The first stands in for the others until they come.
    let mut arrays = [operands[0].as_array(op)?; N];
    for (array, tensor) in arrays.iter_mut().zip(operands) {
        *array = tensor.as_array(op)?;
    }
    Ok(arrays)
}

/// One f32 on the GPU of `x`, such as the gradient of a loss: kernels read it there, no one waits for it.
pub(crate) fn gpu_scalar<'a>(
    op: &'static str,
    x: &Tensor,
    scalar: &'a Tensor,
) -> Result<Slice<'a>> {
    on_gpu(op, [x, scalar])?;
    if scalar.len() != 1 {
        let expected = "of one element".to_owned();
        return Err(Error::Shape { op, expected, got: scalar.shape().to_vec() });
    }
    match scalar.dtype() {
        DType::F32 => scalar.as_array(op),
        got => Err(Error::DType { op, expected: "f32", got }),
    }
}

/// Whether the operands are on a GPU; an error when they are on several devices.
pub(crate) fn on_gpu<const N: usize>(op: &'static str, operands: [&Tensor; N]) -> Result<bool> {
    let device = operands[0].device();
    match operands.iter().map(|t| t.device()).find(|d| *d != device) {
        Some(got) => Err(Error::Device { op, expected: device.to_string(), got }),
        None => Ok(device != Device::Cpu),
    }
}

/// Each operand in row-major order; see [`Tensor::contiguous`].
pub(crate) fn dense<const N: usize>(operands: [&Tensor; N]) -> Result<[Tensor; N]> {
    let mut dense = operands.map(Tensor::clone);
    for tensor in &mut dense {
        *tensor = tensor.contiguous()?;
    }
    Ok(dense)
}

/// A new tensor of `shape` from f64 values.
pub(crate) fn wide(values: Vec<f64>, shape: &[usize]) -> Tensor {
    Tensor::from_vec(values, shape).expect("a definition returns as many elements as its shape has")
}

/// A scalar result of an f64 definition.
pub(crate) fn wide_scalar(value: f64) -> Tensor {
    wide(vec![value], &[])
}

/// The length of the last axis, which must exist and not be 0.
pub(crate) fn last_axis(op: &'static str, x: &Tensor) -> Result<usize> {
    match x.shape().last() {
        Some(&n) if n > 0 => Ok(n),
        _ => Err(Error::Shape { op, expected: "[.., n > 0]".into(), got: x.shape().to_vec() }),
    }
}

/// An error unless the shapes are equal.
pub(crate) fn same_shape(op: &'static str, a: &Tensor, b: &Tensor) -> Result<()> {
    match a.shape() == b.shape() {
        true => Ok(()),
        false => Err(Error::Shapes { op, left: a.shape().to_vec(), right: b.shape().to_vec() }),
    }
}

/// An error unless `x` has exactly this shape.
pub(crate) fn expect_shape(op: &'static str, x: &Tensor, shape: &[usize]) -> Result<()> {
    match x.shape() == shape {
        true => Ok(()),
        false => Err(Error::Shape { op, expected: format!("{shape:?}"), got: x.shape().to_vec() }),
    }
}

/// The rows and columns of a matrix.
pub(crate) fn matrix(op: &'static str, x: &Tensor) -> Result<(usize, usize)> {
    match x.shape() {
        &[rows, cols] => Ok((rows, cols)),
        got => Err(Error::Shape { op, expected: "[rows, columns]".into(), got: got.to_vec() }),
    }
}

/// Token ids or labels: u32, each below `limit`.
pub(crate) fn indices<'a>(op: &'static str, ids: &'a Tensor, limit: usize) -> Result<&'a [u32]> {
    if ids.dtype() != DType::U32 {
        return Err(Error::DType { op, expected: "u32", got: ids.dtype() });
    }
    let ids = ids.as_slice::<u32>()?;
    match ids.iter().position(|&id| id as usize >= limit) {
        None => Ok(ids),
        Some(position) => {
            Err(Error::Index { op, index: u64::from(ids[position]), position, limit })
        }
    }
}

/// An error unless what dropout keeps can be scaled: p = 1 keeps nothing.
pub(crate) fn droppable(op: &'static str, dropout: Option<Dropout>) -> Result<()> {
    match dropout {
        Some(Dropout { p, .. }) if !(0.0..1.0).contains(&p) => Err(Error::Dropout { op, p }),
        _ => Ok(()),
    }
}

/// An error for a mean over nothing.
pub(crate) fn not_empty(op: &'static str, x: &Tensor) -> Result<()> {
    match x.is_empty() {
        false => Ok(()),
        true => Err(Error::Shape {
            op,
            expected: "with at least one element".into(),
            got: x.shape().to_vec(),
        }),
    }
}
