//! The backward of one task, which has all queries of its sequence.

use super::product::{View, add_product, pack, pack_transposed, product};
use super::{Attention, QUERIES, Qkv, Task, padded, with_scratch};
use crate::parallel::Shared;

/// What the backward reads: lse is `[T, N]`, the others `[T, N*D]`.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) x: Qkv<'a>,
    pub(super) o: &'a [f32],
    pub(super) lse: &'a [f32],
    pub(super) d_o: &'a [f32],
}

/// What the backward writes, all `[T, N*D]`.
pub(super) struct Out<'a> {
    pub(super) dq: Shared<'a>,
    pub(super) dk: Shared<'a>,
    pub(super) dv: Shared<'a>,
}

/// Writes dq, dk and dv of the task.
pub(super) fn task(a: Attention, input: Input, task: &Task, out: &Out) {
    let (d, s) = (a.head_dim, task.len);
    let (row, wide) = (padded(d), padded(s));
    let (keys_t, keys, queries) = (d * wide, s * row, QUERIES * wide);
    let sizes = [keys_t, keys_t, keys, keys, keys, queries, queries, QUERIES * row, wide];
    with_scratch(sizes, |[k_t, v_t, k, dk, dv, p, ds, rows, mask]| {
        pack_transposed(task.view(a, input.x.k, 0..s), a.scale, k_t);
        pack_transposed(task.view(a, input.x.v, 0..s), 1.0, v_t);
        pack(task.view(a, input.x.k, 0..s), a.scale, k);
        mask.fill(1.0);
        dk.fill(0.0);
        dv.fill(0.0);
        for queries in task.blocks() {
            let n = queries.len();
            let (p, ds, rows) = (&mut p[..n * wide], &mut ds[..n * wide], &mut rows[..n * row]);
            let q = task.view(a, input.x.q, queries.clone());
            let d_o = task.view(a, input.d_o, queries.clone());
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
            task.write(out.dq, [a.hidden(), d], queries, rows);
        }
        task.write(out.dk, [a.hidden(), d], 0..s, dk);
        task.write(out.dv, [a.hidden(), d], 0..s, dv);
    });
}

/// lse and delta of a query.
fn saved(a: Attention, input: Input, task: &Task, query: usize) -> (f32, f32) {
    let at = task.at(a, query);
    let delta = super::rows::dot(&input.o[at..][..a.head_dim], &input.d_o[at..][..a.head_dim]);
    (input.lse[task.row(a, query) as usize], delta)
}
