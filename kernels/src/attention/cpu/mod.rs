//! A task is one head of one sequence; the forward splits the queries of a long one further.
//!
//! 1. A task copies what it uses more than once to scratch memory of its thread: rows padded to whole vectors,
//!    keys transposed and scaled. Everything below works on whole vectors and contiguous rows.
//! 2. Blocks of [`QUERIES`] queries are scored against the keys that any of them sees ([`product`]): all keys of the
//!    sequence, or with a window those near the block, of which each query is then made to see no more than its own.
//!    What they have by distance is added ([`relative`]).
//! 3. Softmax, or its derivative, row by row over the block ([`rows`]), then the remaining products.
//!
//! Padding lanes hold anything: they only ever meet other padding lanes, and are never copied out.

mod backward;
mod forward;
mod product;
mod relative;
mod rows;

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::{Attention, Gradients, Qkv, Relative};
use crate::dropout::Dropout;
use crate::parallel::{Shared, add_partials};
use crate::simd::{Element, MAX_LANES};
use product::View;

/// Queries scored at a time: at 128 keys the block of scores fills a 32 KiB L1, at 4096 a 1 MiB L2.
const QUERIES: usize = 64;

/// Queries of one task of the forward: enough that copying keys and values is a small part of it.
const SPAN: usize = 256;

/// f32 elements of a cache line.
const CACHE_LINE: usize = 16;

/// o and lse from q, k and v.
///
/// `o` is `[Tq, N*D]`, `lse` is `[Tq, N]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn forward<E: Element>(a: Attention, x: Qkv<E>, o: &mut [E], lse: &mut [f32]) {
    a.check(&[x.q, o], &[x.k, x.v], lse);
    a.check_relative(x.relative.map(<[f32]>::len));
    let out = forward::Out { o: Shared::new(o), lse: Shared::new(lse) };
    each_task(a, SPAN, |task| forward::task(a, x, task, &out));
}

/// dq, dk and dv, and the gradient of what scores have by distance, from what the forward read and wrote, and the
/// gradient `d_o` of its output.
///
/// `o` and `d_o` are `[Tq, N*D]`, `lse` is `[Tq, N]`.
///
/// # Panics
/// When the lengths do not fit, or what scores have by distance and the places for its gradient
/// are not alike.
pub fn backward<E: Element>(
    a: Attention,
    x: Qkv<E>,
    (o, lse): (&[E], &[f32]),
    d_o: &[E],
    grads: Gradients<E>,
) {
    a.check(&[x.q, o, d_o, grads.dq], &[x.k, x.v, grads.dk, grads.dv], lse);
    let lengths = x.relative.map(<[f32]>::len);
    a.check_relative(lengths);
    let mut grad = grads.relative;
    assert_eq!(grad.as_ref().map(|x| x.len()), lengths, "attention: lengths by distance");
    let width = if let Relative::Bias(len) = lengths { len } else { 0 };
    let mut partial = vec![0.0; (a.keys.len() - 1) * width];
    let relative = match &mut grad {
        Relative::Bias(_) => Relative::Bias(Shared::new(&mut partial)),
        grad => grad.as_mut().map(|grad| Shared::new(grad)),
    };
    let input = backward::Input { x, o, lse, d_o };
    let out = backward::Out {
        dq: Shared::new(grads.dq),
        dk: Shared::new(grads.dk),
        dv: Shared::new(grads.dv),
        relative,
    };
    each_task(a, usize::MAX, |task| backward::task(a, input, task, &out));
    if let Relative::Bias(dbias) = grad {
        add_partials(&partial, dbias);
    }
}

/// One head of one sequence, and which of its queries.
#[derive(Clone, Debug)]
struct Task {
    sequence: usize,
    head: usize,
    /// The first query of the sequence.
    first_query: usize,
    /// The first key of the sequence.
    first_key: usize,
    /// Keys of the sequence.
    keys: usize,
    /// Counted from the first query of the sequence.
    queries: Range<usize>,
    /// As in [`Attention`], if it hides anything in this sequence.
    window: Option<usize>,
}

/// Some queries, and the keys that they are scored against, both counted from the first of the sequence.
struct Block {
    queries: Range<usize>,
    keys: Range<usize>,
}

impl Block {
    /// Elements of a row of scores, in whole vectors.
    fn width(&self) -> usize {
        padded(self.keys.len())
    }

    /// Elements from one row of scores to the next.
    fn stride(&self) -> usize {
        apart(self.keys.len())
    }

    /// Elements of all rows of its scores.
    fn scores(&self) -> usize {
        self.queries.len() * self.stride()
    }

    /// The dropout factors of a row of its scores; it begins with a whole block of Philox, of 4 keys.
    fn mask(&self, dropout: Dropout, row: u32, mask: &mut [f32]) {
        dropout.mask_row(row, (self.keys.start / 4) as u32, mask);
    }
}

impl Task {
    /// Where the columns of this head begin in the row of a query.
    fn at(&self, a: Attention, query: usize) -> usize {
        (self.first_query + query) * a.hidden() + self.head * a.head_dim
    }

    /// The row of the dropout mask, and the place in lse, of a query.
    fn row(&self, a: Attention, query: usize) -> u32 {
        ((self.first_query + query) * a.heads + self.head) as u32
    }

