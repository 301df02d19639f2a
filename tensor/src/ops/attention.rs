//! Ragged multi-head attention; see [`kernels::attention`].

use kernels::attention::{self, Qkv, reference};
use kernels::dropout::Dropout;

use super::{Floats, expect_shape, floats, matrix, same_shape, wide};
use crate::{CuSeqLens, Error, Result, Tensor};

const OP: &str = "attention";

/// How to attend.
#[derive(Clone, Debug)]
pub struct Attention {
    /// The sequences: no token sees another's.
    pub batch: CuSeqLens,
    /// N, the number of heads; H is a multiple of it.
    pub heads: usize,
    /// Dropout of the probabilities, in training.
    pub dropout: Option<Dropout>,
}

impl Attention {
    /// What the kernel takes, for hidden size `h`; scores are scaled by 1 / sqrt(D).
    fn kernel(&self, h: usize) -> Result<attention::Attention<'_>> {
        if self.heads == 0 || !h.is_multiple_of(self.heads) {
            let expected = format!("[.., multiple of {} heads]", self.heads);
            return Err(Error::Shape { op: OP, expected, got: vec![self.batch.total(), h] });
        }
        let head_dim = h / self.heads;
        Ok(attention::Attention {
            cu_seqlens: self.batch.offsets(),
            heads: self.heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            dropout: self.dropout,
        })
    }
}

/// The output `[T, H]` and the log-sum-exp of the scores `[T, N]`, for the backward (empty in f64).
///
/// q, k and v are `[T, H]`, heads side by side.
///
/// # Errors
/// When the shapes or dtypes differ, T is not that of the batch, or H no multiple of N.
pub fn forward(a: &Attention, [q, k, v]: [&Tensor; 3]) -> Result<(Tensor, Tensor)> {
    let ((_, h), total) = (matrix(OP, q)?, a.batch.total());
    expect_shape(OP, q, &[total, h])?;
    for other in [k, v] {
        same_shape(OP, q, other)?;
    }
    let (settings, [q, k, v]) = (a.kernel(h)?, [q, k, v].map(Tensor::contiguous));
    match floats(OP, [&q, &k, &v])? {
        Floats::F32([q, k, v]) => {
            let mut lse = Tensor::zeros(&[total, a.heads]);
            let rows = lse.make_mut()?;
            let o = Tensor::build(&[total, h], |o| {
                attention::forward(settings, Qkv { q, k, v }, o, rows);
            });
            Ok((o, lse))
        }
        Floats::F64([q, k, v]) => {
            let o = wide(reference::forward(settings, q, k, v), &[total, h]);
            Ok((o, Tensor::zeros(&[0])))
        }
    }
}

/// The gradients of q, k and v, each `[T, H]`, from the output and its gradient.
///
/// # Errors
/// When the shapes or dtypes differ.
pub fn backward(
    a: &Attention,
    [q, k, v]: [&Tensor; 3],
    (o, lse): (&Tensor, &Tensor),
    d_o: &Tensor,
) -> Result<[Tensor; 3]> {
    let ((_, h), shape) = (matrix(OP, q)?, q.shape());
    expect_shape(OP, q, &[a.batch.total(), h])?;
    for other in [k, v, o, d_o] {
        same_shape(OP, q, other)?;
    }
    let settings = a.kernel(h)?;
    let operands = [q, k, v, o, d_o].map(Tensor::contiguous);
    match floats(OP, operands.each_ref())? {
        Floats::F32([q, k, v, o, d_o]) => {
            let mut grads = [(); 3].map(|()| crate::pool::Buffer::stale(q.len()));
            let [dq, dk, dv] = &mut grads;
            let into = attention::Gradients { dq, dk, dv };
            attention::backward(settings, Qkv { q, k, v }, o, lse.as_slice()?, d_o, into);
            Ok(grads.map(|buffer| Tensor::from_buffer(buffer, shape)))
        }
        Floats::F64([q, k, v, _, d_o]) => {
            let (dq, dk, dv) = reference::backward(settings, q, k, v, d_o);
            Ok([dq, dk, dv].map(|d| wide(d, shape)))
        }
    }
}
