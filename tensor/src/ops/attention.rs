//! Ragged multi-head attention; see [`kernels::attention`].

use std::sync::Arc;

use kernels::attention::{self, Qkv, cuda, reference};
use kernels::cuda::{Array, Slice};
use kernels::dropout::Dropout;

use super::{Hidden, dense, expect_shape, hidden, matrix, wide};
use crate::dtype::HiddenElement;
use crate::pool::Buffer;
use crate::{CuSeqLens, Error, Result, Tensor};

const OP: &str = "attention";

/// How to attend.
#[derive(Clone, Debug)]
pub struct Attention {
    /// Where the queries of each sequence are.
    pub queries: CuSeqLens,
    /// Where its keys and values are: no query sees another sequence's.
    pub keys: CuSeqLens,
    /// N, the number of heads; H is a multiple of it.
    pub heads: usize,
    /// Dropout of the probabilities, in training.
    pub dropout: Option<Dropout>,
    /// How far from a query, in tokens, a key may be for the query to see it; any key of its sequence if none. All
    /// tokens must then ask.
    pub window: Option<usize>,
}

impl Attention {
    /// All tokens of each sequence ask, and see all of them.
    pub fn of_all(batch: &CuSeqLens, heads: usize, dropout: Option<Dropout>) -> Self {
        Self { queries: batch.clone(), keys: batch.clone(), heads, dropout, window: None }
    }

    /// The same with this window, or none.
    pub fn with_window(self, window: Option<usize>) -> Self {
        Self { window, ..self }
    }

    /// An error unless the rows fit: those with one a query, and those with one a key.
    fn check<const Q: usize, const K: usize>(
        &self,
        h: usize,
        queries: [&Tensor; Q],
        keys: [&Tensor; K],
    ) -> Result<()> {
        queries.iter().try_for_each(|x| expect_shape(OP, x, &[self.queries.total(), h]))?;
        keys.iter().try_for_each(|x| expect_shape(OP, x, &[self.keys.total(), h]))
    }

    /// The offsets of queries and keys on a GPU, which has kernels for heads of this size.
    fn on_gpu(&self, head_dim: usize, gpu: &kernels::cuda::Device) -> Result<[Arc<Array>; 2]> {
        if head_dim > cuda::MAX_HEAD_DIM {
            let expected = format!("heads of at most {} on a GPU", cuda::MAX_HEAD_DIM);
            return Err(Error::Shape { op: OP, expected, got: vec![self.heads, head_dim] });
        }
        Ok([self.queries.on_gpu(gpu)?, self.keys.on_gpu(gpu)?])
    }

    /// What the kernel takes, for hidden size `h`; scores are scaled by 1 / sqrt(D).
    fn kernel(&self, h: usize) -> Result<attention::Attention<'_>> {
        if self.heads == 0 || !h.is_multiple_of(self.heads) {
            let expected = format!("[.., multiple of {} heads]", self.heads);
            return Err(Error::Shape { op: OP, expected, got: vec![self.queries.total(), h] });
        }
        if self.window.is_some() && self.queries != self.keys {
            let [queries, keys] = [&self.queries, &self.keys].map(CuSeqLens::total);
            let message = format!("{OP} in a window: {queries} queries are not the {keys} keys");
            return Err(Error::CuSeqLens(message));
        }
        let head_dim = h / self.heads;
        Ok(attention::Attention {
            queries: self.queries.offsets(),
            keys: self.keys.offsets(),
            heads: self.heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            dropout: self.dropout,
            window: self.window,
        })
    }
}

/// What the forward leaves to the backward, beside its output.
#[derive(Debug)]
pub struct Saved {
    /// The log-sum-exp of the scores, `[Tq, N]`; empty in f64.
    pub lse: Tensor,
    /// On a GPU, the dropout mask, where the backward does not draw it again.
    mask: Option<Array>,
}

impl Saved {
    fn of_lse(lse: Tensor) -> Self {
        Self { lse, mask: None }
    }
}

/// The output `[Tq, H]`, and what the backward needs, if it follows.
///
/// q is `[Tq, H]`, k and v are `[T, H]`, heads side by side.
///
/// # Errors
/// When shapes or dtypes do not fit, Tq or T is not that of the batch, H no multiple of N, or there is a window but
/// queries and keys have offsets of their own.
pub fn forward(
    a: &Attention,
    [q, k, v]: [&Tensor; 3],
    backward_follows: bool,
) -> Result<(Tensor, Saved)> {
    let (_, h) = matrix(OP, q)?;
    a.check(h, [q], [k, v])?;
    let (settings, [q, k, v]) = (a.kernel(h)?, dense([q, k, v])?);
    match hidden(OP, [&q, &k, &v])? {
        Hidden::Cuda(x) => run_on_gpu(a, settings, x, backward_follows),
        Hidden::F32([q, k, v]) => run(settings, Qkv { q, k, v }, h),
        Hidden::BF16([q, k, v]) => run(settings, Qkv { q, k, v }, h),
        Hidden::F64([q, k, v]) => {
            let o = wide(reference::forward(settings, q, k, v), &[a.queries.total(), h]);
            Ok((o, Saved::of_lse(Tensor::zeros(&[0]))))
        }
    }
}

