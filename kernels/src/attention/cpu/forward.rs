//! The forward of one task.

use std::ops::Range;

use super::product::{View, pack, pack_transposed, product};
use super::{
    Attention, Block, Memory, QUERIES, Qkv, Relative, Task, apart, padded, relative, rows,
    with_memory,
};
use crate::parallel::Shared;
use crate::simd::Element;

/// What the forward writes.
pub(super) struct Out<'a, E> {
    /// `[Tq, N*D]`
    pub(super) o: Shared<'a, E>,
    /// `[Tq, N]`
    pub(super) lse: Shared<'a>,
}

/// Writes o and lse of the queries of the task.
pub(super) fn task<E: Element>(a: Attention, x: Qkv<E>, task: &Task, out: &Out<E>) {
    with_memory(|memory| {
        let mut scratch = Scratch::new(a, x, task, memory);
        for block in task.blocks() {
            scratch.softmax(a, x, task, &block);
            let rows = task.query_rows(&block);
            task.write(out.lse, [a.heads, 1], rows.clone(), &scratch.lse[..rows.len()]);
            task.write(out.o, [a.hidden(), a.head_dim], rows, scratch.output(a, &block));
        }
    });
}

/// The matrices of a task with queries that see S keys, and of its blocks of n queries and s keys, the latter at the
/// beginning of memory that is enough for each block. Rows are padded.
struct Scratch<'a> {
    /// The S keys, counted from the first of the sequence.
    near: Range<usize>,
    /// scale k, transposed, `[D, S]`.
    k_t: &'a mut [f32],
    /// v, `[S, D]`.
    v: &'a mut [f32],
    /// q of a block, `[n, D]`.
    q: &'a mut [f32],
    /// Scores of a block, then p after dropout, less the factor `rsum`, `[n, s]`.
    p: &'a mut [f32],
    /// One over the sum of a row of p before dropout, `[n]`.
    rsum: &'a mut [f32],
    /// `[n]`
    lse: &'a mut [f32],
    /// `[n, D]`
    o: &'a mut [f32],
    /// The dropout factors of a query, `[s]`.
    mask: &'a mut [f32],
    /// The bias of a block's diagonals, if there is one, `[n + s - 1]`.
    diagonals: &'a mut [f32],
}

impl<'a> Scratch<'a> {
    /// With the keys and values that the task sees.
    fn new<E: Element>(a: Attention, x: Qkv<E>, task: &Task, memory: &'a mut Memory) -> Self {
        let (near, row, widest) = (task.seen_by(&task.queries), padded(a.head_dim), task.widest());
        let has_bias = matches!(x.relative, Relative::Bias(_));
        let scratch = memory.carve(|take| Scratch {
            near: near.clone(),
            k_t: take(a.head_dim * apart(near.len())),
            v: take(near.len() * row),
            q: take(QUERIES * row),
            p: take(QUERIES * widest),
            rsum: take(QUERIES),
            lse: take(QUERIES),
            o: take(QUERIES * row),
            mask: take(widest),
            diagonals: take(if has_bias { QUERIES + widest } else { 0 }),
        });
        pack_transposed(task.keys(a, x.k, near.clone()), a.scale, scratch.k_t);
        pack(task.keys(a, x.v, near), 1.0, scratch.v);
        scratch
    }

    /// Makes p, rsum and lse of a block.
    fn softmax<E: Element>(&mut self, a: Attention, x: Qkv<E>, task: &Task, block: &Block) {
        let (n, wide, stride) = (block.queries.len(), block.width(), apart(self.near.len()));
        let (k_t, row) = (&self.k_t[block.keys.start - self.near.start..], padded(a.head_dim));
        let (q, p) = (&mut self.q[..n * row], &mut self.p[..block.scores()]);
        pack(task.queries(a, x.q, block), 1.0, q);
        product(View::new(q, [n, a.head_dim], row), View::new(k_t, [a.head_dim, wide], stride), p);
        relative::add(a, x.relative, task, block, p, self.diagonals);
        task.hide(block, p, f32::NEG_INFINITY);
        rows::softmax(p, block.keys.len(), &mut self.lse[..n], &mut self.rsum[..n]);
        let Some(dropout) = a.dropout else { return };
        for (query, p) in block.queries.clone().zip(p.chunks_exact_mut(block.stride())) {
            block.mask(dropout, task.row(a, query), &mut self.mask[..wide]);
            rows::multiply(p, self.mask);
        }
    }

    /// o of a block, from its p, `[n, D]`.
    fn output(&mut self, a: Attention, block: &Block) -> &[f32] {
        let (n, s, row) = (block.queries.len(), block.keys.len(), padded(a.head_dim));
        let v = &self.v[(block.keys.start - self.near.start) * row..];
        let o = &mut self.o[..n * row];
        product(View::new(self.p, [n, s], block.stride()), View::new(v, [s, row], row), o);
        o.chunks_exact_mut(row).zip(&*self.rsum).for_each(|(o, &rsum)| rows::scale(o, rsum));
        o
    }
}
