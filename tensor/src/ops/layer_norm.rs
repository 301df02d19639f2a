//! LayerNorm over the last axis; see [`kernels::layer_norm`].

use kernels::cuda::Slice;
use kernels::layer_norm::{self, Saved, reference};

use super::{Floats, expect_shape, floats, last_axis, same_shape, wide};
use crate::{Device, Result, Tensor};

const OP: &str = "layer_norm";

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
/// When the shapes do not fit or the dtypes differ.
pub fn forward(x: &Tensor, w: &Tensor, b: Option<&Tensor>, eps: f64) -> Result<Output> {
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
    Ok(match floats(OP, [&x, &w, &b])? {
        Floats::Cuda([xs, ws, bs]) => {
            let affine = (ws, has_bias.then_some(bs));
            let out = layer_norm::cuda::forward(xs, affine, eps as f32)?;
            let [mean, rstd] = [out.mean, out.rstd].map(|s| Tensor::from_array(s, &[rows]));
            Output { y: Tensor::from_array(out.y, x.shape()), mean, rstd }
        }
        Floats::F32([xs, ws, bs]) => {
            let (mut mean, mut rstd) = (Tensor::zeros(&[rows]), Tensor::zeros(&[rows]));
            let saved = (mean.make_mut()?, rstd.make_mut()?);
            let y = Tensor::build(x.shape(), |y| {
                layer_norm::forward(xs, (ws, bs), eps as f32, y, saved);
            });
            Output { y, mean, rstd }
        }
        Floats::F64([xs, ws, bs]) => {
            let y = wide(reference::forward(xs, ws, bs, eps), x.shape());
            Output { y, mean: Tensor::zeros(&[0]), rstd: Tensor::zeros(&[0]) }
        }
    })
}

/// The gradients asked for: that of x when `wanted.0`, those of w and b when `wanted.1`.
///
/// # Errors
/// When the shapes do not fit or the dtypes differ.
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
    let (x, w, dy) = (x.contiguous()?, w.contiguous()?, dy.contiguous()?);
    match floats(OP, [&x, &w, &dy])? {
        Floats::Cuda(operands) => {
            let saved = [saved.0.as_array(OP)?, saved.1.as_array(OP)?];
            backward_on_gpu(operands, saved, x.shape(), wanted)
        }
        Floats::F32([xs, ws, dys]) => {
            let saved = Saved { mean: saved.0.as_slice()?, rstd: saved.1.as_slice()? };
            let dx = wanted.0.then(|| {
                Tensor::build(x.shape(), |dx| layer_norm::backward_input(xs, ws, saved, dys, dx))
            });
            let dw_db = wanted.1.then(|| params(xs, saved, dys, w.shape())).transpose()?;
            Ok(Gradients { dx, dw_db })
        }
        Floats::F64([xs, ws, dys]) => {
            let (dx, dw, db) = reference::backward(xs, ws, dys, eps);
            let dw_db = (wide(dw, w.shape()), wide(db, w.shape()));
            Ok(Gradients { dx: Some(wide(dx, x.shape())), dw_db: Some(dw_db) })
        }
    }
}

fn params(x: &[f32], saved: Saved, dy: &[f32], shape: &[usize]) -> Result<(Tensor, Tensor)> {
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
