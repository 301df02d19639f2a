//! Sums, means and the place of the greatest; see [`kernels::reduce`].

use kernels::reduce;
use ndarray::Axis;

use super::{Floats, floats, matrix, wide_scalar};
use crate::shape::broadcast_shapes;
use crate::{DType, Device, Error, Result, Tensor};

const OP: &str = "sum";

/// The sum of all elements, a scalar.
///
/// # Errors
/// When `x` is not f32 or f64.
pub fn sum(x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    Ok(match floats(OP, [&x])? {
        Floats::Cuda([v]) => Tensor::from_array(reduce::cuda::sum(v)?, &[]),
        Floats::F32([x]) => Tensor::scalar(reduce::sum(x)),
        Floats::F64([x]) => wide_scalar(x.iter().sum()),
    })
}

/// The mean of all elements, a scalar.
///
/// # Errors
/// When `x` is not f32 or f64, or empty.
pub fn mean(x: &Tensor) -> Result<Tensor> {
    super::not_empty("mean", x)?;
    super::elementwise::scale(1.0 / x.len() as f64, &sum(x)?)
}

/// The sum along `axis`, which goes away.
///
/// # Errors
/// When there is no such axis or `x` is not f32 or f64.
pub fn sum_axis(x: &Tensor, axis: usize) -> Result<Tensor> {
    x.check_axis("sum_axis", axis)?;
    match (x.dtype(), x.rank()) {
        (DType::F32, _) if x.device() != Device::Cpu => sum_axis_on_gpu(x, axis),
        (DType::F32, 2) if axis == 0 => column_sums(x),
        (DType::F32, _) => Ok(Tensor::from_ndarray(&x.view::<f32>()?.sum_axis(Axis(axis)))),
        (DType::F64, _) => Ok(Tensor::from_ndarray(&x.view::<f64>()?.sum_axis(Axis(axis)))),
        (got, _) => Err(Error::DType { op: "sum_axis", expected: "f32 or f64", got }),
    }
}

/// The mean along `axis`, which goes away.
///
/// # Errors
/// As [`sum_axis`], and when the axis has length 0.
pub fn mean_axis(x: &Tensor, axis: usize) -> Result<Tensor> {
    x.check_axis("mean_axis", axis)?;
    let n = x.shape()[axis];
    if n == 0 {
        let expected = format!("with at least one element along axis {axis}");
        return Err(Error::Shape { op: "mean_axis", expected, got: x.shape().to_vec() });
    }
    super::elementwise::scale(1.0 / n as f64, &sum_axis(x, axis)?)
}

/// Sums `x` down to `shape`, from which it could have been broadcast: the derivative of broadcasting. Sums of bf16 are
/// f32 and rounded once.
///
/// # Errors
/// When `shape` does not broadcast to that of `x`.
pub fn sum_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if x.shape() == shape {
        return Ok(x.clone());
    }
    if broadcast_shapes("sum_to", x.shape(), shape)? != x.shape() {
        let (left, right) = (x.shape().to_vec(), shape.to_vec());
        return Err(Error::Shapes { op: "sum_to", left, right });
    }
    if x.dtype() == DType::BF16 {
        return sum_to(&x.to_dtype(DType::F32)?, shape)?.to_dtype(DType::BF16);
    }
    let missing = x.rank() - shape.len();
    let lead: usize = x.shape()[..missing].iter().product();
    let mut y = x.reshape(&[&[lead], &x.shape()[missing..]].concat())?;
    y = match y.rank() {
        2 => sum_axis(&y, 0)?,
        _ => flat_column_sums(&y)?,
    };
    for (axis, &n) in shape.iter().enumerate() {
        if n == 1 && y.shape()[axis] != 1 {
            y = sum_axis(&y, axis)?.unsqueeze(axis)?;
        }
    }
    Ok(y)
}

/// The index of the greatest element of each row, the first of equals: `[rows, n] -> [rows]`, u32.
///
/// # Errors
/// When `x` is no f32 matrix or has no columns.
pub fn row_argmax(x: &Tensor) -> Result<Tensor> {
    let ((rows, _), cols) = (matrix("row_argmax", x)?, super::last_axis("row_argmax", x)?);
    let x = x.contiguous()?;
    match floats("row_argmax", [&x])? {
        Floats::Cuda([x]) => Ok(Tensor::from_array(reduce::cuda::row_argmax(x, cols)?, &[rows])),
        _ => {
            let mut indices = vec![0u32; rows];
            reduce::row_argmax(x.as_slice()?, cols, &mut indices);
            Tensor::from_vec(indices, &[rows])
        }
    }
}

/// The sum of the squares of all elements, in f64.
///
/// # Errors
/// When `x` is not f32 or f64.
pub fn sum_squares(x: &Tensor) -> Result<f64> {
    let x = x.contiguous()?;
    Ok(match floats("sum_squares", [&x])? {
        Floats::Cuda([x]) => reduce::cuda::sum_squares(x)?,
        Floats::F32([x]) => reduce::sum_squares(x),
        Floats::F64([x]) => x.iter().map(|x| x * x).sum(),
    })
}

/// Sums over the first axis of a tensor of any rank.
fn flat_column_sums(x: &Tensor) -> Result<Tensor> {
    let (rows, rest) = (x.shape()[0], &x.shape()[1..]);
    let cols = rest.iter().product();
    sum_axis(&x.reshape(&[rows, cols])?, 0)?.reshape(rest)
}

fn column_sums(x: &Tensor) -> Result<Tensor> {
    let (x, (_, cols)) = (x.contiguous()?, matrix(OP, x)?);
    let x = x.as_slice::<f32>()?;
    Ok(Tensor::build(&[cols], |y| match cols {
        0 => {}
        _ => reduce::column_sums(x, cols, y),
    }))
}

/// The axes before and behind `axis` join to the columns of a matrix whose rows lie along it.
fn sum_axis_on_gpu(x: &Tensor, axis: usize) -> Result<Tensor> {
    let (before, behind) = (&x.shape()[..axis], &x.shape()[axis + 1..]);
    let [outer, inner]: [usize; 2] = [before.iter().product(), behind.iter().product()];
    let matrix = x.reshape(&[outer, x.shape()[axis], inner])?.transpose(0, 1)?.contiguous()?;
    let sums = reduce::cuda::column_sums(matrix.as_array("sum_axis")?, outer * inner)?;
    Ok(Tensor::from_array(sums, &[before, behind].concat()))
}
