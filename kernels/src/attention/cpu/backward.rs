//! The backward of one task, which has all queries of its sequence.

use super::product::{View, add_product, pack, pack_transposed, product};
use super::{Attention, QUERIES, Qkv, Task, padded, with_scratch};
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

/// What the backward writes: dq `[Tq, N*D]`, dk and dv `[T, N*D]`.
pub(super) struct Out<'a, E> {
    pub(super) dq: Shared<'a, E>,
    pub(super) dk: Shared<'a, E>,
    pub(super) dv: Shared<'a, E>,
}

/// Writes dq, dk and dv of the task.
pub(super) fn task<E: Element>(a: Attention, input: Input<E>, task: &Task, out: &Out<E>) {
    let (d, s) = (a.head_dim, task.keys);
    let (row, wide) = (padded(d), padded(s));
    let (keys_t, keys, queries) = (d * wide, s * row, QUERIES * wide);
    let sizes = [keys_t, keys_t, keys, keys, keys, queries, queries, QUERIES * row, wide];
    with_scratch(sizes, |[k_t, v_t, k, dk, dv, p, ds, rows, mask]| {
        pack_transposed(task.keys(a, input.x.k), a.scale, k_t);
        pack_transposed(task.keys(a, input.x.v), 1.0, v_t);
        pack(task.keys(a, input.x.k), a.scale, k);
        mask.fill(1.0);
        dk.fill(0.0);
        dv.fill(0.0);
        for queries in task.blocks() {
            let n = queries.len();
            let (p, ds, rows) = (&mut p[..n * wide], &mut ds[..n * wide], &mut rows[..n * row]);
            let q = task.queries(a, input.x.q, queries.clone());
            let d_o = task.queries(a, input.d_o, queries.clone());
            product(q, k_t, p);
            product(d_o, v_t, ds);
            for (query, (p, ds)) in
                queries.clone().zip(p.chunks_exact_mut(wide).zip(ds.chunks_exact_mut(wide)))
            {
                if let Some(dropout) = a.dropout {
                    dropout.mask_row(task.row(a, query), 0, mask);
                }
                super::rows::softmax_backward(p, ds, mask, saved(a, input, task, query));
            }
            let (p, ds) = (View::new(p, [n, s], wide), View::new(ds, [n, s], wide));
            pack(d_o, 1.0, rows);
            add_product(p.t(), rows, dv);
            pack(q, a.scale, rows);
            add_product(ds.t(), rows, dk);
            product(ds, k, rows);
            task.write(out.dq, [a.hidden(), d], task.query_rows(queries), rows);
        }
        task.write(out.dk, [a.hidden(), d], task.key_rows(), dk);
        task.write(out.dv, [a.hidden(), d], task.key_rows(), dv);
    });
}

/// lse and delta of a query.
fn saved<E: Element>(a: Attention, input: Input<E>, task: &Task, query: usize) -> (f32, f32) {
    let at = task.at(a, query);
    let delta = super::rows::dot(&input.o[at..][..a.head_dim], &input.d_o[at..][..a.head_dim]);
    (input.lse[task.row(a, query) as usize], delta)
}
