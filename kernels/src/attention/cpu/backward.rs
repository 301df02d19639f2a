//! The backward of one task, which has all queries of its sequence.

use super::product::{View, add_product, pack, pack_transposed, product};
use super::{
    Attention, Block, Memory, QUERIES, Qkv, Relative, Task, apart, padded, relative, rows,
    with_memory,
};
use crate::parallel::Shared;
use crate::simd::Element;

/// What the backward reads: o and its gradient are `[Tq, N*D]`, lse is `[Tq, N]`.
#[derive(Clone, Copy)]
pub(super) struct Input<'a, E> {
    pub(super) x: Qkv<'a, E>,
    pub(super) o: &'a [E],
    pub(super) lse: &'a [f32],
    pub(super) d_o: &'a [E],
}

/// What the backward writes: dq `[Tq, N*D]`, dk and dv `[T, N*D]`, and dbias of each sequence `[B, 2R + 1, N]` or the
/// gradients of products, `[N, T, 2R + 1]`.
pub(super) struct Out<'a, E> {
    pub(super) dq: Shared<'a, E>,
    pub(super) dk: Shared<'a, E>,
    pub(super) dv: Shared<'a, E>,
    pub(super) relative: Relative<Shared<'a>>,
}

/// Writes dq, dk, dv and the gradient of what scores have by distance, of the task.
pub(super) fn task<E: Element>(a: Attention, input: Input<E>, task: &Task, out: &Out<E>) {
    let columns = [a.hidden(), a.head_dim];
    with_memory(|memory| {
        let mut scratch = Scratch::new(a, input.x, task, memory);
        let mut grad = task.relative_gradient(a, out.relative, std::mem::take(&mut scratch.dbias));
        for block in task.blocks() {
            scratch.score_gradients(a, input, task, &block);
            relative::add_gradient(a.scale, task, &block, scratch.ds, &mut grad, scratch.diagonals);
            let dq = scratch.input_gradients(a, input, task, &block);
            task.write(out.dq, columns, task.query_rows(&block), dq);
        }
        task.write(out.dk, columns, task.key_rows(), scratch.dk);
        task.write(out.dv, columns, task.key_rows(), scratch.dv);
        if let (Relative::Bias(out), Relative::Bias(dbias)) = (out.relative, grad) {
            task.write(out, [a.heads, 1], task.bias_rows(dbias.len()), dbias);
        }
    });
}

/// The matrices of a task with S keys, and of its blocks of n queries and s keys, the latter at the beginning of memory
/// that is enough for each block. Rows are padded.
struct Scratch<'a> {
    /// scale k, transposed, `[D, S]`.
    k_t: &'a mut [f32],
    /// v, transposed, `[D, S]`.
    v_t: &'a mut [f32],
    /// scale k, `[S, D]`.
    k: &'a mut [f32],
    /// The gradient of k, `[S, D]`; each block adds to it.
    dk: &'a mut [f32],
    /// The gradient of v, `[S, D]`; each block adds to it.
    dv: &'a mut [f32],
    /// The gradient of the bias of this head, if there is one, `[2R + 1]`; each block adds to it.
    dbias: &'a mut [f32],
    /// Scores of a block, then its probabilities after dropout, `[n, s]`.
    p: &'a mut [f32],
    /// do . v of a block, then the gradient of its scores, `[n, s]`.
    ds: &'a mut [f32],
    /// do of a block, `[n, D]`.
    d_o: &'a mut [f32],
    /// Of a block q, then scale q, then dq, `[n, D]`.
    rows: &'a mut [f32],
    /// The dropout factors of a query, `[s]`; ones where nothing is dropped.
    mask: &'a mut [f32],
    /// The sums of a block's diagonals, if there is a bias, `[n + s - 1]`.
    diagonals: &'a mut [f32],
}

