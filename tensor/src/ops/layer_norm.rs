//! LayerNorm over the last axis; see [`kernels::layer_norm`].

use half::bf16;
use kernels::cuda::Slice;
use kernels::layer_norm::{self, Saved, reference};

use super::{
    Floats, Hidden, dense, expect_shape, floats, hidden, last_axis, mixed, on_gpu, same_shape, wide,
};
use crate::dtype::HiddenElement;
use crate::{DType, Device, Error, Result, Tensor};

const OP: &str = "layer_norm";

/// How to normalize, and what to store.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// Added to the variance.
    pub eps: f64,
    /// The dtype of y: that of x, or bf16 where x is f32.
    pub to: DType,
}

/// What the forward leaves for the backward.
#[derive(Debug)]
pub struct Output {
    /// The normalized rows, `[.., H]`.
    pub y: Tensor,
    /// The mean of each row, `[rows]`; empty in f64, where the definition computes it again.
    pub mean: Tensor,
    /// One over the standard deviation of each row, `[rows]`; empty in f64.
    pub rstd: Tensor,
}

/// The gradients of the operands.
#[derive(Debug)]
pub struct Gradients {
    /// Of x, `[.., H]`.
    pub dx: Option<Tensor>,
    /// Of w and b, both `[H]`.
    pub dw_db: Option<(Tensor, Tensor)>,
}

