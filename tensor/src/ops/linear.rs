//! The affine map of a layer; see [`kernels::matmul`].
//!
//! ```text
//! forward    y = x w^T + b        x [.., I], w [O, I], b [O] -> y [.., O]
//! backward   dx = dy w            dw = dy^T x           db = sum of dy over rows
//! ```
//!
//! The bias is added while the product is written: one pass over y. On a GPU so is a sum that y or dx is to be added
//! to; the CPU, whose product adds up parts of K in C, adds it in a second pass. Weights are stored `[O, I]`, as in
//! PyTorch checkpoints.

use kernels::cuda::{self, Slice};
use kernels::matmul::cuda::{self as matmul, After, Linear};
use kernels::matmul::{Store, gemm, reference};
use kernels::reduce;

use super::{
    Floats, Hidden, activation, elementwise, expect_shape, floats, hidden, last_axis, matrix,
    mixed, on_gpu, wide,
};
use crate::dtype::HiddenElement;
use crate::{Activation, Device, Element, Error, Result, Tensor};

const OP: &str = "linear";

/// y = x w^T + b; `b` may be absent. y has the dtype of x; w and b are f32 where x is bf16.
///
/// # Errors
/// When the shapes do not fit or the dtypes differ.
pub fn forward(x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Tensor> {
    let Operands { x, w, b, layer, shape } = Operands::new(x, w, b)?;
    Ok(match (hidden(OP, [&x])?, floats(OP, [&w])?) {
        (Hidden::F32([x]), Floats::F32([w])) => run(x, w, values(&b)?, layer, &shape),
        (Hidden::BF16([x]), Floats::F32([w])) => run(x, w, values(&b)?, layer, &shape),
        (Hidden::Cuda([x]), Floats::Cuda([w])) => {
            let bias = b.as_ref().map(|b| b.as_array(OP)).transpose()?;
            let after = After { bias, ..After::default() };
            Tensor::from_array(matmul::forward(x, like(w, x)?, layer, after)?, &shape)
        }
        (Hidden::F64([x]), Floats::F64([w])) => {
            let Linear { rows, inputs: i, outputs: o } = layer;
            let mut y = reference::product(x, &reference::transpose(w, o, i), rows, o);
            if let Some(b) = values(&b)? {
                let add = |row: &mut [f64]| row.iter_mut().zip(b).for_each(|(y, b)| *y += b);
                y.chunks_mut(o.max(1)).for_each(add);
            }
            wide(y, &shape)
        }
        _ => return Err(mixed(OP, &x, &w)),
    })
}

/// z = x w^T + b and f(z). On a GPU GELU is made while the product is written.
///
/// # Errors
/// When the shapes do not fit or the dtypes differ.
pub fn forward_activated(f: Activation, x: &Tensor, w: &Tensor, b: &Tensor) -> Result<[Tensor; 2]> {
    if x.device() == Device::Cpu || f != Activation::Gelu {
        let z = forward(x, w, Some(b))?;
        let y = activation::forward(f, &z)?;
        return Ok([z, y]);
    }
    let Operands { x, w, b, layer, shape } = Operands::new(x, w, Some(b))?;
    match (hidden(OP, [&x])?, floats(OP, [&w])?) {
        (Hidden::Cuda([x]), Floats::Cuda([w])) => {
            let bias = b.as_ref().map(|b| b.as_array(OP)).transpose()?;
            let after = After { bias, ..After::default() };
            let both = matmul::forward_gelu(x, like(w, x)?, layer, after)?;
            Ok(both.map(|array| Tensor::from_array(array, &shape)))
        }
        _ => Err(mixed(OP, &x, &w)),
    }
}

/// `sum` + x w^T, in the shape and dtype of `sum` `[.., O]`, which stays as it is.
///
/// # Errors
/// As [`forward`].
pub fn forward_onto(sum: &Tensor, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    if x.device() == Device::Cpu {
        return plus(forward(x, w, None)?, Some(sum));
    }
    let Operands { x, w, layer, shape, .. } = Operands::new(x, w, None)?;
    let sum = addend(sum, &x, &shape)?;
    match (hidden(OP, [&x, &sum])?, floats(OP, [&w])?) {
        (Hidden::Cuda([x, sum]), Floats::Cuda([w])) => {
            let after = After { residual: Some(sum), ..After::default() };
            Ok(Tensor::from_array(matmul::forward(x, like(w, x)?, layer, after)?, &shape))
        }
        _ => Err(mixed(OP, &x, &w)),
    }
}

/// `sum`, which a product of this shape and of the dtype of `x` is to be added to, as the GPU reads it.
fn addend(sum: &Tensor, x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    expect_shape(OP, sum, shape)?;
    on_gpu(OP, [x, sum])?;
    match sum.dtype() == x.dtype() {
        true => sum.contiguous(),
        false => Err(mixed(OP, sum, x)),
    }
}

/// y, and `sum` added to it if there is one.
fn plus(mut y: Tensor, sum: Option<&Tensor>) -> Result<Tensor> {
    if let Some(sum) = sum {
        elementwise::add_assign(&mut y, sum)?;
    }
    Ok(y)
}

/// What a forward takes, in row-major order and checked.
struct Operands {
    x: Tensor,
    w: Tensor,
    b: Option<Tensor>,
    layer: Linear,
    /// Of y.
    shape: Vec<usize>,
}

impl Operands {
    fn new(x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Self> {
        let (outputs, inputs) = matrix(OP, w)?;
        let layer = Linear { rows: rows_of(x, inputs)?, inputs, outputs };
        let (x, w) = (x.contiguous()?, w.contiguous()?);
        on_gpu(OP, [&x, &w])?;
        let b = b.map(Tensor::contiguous).transpose()?;
        if let Some(b) = &b {
            expect_shape(OP, b, &[outputs])?;
            // Of one dtype, on one device.
            floats(OP, [&w, b])?;
        }
        let mut shape = x.shape().to_vec();
        *shape.last_mut().expect("checked by rows_of") = outputs;
        Ok(Self { x, w, b, layer, shape })
    }
}

/// The elements of a bias, if there is one.
fn values<T: Element>(b: &Option<Tensor>) -> Result<Option<&[T]>> {
    b.as_ref().map(Tensor::as_slice).transpose()
}

fn run<E: HiddenElement>(
    x: &[E],
    w: &[f32],
    bias: Option<&[f32]>,
    layer: Linear,
    shape: &[usize],
) -> Tensor {
    let Linear { rows, inputs: i, outputs: o } = layer;
    Tensor::build(shape, |y: &mut [E]| {
        let store = Store { bias, ..Store::default() };
        gemm(E::matrix(x, rows, i), f32::matrix(w, o, i).t(), E::matrix_mut(y, rows, o), store);
    })
}

/// dx `[.., I]` from dy `[.., O]` and w `[O, I]`, added to `sum` if there is one, which stays as it is; dx and `sum`
/// have the dtype of dy.
///
/// # Errors
/// When the shapes do not fit or the dtypes differ.
pub fn backward_input(dy: &Tensor, w: &Tensor, sum: Option<&Tensor>) -> Result<Tensor> {
    let (o, i) = matrix(OP, w)?;
    let rows = rows_of(dy, o)?;
    let (dy, w) = (dy.contiguous()?, w.contiguous()?);
    on_gpu(OP, [&dy, &w])?;
    let mut shape = dy.shape().to_vec();
    *shape.last_mut().expect("checked by rows_of") = i;
    let dx = match (hidden(OP, [&dy])?, floats(OP, [&w])?) {
        (Hidden::F32([dy]), Floats::F32([w])) => run_input(dy, w, [rows, o, i], &shape),
        (Hidden::BF16([dy]), Floats::F32([w])) => run_input(dy, w, [rows, o, i], &shape),
        (Hidden::Cuda([d]), Floats::Cuda([w])) => {
            let sum = sum.map(|sum| addend(sum, &dy, &shape)).transpose()?;
            let residual = sum.as_ref().map(|sum| sum.as_array(OP)).transpose()?;
            let after = After { residual, ..After::default() };
            let layer = Linear { rows, inputs: i, outputs: o };
            let dx = matmul::backward_input(d, like(w, d)?, layer, after)?;
            return Ok(Tensor::from_array(dx, &shape));
        }
        (Hidden::F64([dy]), Floats::F64([w])) => wide(reference::product(dy, w, rows, i), &shape),
        _ => return Err(mixed(OP, &dy, &w)),
    };
    plus(dx, sum)
}

fn run_input<E: HiddenElement>(
    dy: &[E],
    w: &[f32],
    [rows, o, i]: [usize; 3],
    shape: &[usize],
) -> Tensor {
    Tensor::build(shape, |dx: &mut [E]| {
        let (dy, w) = (E::matrix(dy, rows, o), f32::matrix(w, o, i));
        gemm(dy, w, E::matrix_mut(dx, rows, i), Store::default());
    })
}

/// dw `[O, I]` from x `[.., I]` and dy `[.., O]`; f32 where they are bf16.
///
/// # Errors
/// When the shapes do not fit or the dtypes differ.
pub fn backward_weight(x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let (i, o) = (last_axis(OP, x)?, last_axis(OP, dy)?);
    let rows = rows_of(x, i)?;
    expect_shape(OP, &dy.reshape(&[dy.len() / o, o])?, &[rows, o])?;
    let (x, dy) = (x.contiguous()?, dy.contiguous()?);
    Ok(match hidden(OP, [&x, &dy])? {
        Hidden::F32([x, dy]) => run_weight(x, dy, [rows, o, i]),
        Hidden::BF16([x, dy]) => run_weight(x, dy, [rows, o, i]),
        Hidden::Cuda([x, dy]) => {
            let layer = Linear { rows, inputs: i, outputs: o };
            let dw = matmul::backward_weight(x, dy, layer, After::default())?;
            Tensor::from_array(dw, &[o, i])
        }
        Hidden::F64([x, dy]) => {
            wide(reference::product(&reference::transpose(dy, rows, o), x, o, i), &[o, i])
        }
    })
}

fn run_weight<E: HiddenElement>(x: &[E], dy: &[E], [rows, o, i]: [usize; 3]) -> Tensor {
    Tensor::build(&[o, i], |dw: &mut [f32]| {
        let (x, dy) = (E::matrix(x, rows, i), E::matrix(dy, rows, o));
        gemm(dy.t(), x, f32::matrix_mut(dw, o, i), Store::default());
    })
}

/// db `[O]` from dy `[.., O]`; f32 where dy is bf16.
///
/// # Errors
/// When `dy` is not f32, bf16 or f64.
pub fn backward_bias(dy: &Tensor) -> Result<Tensor> {
    let (o, dy) = (last_axis(OP, dy)?, dy.contiguous()?);
    Ok(match hidden(OP, [&dy])? {
        Hidden::BF16([v]) => Tensor::build(&[o], |db: &mut [f32]| reduce::column_sums(v, o, db)),
        Hidden::Cuda([v]) => Tensor::from_array(reduce::cuda::column_sums(v, o)?, &[o]),
        Hidden::F32(_) | Hidden::F64(_) => super::reduce::sum_to(&dy, &[o])?,
    })
}

/// A weight in the dtype of the hidden states that it meets.
fn like<'a>(w: Slice<'a>, x: Slice) -> Result<Slice<'a>> {
    Ok(if x.dtype() == cuda::DType::BF16 { w.in_bf16()? } else { w })
}

/// The rows of `x` seen as a matrix with `cols` columns.
fn rows_of(x: &Tensor, cols: usize) -> Result<usize> {
    if last_axis(OP, x)? != cols {
        let expected = format!("[.., {cols}]");
        return Err(Error::Shape { op: OP, expected, got: x.shape().to_vec() });
    }
    Ok(x.len() / cols)
}
