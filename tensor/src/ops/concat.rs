//! Tensors one behind the other.

use half::bf16;
use kernels::copy;

use crate::shape::count;
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
        DType::F32 => join::<f32>(parts, axis),
        DType::F64 => join::<f64>(parts, axis),
        DType::BF16 => join::<bf16>(parts, axis),
        DType::U32 => join::<u32>(parts, axis),
        got => Err(Error::DType { op: OP, expected: "f32, f64, bf16 or u32", got }),
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

/// The axes before `axis` are rows, the others columns: the parts lie side by side.
fn join<T: Element>(parts: &[&Tensor], axis: usize) -> Result<Tensor> {
    let mut shape = parts[0].shape().to_vec();
    shape[axis] = parts.iter().map(|part| part.shape()[axis]).sum();
    let rows = shape[..axis].iter().product();
    let parts = parts.iter().map(|part| part.contiguous()).collect::<Result<Vec<_>>>()?;
    if parts[0].device() != Device::Cpu {
        let arrays = parts.iter().map(|part| part.as_array(OP)).collect::<Result<Vec<_>>>()?;
        return Ok(Tensor::from_array(copy::cuda::side_by_side(&arrays, rows)?, &shape));
    }
    let slices = parts.iter().map(|part| part.as_slice::<T>()).collect::<Result<Vec<_>>>()?;
    let fill = |y: &mut [T]| copy::side_by_side(&slices, rows, y);
    Ok(Tensor::wrap(T::filled(count(&shape), fill), &shape))
}
