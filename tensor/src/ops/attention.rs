//! Ragged multi-head attention; see [`kernels::attention`].

use std::sync::Arc;

pub use kernels::attention::Relative;
use kernels::attention::{self, Qkv, cuda, reference};
use kernels::cuda::{Array, Offsets, Slice};
use kernels::dropout::Dropout;

use super::{Hidden, dense, droppable, expect_shape, hidden, matrix, on_gpu, wide};
use crate::dtype::HiddenElement;
use crate::pool::Buffer;
use crate::{CuSeqLens, DType, Element, Error, Result, Tensor};

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

    /// An error unless what scores have by distance fits the queries.
    fn check_relative(&self, q: &Tensor, relative: Relative<&Tensor>) -> Result<()> {
        let (tokens, heads) = (self.keys.total(), self.heads);
        let longest = self.keys.lens().max().unwrap_or(0);
        let misfit = |expected, part: &Tensor| {
            Err(Error::Shape { op: OP, expected, got: part.shape().to_vec() })
        };
        match relative {
            Relative::None => return Ok(()),
            Relative::Bias(bias) => {
                let fits = matches!(bias.shape(), &[rows, n] if rows % 2 == 1 && n == heads);
                if !fits {
                    return misfit(format!("[2R + 1, {heads}] of a bias"), bias);
                }
            }
            Relative::Products(parts) => {
                let fits = |shape: &[usize]| {
                    matches!(shape, &[n, t, rows]
                        if n == heads && t == tokens && rows % 2 == 1 && rows + 1 >= 2 * longest)
                };
                let expected = format!(
                    "[{heads}, {tokens}, 2R + 1] of products, R at least {}",
                    longest.max(1) - 1
                );
                if let Some(part) = parts.into_iter().find(|part| !fits(part.shape())) {
                    return misfit(expected, part);
                }
                expect_shape(OP, parts[1], parts[0].shape())?;
            }
        }
        let dtype = if q.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        let check = |part: &Tensor| {
            on_gpu(OP, [q, part])?;
            match part.dtype() == dtype {
                true => Ok(()),
                false => Err(Error::DType { op: OP, expected: dtype.name(), got: part.dtype() }),
            }
        };
        relative.map(check).transpose()?;
        self.expect_all_to_ask("by distance")
    }

    fn expect_all_to_ask(&self, how: &str) -> Result<()> {
        if self.queries == self.keys {
            return Ok(());
        }
        let [queries, keys] = [&self.queries, &self.keys].map(CuSeqLens::total);
        let message = format!("{OP} {how}: {queries} queries are not the {keys} keys");
        Err(Error::CuSeqLens(message))
    }

    /// The offsets of queries and keys on a GPU, which has kernels for heads of this size and such a bias.
    fn on_gpu(&self, head_dim: usize, x: cuda::Qkv) -> Result<[Arc<Offsets>; 2]> {
        if head_dim > cuda::MAX_HEAD_DIM {
            let expected = format!("heads of at most {} on a GPU", cuda::MAX_HEAD_DIM);
            return Err(Error::Shape { op: OP, expected, got: vec![self.heads, head_dim] });
        }
        if let Relative::Bias(bias) = x.relative {
            let rows = bias.len() / self.heads;
            if rows > 2 * cuda::MAX_REACH + 1 {
                let expected = format!("of a bias of R at most {} on a GPU", cuda::MAX_REACH);
                return Err(Error::Shape { op: OP, expected, got: vec![rows, self.heads] });
            }
        }
        let gpu = x.q.device();
        Ok([self.queries.on_gpu(gpu)?, self.keys.on_gpu(gpu)?])
    }

    /// What the kernel takes, for hidden size `h`. Scores are scaled by 1 / sqrt(K D), for the sum of K products.
    fn kernel(&self, h: usize, relative: Relative<&Tensor>) -> Result<attention::Attention<'_>> {
        droppable(OP, self.dropout)?;
        if self.heads == 0 || h == 0 || !h.is_multiple_of(self.heads) {
            let expected = format!("[.., multiple of {} heads]", self.heads);
            return Err(Error::Shape { op: OP, expected, got: vec![self.queries.total(), h] });
        }
        if self.window.is_some() {
            self.expect_all_to_ask("in a window")?;
        }
        let head_dim = h / self.heads;
        let products = if matches!(relative, Relative::Products(_)) { 3 } else { 1 };
        Ok(attention::Attention {
            queries: self.queries.offsets(),
            keys: self.keys.offsets(),
            heads: self.heads,
            head_dim,
            scale: 1.0 / ((products * head_dim) as f32).sqrt(),
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
/// q is `[Tq, H]`, k and v are `[T, H]`, heads side by side. What scores have by distance is f32 also where they are
/// bf16: a bias `[2R + 1, N]`, added to scaled scores, or products `[N, T, 2R + 1]` of the queries and of the keys with
/// vectors, R at least the longest length - 1; scores are then sums of three products, scaled by 1 / sqrt(3 D). Row
/// R + j - i is that of key j and query i, numbered in their sequence; of a bias the first and the last row are also
/// those of tokens further apart.
///
/// # Errors
/// When shapes or dtypes do not fit, Tq or T is not that of the batch, H is 0 or no multiple of N, p is not in [0, 1), or
/// there is a window or something by distance but queries and keys have offsets of their own.
pub fn forward(
    a: &Attention,
    [q, k, v]: [&Tensor; 3],
    relative: Relative<&Tensor>,
    backward_follows: bool,
) -> Result<(Tensor, Saved)> {
    let (_, h) = matrix(OP, q)?;
    a.check(h, [q], [k, v])?;
    let (settings, relative) = (a.kernel(h, relative)?, dense_relative(a, q, relative)?);
    let [q, k, v] = dense([q, k, v])?;
    match hidden(OP, [&q, &k, &v])? {
        Hidden::Cuda([q, k, v]) => {
            let x = cuda::Qkv { q, k, v, relative: arrays(&relative)? };
            run_on_gpu(a, settings, x, backward_follows)
        }
        Hidden::F32([q, k, v]) => run(settings, Qkv { q, k, v, relative: elements(&relative)? }, h),
        Hidden::BF16([q, k, v]) => {
            run(settings, Qkv { q, k, v, relative: elements(&relative)? }, h)
        }
        Hidden::F64(x) => {
            let o = reference::forward(settings, x, elements(&relative)?);
            Ok((wide(o, &[a.queries.total(), h]), Saved::of_lse(Tensor::zeros(&[0]))))
        }
    }
}

/// What fits, in row-major order.
fn dense_relative(
    a: &Attention,
    q: &Tensor,
    relative: Relative<&Tensor>,
) -> Result<Relative<Tensor>> {
    a.check_relative(q, relative)?;
    relative.map(Tensor::contiguous).transpose()
}

fn arrays(relative: &Relative<Tensor>) -> Result<Relative<Slice<'_>>> {
    relative.as_ref().map(|part| part.as_array(OP)).transpose()
}

fn elements<T: Element>(relative: &Relative<Tensor>) -> Result<Relative<&[T]>> {
    relative.as_ref().map(Tensor::as_slice).transpose()
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
    x: cuda::Qkv,
    backward_follows: bool,
) -> Result<(Tensor, Saved)> {
    let [queries, keys] = a.on_gpu(settings.head_dim, x)?;
    let made = cuda::forward(settings, [&queries, &keys], x, backward_follows)?;
    let rows = a.queries.total();
    let o = Tensor::from_array(made.o, &[rows, settings.heads * settings.head_dim]);
    let lse = Tensor::from_array(made.lse, &[rows, settings.heads]);
    Ok((o, Saved { lse, mask: made.mask }))
}

/// The gradients of q `[Tq, H]`, k and v `[T, H]`, and of what scores have by distance, from the output and its
/// gradient.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// On a GPU, with dropout, when the forward was told that this does not follow.
pub fn backward(
    a: &Attention,
    [q, k, v]: [&Tensor; 3],
    relative: Relative<&Tensor>,
    (o, saved): (&Tensor, &Saved),
    d_o: &Tensor,
) -> Result<([Tensor; 3], Relative<Tensor>)> {
    let (_, h) = matrix(OP, q)?;
    a.check(h, [q, o, d_o], [k, v])?;
    let settings = a.kernel(h, relative)?;
    let relative = dense_relative(a, q, relative)?;
    let operands = dense([q, k, v, o, d_o])?;
    let (grads, by_distance) = match hidden(OP, operands.each_ref())? {
        Hidden::Cuda([q, k, v, o, d_o]) => {
            let x = cuda::Qkv { q, k, v, relative: arrays(&relative)? };
            run_backward_on_gpu(a, settings, x, (o, saved), d_o)?
        }
        Hidden::F32([q, k, v, o, d_o]) => {
            let x = Qkv { q, k, v, relative: elements(&relative)? };
            run_backward(settings, x, (o, saved.lse.as_slice()?), d_o)?
        }
        Hidden::BF16([q, k, v, o, d_o]) => {
            let x = Qkv { q, k, v, relative: elements(&relative)? };
            run_backward(settings, x, (o, saved.lse.as_slice()?), d_o)?
        }
        Hidden::F64([q, k, v, _, d_o]) => {
            let relative = elements(&relative)?;
            let (grads, by_distance) = reference::backward(settings, [q, k, v], relative, d_o);
            let flat = |d: Vec<f64>| {
                let len = d.len();
                wide(d, &[len])
            };
            (grads.map(flat), by_distance.map(flat))
        }
    };
    let [dq, dk, dv] = grads;
    let grads = [dq.reshape(q.shape())?, dk.reshape(k.shape())?, dv.reshape(v.shape())?];
    let shaped = |(d, x): (Tensor, &Tensor)| d.reshape(x.shape());
    Ok((grads, by_distance.zip(relative.as_ref()).map(shaped).transpose()?))
}

/// The gradients, flat.
type Flat = ([Tensor; 3], Relative<Tensor>);

fn run_backward<E: HiddenElement>(
    settings: attention::Attention,
    x: Qkv<E>,
    saved: (&[E], &[f32]),
    d_o: &[E],
) -> Result<Flat> {
    let mut grads = [x.q, x.k, x.v].map(|x| Buffer::uninit(x.len()));
    let mut by_distance = x.relative.map(|part| Buffer::uninit(part.len()));
    let relative = by_distance.as_mut().map(|part| &mut part[..]);
    let [dq, dk, dv] = &mut grads;
    attention::backward(settings, x, saved, d_o, attention::Gradients { dq, dk, dv, relative });
    Ok((grads.map(flat), by_distance.map(flat)))
}

fn flat<E: HiddenElement>(buffer: Buffer<E>) -> Tensor {
    let len = buffer.len();
    Tensor::from_buffer(buffer, &[len])
}

fn run_backward_on_gpu(
    a: &Attention,
    settings: attention::Attention,
    x: cuda::Qkv,
    (o, saved): (Slice, &Saved),
    d_o: Slice,
) -> Result<Flat> {
    let [queries, keys] = a.on_gpu(settings.head_dim, x)?;
    let saved = (o, saved.lse.as_array(OP)?, saved.mask.as_ref().map(Array::slice));
    let (grads, by_distance) = cuda::backward(settings, [&queries, &keys], x, saved, d_o)?;
    let flat = |array: Array| {
        let len = array.len();
        Tensor::from_array(array, &[len])
    };
    Ok((grads.map(flat), by_distance.map(flat)))
}
