//! The backward of one task, which has all queries of its sequence.

use super::product::{View, add_product, pack, pack_transposed, product};
use super::{Attention, Block, QUERIES, Qkv, Relative, Task, padded, relative, with_scratch};
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
    let (d, all) = (a.head_dim, 0..task.keys);
    let (row, stride, widest) = (padded(d), padded(all.len()), task.widest());
    let (keys_t, keys, queries) = (d * stride, all.len() * row, QUERIES * widest);
    let (rows, [table, lines]) = (QUERIES * row, bias_scratch(a, input.x.relative, widest));
    let dbias = padded(table);
    let sizes = [keys_t, keys_t, keys, keys, keys, queries, queries, rows, widest, dbias, lines];
    with_scratch(sizes, |[k_t, v_t, k, dk, dv, p, ds, rows, mask, dbias, diagonals]| {
        let mut grad = task.relative_gradient(a, out.relative, &mut dbias[..table]);
        pack_transposed(task.keys(a, input.x.k, all.clone()), a.scale, k_t);
        pack_transposed(task.keys(a, input.x.v, all.clone()), 1.0, v_t);
        pack(task.keys(a, input.x.k, all), a.scale, k);
        mask.fill(1.0);
        dk.fill(0.0);
        dv.fill(0.0);
        for block in task.blocks() {
            let (n, s, wide) = (block.queries.len(), block.keys.len(), block.width());
            let (p, ds, rows) = (&mut p[..n * wide], &mut ds[..n * wide], &mut rows[..n * row]);
            let (q, d_o) = (task.queries(a, input.x.q, &block), task.queries(a, input.d_o, &block));
            let [k_t, v_t] =
                [&k_t, &v_t].map(|x| View::new(&x[block.keys.start..], [d, wide], stride));
            product(q, k_t, p);
            product(d_o, v_t, ds);
            score_gradients(a, input, (task, &block), [p, ds, &mut mask[..wide], diagonals]);
            relative::add_gradient(a.scale, (task, &block), ds, (&mut grad, diagonals));
            let (p, ds) = (View::new(p, [n, s], wide), View::new(ds, [n, s], wide));
            let at = block.keys.start * row..block.keys.end * row;
            pack(d_o, 1.0, rows);
            add_product(p.t(), View::new(rows, [n, row], row), &mut dv[at.clone()]);
            pack(q, a.scale, rows);
            add_product(ds.t(), View::new(rows, [n, row], row), &mut dk[at.clone()]);
            product(ds, View::new(&k[at], [s, row], row), rows);
            task.write(out.dq, [a.hidden(), d], task.query_rows(&block), rows);
        }
        task.write(out.dk, [a.hidden(), d], task.key_rows(), dk);
        task.write(out.dv, [a.hidden(), d], task.key_rows(), dv);
        if let (Relative::Bias(out), Relative::Bias(dbias)) = (out.relative, grad) {
            task.write(out, [a.heads, 1], task.bias_rows(table), dbias);
        }
    });
}

/// Elements of dbias and of the diagonals of a block, where there is a bias.
fn bias_scratch(a: Attention, relative: Relative<&[f32]>, widest: usize) -> [usize; 2] {
    match relative {
        Relative::Bias(bias) => [bias.len() / a.heads, QUERIES + widest],
        _ => [0, 0],
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

/// Turns the scores of a block, before what they have by distance, into masked probabilities, and `do . v` into the
/// gradients ds. `mask` is of ones where nothing is dropped.
fn score_gradients<E: Element>(
    a: Attention,
    input: Input<E>,
    (task, block): (&Task, &Block),
    [p, ds, mask, diagonals]: [&mut [f32]; 4],
) {
    relative::add(a, input.x.relative, (task, block), [p, diagonals]);
    let wide = block.width();
    let rows = p.chunks_exact_mut(wide).zip(ds.chunks_exact_mut(wide));
    for (query, (p, ds)) in block.queries.clone().zip(rows) {
        if let Some(dropout) = a.dropout {
            block.mask(dropout, task.row(a, query), mask);
        }
        super::rows::softmax_backward(p, ds, mask, saved(a, input, task, query));
    }
    task.hide(block, p, 0.0);
    task.hide(block, ds, 0.0);
}

/// lse and delta of a query.
fn saved<E: Element>(a: Attention, input: Input<E>, task: &Task, query: usize) -> (f32, f32) {
    let at = task.at(a, query);
    let delta = super::rows::dot(&input.o[at..][..a.head_dim], &input.d_o[at..][..a.head_dim]);
    (input.lse[task.row(a, query) as usize], delta)
}
