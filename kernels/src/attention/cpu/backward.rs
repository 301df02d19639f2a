//! The backward of one task, which has all queries of its sequence.

use super::product::{View, add_product, pack, pack_transposed, product};
use super::{Attention, Block, QUERIES, Qkv, Task, bias, padded, with_scratch};
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

/// What the backward writes: dq `[Tq, N*D]`, dk and dv `[T, N*D]`, dbias of each sequence `[B, 2R + 1, N]`.
pub(super) struct Out<'a, E> {
    pub(super) dq: Shared<'a, E>,
    pub(super) dk: Shared<'a, E>,
    pub(super) dv: Shared<'a, E>,
    pub(super) dbias: Shared<'a>,
}

/// Writes dq, dk, dv and dbias of the task.
pub(super) fn task<E: Element>(a: Attention, input: Input<E>, task: &Task, out: &Out<E>) {
    let (d, all) = (a.head_dim, 0..task.keys);
    let (row, stride, widest) = (padded(d), padded(all.len()), task.widest());
    let (keys_t, keys, queries) = (d * stride, all.len() * row, QUERIES * widest);
    let (rows, table) = (QUERIES * row, input.x.bias.map_or(0, |bias| bias.len() / a.heads));
    let (dbias, lines) = (padded(table), if table > 0 { QUERIES + widest } else { 0 });
    let sizes = [keys_t, keys_t, keys, keys, keys, queries, queries, rows, widest, dbias, lines];
    with_scratch(sizes, |[k_t, v_t, k, dk, dv, p, ds, rows, mask, dbias, diagonals]| {
        let dbias = &mut dbias[..table];
        dbias.fill(0.0);
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
            score_gradients(a, input, (task, &block), [p, ds, &mut mask[..wide], dbias, diagonals]);
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
        if table > 0 {
            task.write(out.dbias, [a.heads, 1], task.bias_rows(table), dbias);
        }
    });
}

/// Turns the scores of a block, before the bias, into masked probabilities, and `do . v` into the gradients ds, which
/// it adds to dbias. `mask` is of ones where nothing is dropped.
fn score_gradients<E: Element>(
    a: Attention,
    input: Input<E>,
    (task, block): (&Task, &Block),
    [p, ds, mask, dbias, diagonals]: [&mut [f32]; 5],
) {
    if let Some(bias) = input.x.bias {
        bias::add(a, (bias, task.head), block, [p, diagonals]);
    }
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
    if input.x.bias.is_some() {
        bias::add_gradient(block, ds, [dbias, diagonals]);
    }
}

/// lse and delta of a query.
fn saved<E: Element>(a: Attention, input: Input<E>, task: &Task, query: usize) -> (f32, f32) {
    let at = task.at(a, query);
    let delta = super::rows::dot(&input.o[at..][..a.head_dim], &input.d_o[at..][..a.head_dim]);
    (input.lse[task.row(a, query) as usize], delta)
}
