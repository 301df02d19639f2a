//! A task is one head of one sequence; the forward splits the queries of a long one further.
//!
//! 1. A task copies what it uses more than once to scratch memory of its thread: rows padded to whole vectors,
//!    keys transposed and scaled. Everything below works on whole vectors and contiguous rows.
//! 2. Blocks of [`QUERIES`] queries are scored against all keys of the sequence ([`product`]).
//! 3. Softmax, or its derivative, row by row over the block ([`rows`]), then the remaining products.
//!
//! Padding lanes hold anything: they only ever meet other padding lanes, and are never copied out.

mod backward;
mod forward;
mod product;
mod rows;

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::{Attention, Gradients, Qkv};
use crate::parallel::Shared;
use crate::simd::MAX_LANES;
use product::View;

/// Queries scored at a time: at 128 keys the block of scores fills a 32 KiB L1, at 4096 a 1 MiB L2.
const QUERIES: usize = 64;

/// Queries of one task of the forward: enough that copying keys and values is a small part of it.
const SPAN: usize = 256;

/// f32 elements of a cache line.
const CACHE_LINE: usize = 16;

/// o and lse from q, k and v.
///
/// `x` and `o` are `[T, N*D]`, `lse` is `[T, N]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn forward(a: Attention, x: Qkv, o: &mut [f32], lse: &mut [f32]) {
    a.check(&[x.q, x.k, x.v, o], lse);
    let out = forward::Out { o: Shared::new(o), lse: Shared::new(lse) };
    each_task(a, SPAN, |task| forward::task(a, x, task, &out));
}

/// dq, dk and dv from what the forward read and wrote, and the gradient `d_o` of its output.
///
/// `x`, `o`, `d_o` and `grads` are `[T, N*D]`, `lse` is `[T, N]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn backward(a: Attention, x: Qkv, o: &[f32], lse: &[f32], d_o: &[f32], grads: Gradients) {
    a.check(&[x.q, x.k, x.v, o, d_o, grads.dq, grads.dk, grads.dv], lse);
    let input = backward::Input { x, o, lse, d_o };
    let out = backward::Out {
        dq: Shared::new(grads.dq),
        dk: Shared::new(grads.dk),
        dv: Shared::new(grads.dv),
    };
    each_task(a, usize::MAX, |task| backward::task(a, input, task, &out));
}

/// One head of one sequence, and which of its queries.
#[derive(Clone, Debug)]
struct Task {
    /// The first token of the sequence.
    first: usize,
    /// Tokens of the sequence.
    len: usize,
    head: usize,
    /// Counted from the first token of the sequence.
    queries: Range<usize>,
}

impl Task {
    /// Where the columns of this head begin in the row of a token.
    fn at(&self, a: Attention, token: usize) -> usize {
        (self.first + token) * a.hidden() + self.head * a.head_dim
    }

    /// The row of the dropout mask, and the place in lse, of a token.
    fn row(&self, a: Attention, token: usize) -> u32 {
        ((self.first + token) * a.heads + self.head) as u32
    }

    /// The columns of this head in the rows of some tokens of `x` (`[T, N*D]`).
    fn view<'a>(&self, a: Attention, x: &'a [f32], tokens: Range<usize>) -> View<'a> {
        View::new(&x[self.at(a, tokens.start)..], [tokens.len(), a.head_dim], a.hidden())
    }

    /// The queries in blocks.
    fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let end = self.queries.end;
        self.queries.clone().step_by(QUERIES).map(move |q| q..(q + QUERIES).min(end))
    }

    /// Writes one of `rows` for each token: to `width` columns of this head, in rows of `stride` elements.
    fn write(&self, to: Shared, [stride, width]: [usize; 2], tokens: Range<usize>, rows: &[f32]) {
        let from = rows.chunks_exact(rows.len() / tokens.len());
        for (token, row) in tokens.zip(from) {
            let at = (self.first + token) * stride + self.head * width;
            // SAFETY: no two tasks write the same token and head, and a task runs on one thread.
            unsafe { to.slice(at, width) }.copy_from_slice(&row[..width]);
        }
    }
}

/// Runs `f` for every sequence and head and each `span` of queries, in parallel.
fn each_task(a: Attention, span: usize, f: impl Fn(&Task) + Sync) {
    let mut tasks = Vec::new();
    let mut longest = 1;
    for sequence in a.cu_seqlens.windows(2) {
        let (first, len) = (sequence[0] as usize, (sequence[1] - sequence[0]) as usize);
        longest = longest.max(len);
        for (head, start) in (0..a.heads).flat_map(|h| (0..len).step_by(span).map(move |q| (h, q)))
        {
            let queries = start..start.saturating_add(span).min(len);
            tasks.push(Task { first, len, head, queries });
        }
    }
    // Short ones are handed out several at a time, about `SPAN` queries.
    let together = (SPAN / longest).max(1);
    tasks.par_iter().with_max_len(together).for_each(&f);
}

/// The length of a row of `n`, in whole vectors of any instruction set.
fn padded(n: usize) -> usize {
    n.next_multiple_of(MAX_LANES)
}

/// Runs `f` on slices of these sizes, whole vectors each, in memory that the thread keeps; they hold
/// anything.
fn with_scratch<const K: usize>(sizes: [usize; K], f: impl FnOnce([&mut [f32]; K])) {
    thread_local!(static SCRATCH: RefCell<Vec<f32>> = RefCell::default());
    SCRATCH.with_borrow_mut(|buffer| {
        let needed = sizes.iter().sum::<usize>() + CACHE_LINE;
        if buffer.len() < needed {
            buffer.resize(needed, 0.0);
        }
        // Vectors that straddle two cache lines take twice as long.
        let start = buffer.as_ptr().align_offset(CACHE_LINE * size_of::<f32>());
        let mut rest = &mut buffer[start..];
        f(sizes.map(|n| rest.split_off_mut(..n).expect("the sizes add up")));
    });
}