fn run<E: HiddenElement>(
    settings: attention::Attention,
    x: Qkv<E>,
    h: usize,
) -> Result<(Tensor, Saved)> {
    let rows = x.q.len() / h;
    let mut lse = Tensor::zeros(&[rows, settings.heads]);
    let to = lse.make_mut()?;
    let o = Tensor::build(&[rows, h], |o: &mut [E]| attention::forward(settings, x, o, to));
    Ok((o, Saved::of_lse(lse)))
}

fn run_on_gpu(
    a: &Attention,
    settings: attention::Attention,
    [q, k, v]: [Slice; 3],
    backward_follows: bool,
) -> Result<(Tensor, Saved)> {
    let [queries, keys] = a.on_gpu(settings.head_dim, q.device())?;
    let at = cuda::Offsets { queries: queries.slice(), keys: keys.slice() };
    let made = cuda::forward(settings, at, cuda::Qkv { q, k, v }, backward_follows)?;
    let rows = a.queries.total();
    let o = Tensor::from_array(made.o, &[rows, settings.heads * settings.head_dim]);
    let lse = Tensor::from_array(made.lse, &[rows, settings.heads]);
    Ok((o, Saved { lse, mask: made.mask }))
}

/// The gradients of q `[Tq, H]`, k and v `[T, H]`, from the output and its gradient.
///
/// # Errors
/// When the shapes or dtypes differ.
///
/// # Panics
/// On a GPU, with dropout, when the forward was told that this does not follow.
pub fn backward(
    a: &Attention,
    [q, k, v]: [&Tensor; 3],
    (o, saved): (&Tensor, &Saved),
    d_o: &Tensor,
) -> Result<[Tensor; 3]> {
    let (_, h) = matrix(OP, q)?;
    a.check(h, [q, o, d_o], [k, v])?;
    let settings = a.kernel(h)?;
    let operands = dense([q, k, v, o, d_o])?;
    match hidden(OP, operands.each_ref())? {
        Hidden::Cuda(x) => run_backward_on_gpu(a, settings, x, saved),
        Hidden::F32([q, k, v, o, d_o]) => {
            Ok(run_backward(settings, Qkv { q, k, v }, (o, saved.lse.as_slice()?), d_o, h))
        }
        Hidden::BF16([q, k, v, o, d_o]) => {
            Ok(run_backward(settings, Qkv { q, k, v }, (o, saved.lse.as_slice()?), d_o, h))
        }
        Hidden::F64([q, k, v, _, d_o]) => {
            let (dq, dk, dv) = reference::backward(settings, q, k, v, d_o);
            Ok([dq, dk, dv].map(|d| {
                let shape = [d.len() / h, h];
                wide(d, &shape)
            }))
        }
    }
}

fn run_backward<E: HiddenElement>(
    settings: attention::Attention,
    x: Qkv<E>,
    saved: (&[E], &[f32]),
    d_o: &[E],
    h: usize,
) -> [Tensor; 3] {
    let mut grads = [x.q, x.k, x.v].map(|x| Buffer::uninit(x.len()));
    let [dq, dk, dv] = &mut grads;
    attention::backward(settings, x, saved, d_o, attention::Gradients { dq, dk, dv });
    grads.map(|buffer| {
        let rows = buffer.len() / h;
        Tensor::from_buffer(buffer, &[rows, h])
    })
}

fn run_backward_on_gpu(
    a: &Attention,
    settings: attention::Attention,
    [q, k, v, o, d_o]: [Slice; 5],
    saved: &Saved,
) -> Result<[Tensor; 3]> {
    let [queries, keys] = a.on_gpu(settings.head_dim, q.device())?;
    let at = cuda::Offsets { queries: queries.slice(), keys: keys.slice() };
    let saved = (o, saved.lse.as_array(OP)?, saved.mask.as_ref().map(Array::slice));
    let grads = cuda::backward(settings, at, cuda::Qkv { q, k, v }, saved, d_o)?;
    let h = settings.heads * settings.head_dim;
    Ok(grads.map(|array| {
        let rows = array.len() / h;
        Tensor::from_array(array, &[rows, h])
    }))
}
