//! Tensors one behind the other.

use kernels::copy;
use ndarray::{Axis, concatenate};

use crate::{DType, Device, Element, Error, Result, Tensor};

const OP: &str = "concat";

/// Joins tensors along `axis`; the other axes have equal lengths.
///
/// # Errors
/// When there are none, or their shapes or dtypes do not fit.
pub fn forward(parts: &[&Tensor], axis: usize) -> Result<Tensor> {
    let first = parts.first().ok_or_else(|| Error::Shape {
        op: OP,
        expected: "at least one tensor".into(),
        got: vec![],
    })?;
    first.check_axis(OP, axis)?;
    parts.iter().try_for_each(|part| check(first, part, axis))?;
    match first.dtype() {
        DType::F32 | DType::U32 if first.device() != Device::Cpu => join_on_gpu(parts, axis),
        DType::F32 => join::<f32>(parts, axis),
        DType::F64 => join::<f64>(parts, axis),
        DType::U32 => join::<u32>(parts, axis),
        got => Err(Error::DType { op: OP, expected: "f32, f64 or u32", got }),
    }
}

fn check(first: &Tensor, part: &Tensor, axis: usize) -> Result<()> {
    super::on_gpu(OP, [first, part])?;
    if part.dtype() != first.dtype() {
        return Err(Error::DType { op: OP, expected: first.dtype().name(), got: part.dtype() });
    }
    let mut pairs = first.shape().iter().zip(part.shape()).enumerate();
    if part.rank() != first.rank() || pairs.any(|(i, (n, m))| i != axis && n != m) {
        let (left, right) = (first.shape().to_vec(), part.shape().to_vec());
        return Err(Error::Shapes { op: OP, left, right });
    }
    Ok(())
}

fn join<T: Element>(parts: &[&Tensor], axis: usize) -> Result<Tensor> {
    let views = parts.iter().map(|t| t.view::<T>()).collect::<Result<Vec<_>>>()?;
    let joined = concatenate(Axis(axis), &views).expect("shapes were checked");
    Ok(Tensor::from_ndarray(&joined))
}

/// The axes before `axis` are rows, the others columns: the parts lie side by side.
fn join_on_gpu(parts: &[&Tensor], axis: usize) -> Result<Tensor> {
    let mut shape = parts[0].shape().to_vec();
    shape[axis] = parts.iter().map(|part| part.shape()[axis]).sum();
    let parts = parts.iter().map(|part| part.contiguous()).collect::<Result<Vec<_>>>()?;
    let arrays = parts.iter().map(|part| part.as_array(OP)).collect::<Result<Vec<_>>>()?;
    let rows = shape[..axis].iter().product();
    Ok(Tensor::from_array(copy::cuda::side_by_side(&arrays, rows)?, &shape))
}
