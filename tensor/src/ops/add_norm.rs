//! Dropout, residual sum and LayerNorm in one; see [`kernels::add_norm`].

use kernels::add_norm::{self, Input, Output, Saved, reference};
use kernels::dropout::Dropout;

use super::{
    Floats, Hidden, dense, droppable, expect_shape, floats, hidden, last_axis, mixed, on_gpu,
    same_shape, wide,
};
use crate::dtype::HiddenElement;
use crate::pool::Buffer;
use crate::{Result, Tensor};

const OP: &str = "add_norm";

/// How to add and normalize.
#[derive(Clone, Copy, Debug)]
pub struct AddNorm {
    /// Dropout of x, in training.
    pub dropout: Option<Dropout>,
    /// Added to the variance.
    pub eps: f64,
}

/// The result, and what the backward needs.
#[derive(Debug)]
pub struct Sum {
    /// The normalized rows, `[.., H]`.
    pub y: Tensor,
    /// The rows before, `[.., H]`.
    pub z: Tensor,
    /// The mean of each row of z, `[rows]`; empty in f64, where the definition computes it again.
    pub mean: Tensor,
    /// One over the standard deviation of each row of z, `[rows]`; empty in f64.
    pub rstd: Tensor,
}

/// The gradients of the operands: of x and r, `[.., H]`; of w and b, `[H]`.
#[derive(Debug)]
pub struct Gradients {
    /// Of what is dropped from and added.
    pub dx: Tensor,
    /// Of what it is added to.
    pub dr: Tensor,
    /// Of the scale.
    pub dw: Tensor,
    /// Of the shift.
    pub db: Tensor,
}

/// y = layer_norm(r + dropout(x)) w + b: x and r `[.., H]`, w and b `[H]`.
///
/// # Errors
/// When the shapes do not fit or the dtypes differ (w and b are f32 where x and r are bf16), or p is not in [0, 1).
pub fn forward(a: AddNorm, [x, r]: [&Tensor; 2], [w, b]: [&Tensor; 2]) -> Result<Sum> {
    let h = last_axis(OP, x)?;
    droppable(OP, a.dropout)?;
    same_shape(OP, x, r)?;
    expect_shape(OP, w, &[h])?;
    expect_shape(OP, b, &[h])?;
    on_gpu(OP, [x, r, w, b])?;
    let [x, r, w, b] = dense([x, r, w, b])?;
    match (hidden(OP, [&x, &r])?, floats(OP, [&w, &b])?) {
        (Hidden::F32(xs), Floats::F32(affine)) => run(a, xs, affine, x.shape()),
        (Hidden::BF16(xs), Floats::F32(affine)) => run(a, xs, affine, x.shape()),
        (Hidden::Cuda(xs), Floats::Cuda(affine)) => {
            let out = add_norm::cuda::forward(xs, affine, a.eps as f32, a.dropout)?;
            let [z, y] = [out.z, out.y].map(|s| Tensor::from_array(s, x.shape()));
            let rows = &[x.len() / h];
            let [mean, rstd] = [out.mean, out.rstd].map(|s| Tensor::from_array(s, rows));
            Ok(Sum { y, z, mean, rstd })
        }
        (Hidden::F64([xs, rs]), Floats::F64([w, b])) => {
            let z = reference::sum(xs, rs, a.dropout, h);
            let y = wide(reference::forward(&z, w, b, a.eps), x.shape());
            let empty = Tensor::zeros(&[0]);
            Ok(Sum { y, z: wide(z, x.shape()), mean: empty.clone(), rstd: empty })
        }
        _ => Err(mixed(OP, &x, &w)),
    }
}