    /// The columns of this head in the rows of the queries of a block of `x` (`[Tq, N*D]`).
    fn queries<'a, E>(&self, a: Attention, x: &'a [E], block: &Block) -> View<'a, E> {
        let Block { queries, .. } = block;
        View::new(&x[self.at(a, queries.start)..], [queries.len(), a.head_dim], a.hidden())
    }

    /// The columns of this head in the rows of some keys of `x` (`[T, N*D]`).
    fn keys<'a, E>(&self, a: Attention, x: &'a [E], keys: Range<usize>) -> View<'a, E> {
        let at = (self.first_key + keys.start) * a.hidden() + self.head * a.head_dim;
        View::new(&x[at..], [keys.len(), a.head_dim], a.hidden())
    }

    /// The keys that any of these queries sees, from a whole vector on.
    fn seen_by(&self, queries: &Range<usize>) -> Range<usize> {
        let Some(window) = self.window else { return 0..self.keys };
        let first = queries.start.saturating_sub(window);
        first / MAX_LANES * MAX_LANES..(queries.end + window).min(self.keys)
    }

    /// The queries in blocks.
    fn blocks(&self) -> impl Iterator<Item = Block> {
        self.queries.clone().step_by(QUERIES).map(|first| {
            let queries = first..(first + QUERIES).min(self.queries.end);
            Block { keys: self.seen_by(&queries), queries }
        })
    }

    /// The longest row of scores, with what lies between it and the next.
    fn widest(&self) -> usize {
        self.blocks().map(|block| block.stride()).max().unwrap_or(0)
    }

    /// Writes `value` where a query of the block does not see the key, to rows of its scores.
    fn hide(&self, block: &Block, rows: &mut [f32], value: f32) {
        let Some(window) = self.window else { return };
        for (query, row) in block.queries.clone().zip(rows.chunks_exact_mut(block.stride())) {
            let first = query.saturating_sub(window).max(block.keys.start);
            let end = (query + window + 1).min(block.keys.end);
            row[..first - block.keys.start].fill(value);
            row[end - block.keys.start..].fill(value);
        }
    }

    /// Writes one of `rows` each to the `width` columns of this head in the rows `to` of a matrix with rows of
    /// `stride` elements.
    fn write<E: Element>(
        &self,
        matrix: Shared<E>,
        [stride, width]: [usize; 2],
        to: Range<usize>,
        rows: &[f32],
    ) {
        let from = rows.chunks_exact(rows.len() / to.len());
        for (i, row) in to.zip(from) {
            // SAFETY: no two tasks write the same row and head, and a task runs on one thread.
            let out = unsafe { matrix.slice(i * stride + self.head * width, width) };
            rows::round(&row[..width], out);
        }
    }

    /// The queries of a block, counted from the first of all sequences.
    fn query_rows(&self, block: &Block) -> Range<usize> {
        self.first_query + block.queries.start..self.first_query + block.queries.end
    }

    /// The rows of its sequence in the biases of all, `rows` each.
    fn bias_rows(&self, rows: usize) -> Range<usize> {
        self.sequence * rows..(self.sequence + 1) * rows
    }

    /// Its keys, counted from the first of all sequences.
    fn key_rows(&self) -> Range<usize> {
        self.first_key..self.first_key + self.keys
    }
}

/// Runs `f` for every sequence and head and each `span` of queries, in parallel.
fn each_task(a: Attention, span: usize, f: impl Fn(&Task) + Sync) {
    let mut tasks = Vec::new();
    let mut longest = 1;
    for (sequence, (query, key)) in a.queries.windows(2).zip(a.keys.windows(2)).enumerate() {
        let [(first_query, len), (first_key, keys)] =
            [query, key].map(|ends| (ends[0] as usize, (ends[1] - ends[0]) as usize));
        longest = longest.max(keys);
        let window = a.window_within(keys);
        for (head, start) in (0..a.heads).flat_map(|h| (0..len).step_by(span).map(move |q| (h, q)))
        {
            let queries = start..start.saturating_add(span).min(len);
            tasks.push(Task { sequence, head, first_query, first_key, keys, queries, window });
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

/// From one row of `n` to the next: whole vectors and an odd number of cache lines. Rows that are a power of two apart
/// have room for few of them in L1, where a line may only be in some places, by its address.
fn apart(n: usize) -> usize {
    (n.div_ceil(CACHE_LINE) | 1) * CACHE_LINE
}

/// Runs `f` with memory that the thread keeps.
fn with_memory(f: impl FnOnce(&mut Memory)) {
    thread_local!(static MEMORY: RefCell<Memory> = const { RefCell::new(Memory(Vec::new())) });
    MEMORY.with_borrow_mut(f);
}

/// Memory for the matrices of a task.
struct Memory(Vec<f32>);

impl Memory {
    /// What `f` makes of slices as long as it asks for, each of which begins a vector. They hold anything.
    ///
    /// `f` is called twice, first with empty slices, to know the length of all.
    fn carve<'a, S>(&'a mut self, f: impl Fn(&mut dyn FnMut(usize) -> &'a mut [f32]) -> S) -> S {
        let mut needed = CACHE_LINE;
        f(&mut |len| {
            needed += padded(len);
            &mut []
        });
        if self.0.len() < needed {
            self.0.resize(needed, 0.0);
        }
        // Vectors that straddle two cache lines take twice as long.
        let start = self.0.as_ptr().align_offset(CACHE_LINE * size_of::<f32>());
        let mut rest = &mut self.0[start..];
        f(&mut |len| {
            let slice = rest.split_off_mut(..padded(len)).expect("the lengths add up");
            &mut slice[..len]
        })
    }
}
