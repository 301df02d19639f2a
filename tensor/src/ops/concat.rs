//! Tensors one behind the other.

use ndarray::{Axis, concatenate};

use crate::{DType, Element, Error, Result, Tensor};

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
    match first.dtype() {
        DType::F32 => join::<f32>(parts, axis),
        DType::F64 => join::<f64>(parts, axis),
        DType::U32 => join::<u32>(parts, axis),
        got => Err(Error::DType { op: OP, expected: "f32, f64 or u32", got }),
    }
}

fn join<T: Element>(parts: &[&Tensor], axis: usize) -> Result<Tensor> {
    let views = parts.iter().map(|t| t.view::<T>()).collect::<Result<Vec<_>>>()?;
    let joined = concatenate(Axis(axis), &views).map_err(|_| Error::Shapes {
        op: OP,
        left: parts[0].shape().to_vec(),
        right: parts.last().expect("not empty").shape().to_vec(),
    })?;
    Ok(Tensor::from_ndarray(&joined))
}