impl<'a> Scratch<'a> {
    /// With the keys and values of the task, gradients of zeros, and a mask of ones.
    fn new<E: Element>(a: Attention, x: Qkv<E>, task: &Task, memory: &'a mut Memory) -> Self {
        let (d, row, stride, widest) =
            (a.head_dim, padded(a.head_dim), apart(task.keys), task.widest());
        let (bias, diagonals) = match x.relative {
            Relative::Bias(bias) => (bias.len() / a.heads, QUERIES + widest),
            _ => (0, 0),
        };
        let scratch = memory.carve(|take| Scratch {
            k_t: take(d * stride),
            v_t: take(d * stride),
            k: take(task.keys * row),
            dk: take(task.keys * row),
            dv: take(task.keys * row),
            dbias: take(bias),
            p: take(QUERIES * widest),
            ds: take(QUERIES * widest),
            d_o: take(QUERIES * row),
            rows: take(QUERIES * row),
            mask: take(widest),
            diagonals: take(diagonals),
        });
        let [k, v] = [x.k, x.v].map(|x| task.keys(a, x, 0..task.keys));
        pack_transposed(k, a.scale, scratch.k_t);
        pack_transposed(v, 1.0, scratch.v_t);
        pack(k, a.scale, scratch.k);
        scratch.dk.fill(0.0);
        scratch.dv.fill(0.0);
        scratch.mask.fill(1.0);
        scratch
    }

    /// Makes p and ds of a block, and its do in f32.
    fn score_gradients<E: Element>(
        &mut self,
        a: Attention,
        input: Input<E>,
        task: &Task,
        block: &Block,
    ) {
        let (wide, stride) = (block.width(), apart(task.keys));
        let [p, ds] = [&mut *self.p, &mut *self.ds].map(|x| &mut x[..block.scores()]);
        let [k_t, v_t] = [&*self.k_t, &*self.v_t]
            .map(|x| View::new(&x[block.keys.start..], [a.head_dim, wide], stride));
        let (n, row) = (block.queries.len(), padded(a.head_dim));
        let [q, d_o] = [&mut *self.rows, &mut *self.d_o].map(|x| &mut x[..n * row]);
        pack(task.queries(a, input.x.q, block), 1.0, q);
        product(View::new(q, [n, a.head_dim], row), k_t, p);
        pack(task.queries(a, input.d_o, block), 1.0, d_o);
        product(View::new(d_o, [n, a.head_dim], row), v_t, ds);
        relative::add(a, input.x.relative, task, block, p, self.diagonals);
        let rows = p.chunks_exact_mut(block.stride()).zip(ds.chunks_exact_mut(block.stride()));
        for (query, (p, ds)) in block.queries.clone().zip(rows) {
            let mask = &mut self.mask[..wide];
            if let Some(dropout) = a.dropout {
                block.mask(dropout, task.row(a, query), mask);
            }
            rows::softmax_backward(p, ds, mask, saved(a, input, task, query));
        }
        task.hide(block, p, 0.0);
        task.hide(block, ds, 0.0);
    }

    /// Adds to dk and dv what a block gives to them, from its p and ds; returns its dq, `[n, D]`.
    fn input_gradients<E: Element>(
        &mut self,
        a: Attention,
        input: Input<E>,
        task: &Task,
        block: &Block,
    ) -> &[f32] {
        let (n, s, row) = (block.queries.len(), block.keys.len(), padded(a.head_dim));
        let [p, ds] = [&*self.p, &*self.ds].map(|x| View::new(x, [n, s], block.stride()));
        let (keys, rows) =
            (block.keys.start * row..block.keys.end * row, &mut self.rows[..n * row]);
        add_product(p.t(), View::new(self.d_o, [n, row], row), &mut self.dv[keys.clone()]);
        pack(task.queries(a, input.x.q, block), a.scale, rows);
        add_product(ds.t(), View::new(rows, [n, row], row), &mut self.dk[keys.clone()]);
        product(ds, View::new(&self.k[keys], [s, row], row), rows);
        rows
    }
}

impl Task {
    /// Where this task adds up, or writes, the gradient of what scores have by distance: zeros.
    fn relative_gradient<'a>(
        &self,
        a: Attention,
        out: Relative<Shared<'a>>,
        dbias: &'a mut [f32],
    ) -> Relative<&'a mut [f32]> {
        let grad = match out {
            Relative::None => Relative::None,
            Relative::Bias(_) => Relative::Bias(dbias),
            Relative::Products(parts) => Relative::Products(parts.map(|part| {
                let own = self.products(a, part.len());
                // SAFETY: these rows belong to one head of one sequence, which one task has, on one thread.
                unsafe { part.slice(own.start, own.len()) }
            })),
        };
        grad.map(|grad| {
            grad.fill(0.0);
            grad
        })
    }
}

/// lse and delta of a query.
fn saved<E: Element>(a: Attention, input: Input<E>, task: &Task, query: usize) -> (f32, f32) {
    let at = task.at(a, query);
    let delta = rows::dot(&input.o[at..][..a.head_dim], &input.d_o[at..][..a.head_dim]);
    (input.lse[task.row(a, query) as usize], delta)
}