/// y = layer_norm(x) w + b, `[.., H] -> [.., H]`; `w` and `b` are `[H]`; without b it is zeros.
///
/// # Errors
/// When the shapes do not fit, the dtypes of the operands differ, or y cannot have the dtype asked for.
pub fn forward(norm: LayerNorm, x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Output> {
    check_result(norm.to, x)?;
    let (x, h) = (x.contiguous()?, last_axis(OP, x)?);
    expect_shape(OP, w, &[h])?;
    let (has_bias, rows) = (b.is_some(), x.len() / h);
    // For a b that is not there, zeros; a GPU is told that there is none, and what stands here is not read.
    let b = match (b, w.device()) {
        (Some(b), _) => b.clone(),
        (None, Device::Cpu) => Tensor::zeros(&[h]).to_dtype(w.dtype())?,
        (None, Device::Cuda(_)) => w.clone(),
    };
    expect_shape(OP, &b, &[h])?;
    let (w, b) = (w.contiguous()?, b.contiguous()?);
    match floats(OP, [&x, &w, &b])? {
        Floats::Cuda([xs, ws, bs]) => {
            let affine = (ws, has_bias.then_some(bs));
            let to = norm.to.on_gpu(OP)?;
            let out = layer_norm::cuda::forward(xs, affine, norm.eps as f32, to)?;
            let [mean, rstd] = [out.mean, out.rstd].map(|s| Tensor::from_array(s, &[rows]));
            Ok(Output { y: Tensor::from_array(out.y, x.shape()), mean, rstd })
        }
        Floats::F32(operands) if norm.to == DType::BF16 => run::<bf16>(norm, operands, x.shape()),
        Floats::F32(operands) => run::<f32>(norm, operands, x.shape()),
        Floats::F64([xs, ws, bs]) => {
            let y = wide(reference::forward(xs, ws, bs, norm.eps), x.shape());
            Ok(Output { y, mean: Tensor::zeros(&[0]), rstd: Tensor::zeros(&[0]) })
        }
    }
}

/// An error unless a y of this dtype can be made of x.
fn check_result(to: DType, x: &Tensor) -> Result<()> {
    match (x.dtype(), to) {
        (DType::F32, DType::BF16) => Ok(()),
        (from, to) if from == to => Ok(()),
        (DType::F32, got) => Err(Error::DType { op: OP, expected: "a result in f32 or bf16", got }),
        (_, got) => Err(Error::DType { op: OP, expected: "a result of the dtype of x", got }),
    }
}

fn run<E: HiddenElement>(
    norm: LayerNorm,
    [x, w, b]: [&[f32]; 3],
    shape: &[usize],
) -> Result<Output> {
    let rows = x.len() / w.len();
    let (mut mean, mut rstd) = (Tensor::zeros(&[rows]), Tensor::zeros(&[rows]));
    let saved = (mean.make_mut()?, rstd.make_mut()?);
    let y = Tensor::build(shape, |y: &mut [E]| {
        layer_norm::forward(x, (w, b), norm.eps as f32, y, saved);
    });
    Ok(Output { y, mean, rstd })
}

/// The gradients asked for: that of x when `wanted.0`, those of w and b when `wanted.1`. dy has the dtype of y, they
/// have that of x.
///
/// # Errors
/// When the shapes or dtypes do not fit.
pub fn backward(
    x: &Tensor,
    w: &Tensor,
    saved: (&Tensor, &Tensor),
    dy: &Tensor,
    eps: f64,
    wanted: (bool, bool),
) -> Result<Gradients> {
    same_shape(OP, x, dy)?;
    expect_shape(OP, w, &[last_axis(OP, x)?])?;
    on_gpu(OP, [x, w, dy])?;
    let [x, w, dy] = dense([x, w, dy])?;
    match (floats(OP, [&x, &w])?, hidden(OP, [&dy])?) {
        (Floats::Cuda([xs, ws]), Hidden::Cuda([dys])) => {
            let saved = [saved.0.as_array(OP)?, saved.1.as_array(OP)?];
            backward_on_gpu([xs, ws, dys], saved, x.shape(), wanted)
        }
        (Floats::F32(operands), Hidden::F32([dys])) => {
            run_backward(operands, saved, dys, x.shape(), wanted)
        }
        (Floats::F32(operands), Hidden::BF16([dys])) => {
            run_backward(operands, saved, dys, x.shape(), wanted)
        }
        (Floats::F64([xs, ws]), Hidden::F64([dys])) => {
            let (dx, dw, db) = reference::backward(xs, ws, dys, eps);
            let dw_db = (wide(dw, w.shape()), wide(db, w.shape()));
            Ok(Gradients { dx: Some(wide(dx, x.shape())), dw_db: Some(dw_db) })
        }
        _ => Err(mixed(OP, &dy, &x)),
    }
}

fn run_backward<E: HiddenElement>(
    [x, w]: [&[f32]; 2],
    saved: (&Tensor, &Tensor),
    dy: &[E],
    shape: &[usize],
    wanted: (bool, bool),
) -> Result<Gradients> {
    let saved = Saved { mean: saved.0.as_slice()?, rstd: saved.1.as_slice()? };
    let input = || Tensor::build(shape, |dx| layer_norm::backward_input(x, w, saved, dy, dx));
    let dw_db = wanted.1.then(|| params(x, saved, dy, &[w.len()])).transpose()?;
    Ok(Gradients { dx: wanted.0.then(input), dw_db })
}

fn params<E: HiddenElement>(
    x: &[f32],
    saved: Saved,
    dy: &[E],
    shape: &[usize],
) -> Result<(Tensor, Tensor)> {
    let (mut dw, mut db) = (Tensor::zeros(shape), Tensor::zeros(shape));
    layer_norm::backward_params(x, saved, dy, dw.make_mut()?, db.make_mut()?);
    Ok((dw, db))
}

fn backward_on_gpu(
    [x, w, dy]: [Slice; 3],
    saved: [Slice; 2],
    shape: &[usize],
    wanted: (bool, bool),
) -> Result<Gradients> {
    let mut grads = Gradients { dx: None, dw_db: None };
    if wanted.0 {
        let dx = layer_norm::cuda::backward_input(x, w, saved, dy)?;
        grads.dx = Some(Tensor::from_array(dx, shape));
    }
    if wanted.1 {
        let params = layer_norm::cuda::backward_params(x, saved, dy, w.len())?;
        let [dw, db] = params.map(|d| Tensor::from_array(d, &[w.len()]));
        grads.dw_db = Some((dw, db));
    }
    Ok(grads)
}