fn run<E: HiddenElement>(
    a: AddNorm,
    [x, r]: [&[E]; 2],
    [w, b]: [&[f32]; 2],
    shape: &[usize],
) -> Result<Sum> {
    let rows = x.len() / w.len();
    let (mut mean, mut rstd) = (Tensor::zeros(&[rows]), Tensor::zeros(&[rows]));
    let [mut z, mut y] = [(); 2].map(|()| Buffer::uninit(x.len()));
    let input = Input { x, r, dropout: a.dropout };
    let out = Output { z: &mut z, y: &mut y };
    let saved = (mean.make_mut()?, rstd.make_mut()?);
    add_norm::forward(input, (w, b), a.eps as f32, out, saved);
    let [z, y] = [z, y].map(|buffer| Tensor::from_buffer(buffer, shape));
    Ok(Sum { y, z, mean, rstd })
}

/// All gradients, from what the forward returned (its y is not read) and the gradient of y.
///
/// # Errors
/// When the shapes do not fit or the dtypes differ, or p is not in [0, 1).
pub fn backward(
    a: AddNorm,
    [z, mean, rstd]: [&Tensor; 3],
    w: &Tensor,
    dy: &Tensor,
) -> Result<Gradients> {
    droppable(OP, a.dropout)?;
    same_shape(OP, z, dy)?;
    expect_shape(OP, w, &[last_axis(OP, z)?])?;
    on_gpu(OP, [z, w, dy])?;
    let [z, w, dy] = dense([z, w, dy])?;
    match (hidden(OP, [&z, &dy])?, floats(OP, [&w])?) {
        (Hidden::F32([zs, dys]), Floats::F32([ws])) => {
            let saved = Saved { z: zs, mean: mean.as_slice()?, rstd: rstd.as_slice()? };
            run_backward(a, saved, ws, dys, z.shape())
        }
        (Hidden::BF16([zs, dys]), Floats::F32([ws])) => {
            let saved = Saved { z: zs, mean: mean.as_slice()?, rstd: rstd.as_slice()? };
            run_backward(a, saved, ws, dys, z.shape())
        }
        (Hidden::Cuda([zs, dys]), Floats::Cuda([ws])) => {
            let (mean, rstd) = (mean.as_array(OP)?, rstd.as_array(OP)?);
            let saved = add_norm::cuda::Saved { z: zs, mean, rstd };
            let grads = add_norm::cuda::backward(saved, ws, a.dropout, dys)?;
            let dr = Tensor::from_array(grads.dr, z.shape());
            let dx = grads.dx.map_or_else(|| dr.clone(), |dx| Tensor::from_array(dx, z.shape()));
            let [dw, db] = [grads.dw, grads.db].map(|d| Tensor::from_array(d, w.shape()));
            Ok(Gradients { dx, dr, dw, db })
        }
        (Hidden::F64([zs, dys]), Floats::F64([ws])) => {
            let [dx, dr, dw, db] = reference::backward(zs, ws, dys, a.eps, a.dropout);
            let [dx, dr] = [dx, dr].map(|d| wide(d, z.shape()));
            let [dw, db] = [dw, db].map(|d| wide(d, w.shape()));
            Ok(Gradients { dx, dr, dw, db })
        }
        _ => Err(mixed(OP, &z, &w)),
    }
}

fn run_backward<E: HiddenElement>(
    a: AddNorm,
    saved: Saved<E>,
    w: &[f32],
    dy: &[E],
    shape: &[usize],
) -> Result<Gradients> {
    let (mut dw, mut db) = (Tensor::zeros(&[w.len()]), Tensor::zeros(&[w.len()]));
    let mut dr = Buffer::uninit(dy.len());
    let mut dx = a.dropout.map(|_| Buffer::uninit(dy.len()));
    let grads = add_norm::Gradients {
        dr: &mut dr,
        dx: dx.as_deref_mut(),
        dw: dw.make_mut()?,
        db: db.make_mut()?,
    };
    add_norm::backward(saved, w, a.dropout, dy, grads);
    let dr = Tensor::from_buffer(dr, shape);
    let dx = dx.map_or_else(|| dr.clone(), |dx| Tensor::from_buffer(dx, shape));
    Ok(Gradients { dx, dr, dw, db })
}
