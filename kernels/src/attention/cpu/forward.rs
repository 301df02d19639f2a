//! The forward of one task.

use super::product::{View, pack, pack_transposed, product};
use super::{Attention, QUERIES, Qkv, Relative, Task, padded, relative, rows, with_scratch};
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
    let (d, near) = (a.head_dim, task.seen_by(&task.queries));
    let (row, stride, widest) = (padded(d), padded(near.len()), task.widest());
    let has_bias = matches!(x.relative, Relative::Bias(_));
    let diagonals = if has_bias { QUERIES + widest } else { 0 };
    let sizes = [d * stride, near.len() * row, QUERIES * widest, QUERIES * row, widest, diagonals];
    with_scratch(sizes, |[keys, values, scores, o, mask, diagonals]| {
        pack_transposed(task.keys(a, x.k, near.clone()), a.scale, keys);
        pack(task.keys(a, x.v, near.clone()), 1.0, values);
        let (mut lse, mut rsum) = ([0.0; QUERIES], [0.0; QUERIES]);
        for block in task.blocks() {
            let (n, s, wide) = (block.queries.len(), block.keys.len(), block.width());
            let first = block.keys.start - near.start;
            let (scores, o) = (&mut scores[..n * wide], &mut o[..n * row]);
            let keys = View::new(&keys[first..], [d, wide], stride);
            product(task.queries(a, x.q, &block), keys, scores);
            relative::add(a, x.relative, (task, &block), [scores, diagonals]);
            task.hide(&block, scores, f32::NEG_INFINITY);
            rows::softmax(scores, s, &mut lse[..n], &mut rsum[..n]);
            if let Some(dropout) = a.dropout {
                for (query, scores) in block.queries.clone().zip(scores.chunks_exact_mut(wide)) {
                    block.mask(dropout, task.row(a, query), &mut mask[..wide]);
                    rows::multiply(scores, mask);
                }
            }
            let values = View::new(&values[first * row..], [s, row], row);
            product(View::new(scores, [n, s], wide), values, o);
            o.chunks_exact_mut(row).zip(rsum).for_each(|(o, rsum)| rows::scale(o, rsum));
            let rows = task.query_rows(&block);
            task.write(out.o, [a.hidden(), d], rows.clone(), o);
            task.write(out.lse, [a.heads, 1], rows, &lse[..n]);
        }
    });
}
