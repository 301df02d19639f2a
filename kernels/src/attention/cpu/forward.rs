//! The forward of one task.

use super::product::{View, pack, pack_transposed, product};
use super::{Attention, QUERIES, Qkv, Task, padded, rows, with_scratch};
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
    let (d, s) = (a.head_dim, task.keys);
    let (row, wide) = (padded(d), padded(s));
    let sizes = [d * wide, s * row, QUERIES * wide, QUERIES * row, wide];
    with_scratch(sizes, |[keys, values, scores, o, mask]| {
        pack_transposed(task.keys(a, x.k), a.scale, keys);
        pack(task.keys(a, x.v), 1.0, values);
        let (mut lse, mut rsum) = ([0.0; QUERIES], [0.0; QUERIES]);
        for queries in task.blocks() {
            let n = queries.len();
            let (scores, o) = (&mut scores[..n * wide], &mut o[..n * row]);
            product(task.queries(a, x.q, queries.clone()), keys, scores);
            rows::softmax(scores, s, &mut lse[..n], &mut rsum[..n]);
            if let Some(dropout) = a.dropout {
                for (query, scores) in queries.clone().zip(scores.chunks_exact_mut(wide)) {
                    dropout.mask_row(task.row(a, query), 0, mask);
                    rows::multiply(scores, mask);
                }
            }
            product(View::new(scores, [n, s], wide), values, o);
            o.chunks_exact_mut(row).zip(rsum).for_each(|(o, rsum)| rows::scale(o, rsum));
            let rows = task.query_rows(queries);
            task.write(out.o, [a.hidden(), d], rows.clone(), o);
            task.write(out.lse, [a.heads, 1], rows, &lse[..n]);
        }
    });
}
