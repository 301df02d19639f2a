//! Copies of rows; for the backward, sums of rows grouped by id.

use rayon::prelude::*;

use crate::parallel::{pick_rows, rows_per_task};
use crate::simd::{Simd, dispatch, each_vector, inlined, load, store};

/// A row of the table: its id, then a token that reads it.
type Use = (u32, u32);

/// The narrowest column block, in elements: four cache lines, so that tasks do not share one.
const MIN_WIDTH: usize = 64;

/// `y = table[ids]`; `table` is `[V, H]`, `ids` is `[T]`, `y` is `[T, H]`.
///
/// # Panics
/// When the lengths do not fit or an id is not below V.
pub fn forward(table: &[f32], ids: &[u32], h: usize, y: &mut [f32]) {
    check(table, ids, h, y);
    let n = rows_per_task(h);
    ids.par_chunks(n).zip(y.par_chunks_mut(n * h)).for_each(|(ids, y)| {
        for (&id, y) in ids.iter().zip(y.chunks_exact_mut(h)) {
            y.copy_from_slice(&table[id as usize * h..][..h]);
        }
    });
}

/// Adds each row of `dy` (`[T, H]`) to row `ids[t]` of `dtable` (`[V, H]`).
///
/// # Panics
/// When the lengths do not fit or an id is not below V.
pub fn backward(dy: &[f32], ids: &[u32], h: usize, dtable: &mut [f32]) {
    check(dtable, ids, h, dy);
    let mut uses: Vec<Use> = (0..).zip(ids).map(|(token, &id)| (id, token)).collect();
    uses.par_sort_unstable();
    let groups: Vec<&[Use]> = uses.chunk_by(|a, b| a.0 == b.0).collect();
    let rows = pick_rows(groups.iter().map(|uses| uses[0].0), h, dtable);
    groups
        .into_par_iter()
        .zip(rows)
        .with_min_len(rows_per_task(h))
        .for_each(|(uses, row)| add_uses(dy, uses, row));
}

/// The distinct ids in ascending order, `[R]`, and for each token the place of its id among them, `[T]`: with
/// places for ids, [`backward`] sums into the `[R, H]` rows that are not zero. It marks the ids in a list of all V, and
/// sorts nothing.
///
/// # Panics
/// When an id is not below V.
pub fn distinct(ids: &[u32], v: usize) -> (Vec<u32>, Vec<u32>) {
    let mut occurs = vec![false; v];
    ids.iter().for_each(|&id| occurs[id as usize] = true);
    let rows: Vec<u32> = (0..v as u32).filter(|&id| occurs[id as usize]).collect();
    let mut place = vec![0u32; v];
    (0..).zip(&rows).for_each(|(at, &id)| place[id as usize] = at);
    let places = ids.iter().map(|&id| place[id as usize]).collect();
    (rows, places)
}

fn check(table: &[f32], ids: &[u32], h: usize, rows: &[f32]) {
    assert!(table.len().is_multiple_of(h) && ids.len() * h == rows.len(), "embedding: lengths");
    let v = table.len() / h;
    assert!(ids.iter().all(|&id| (id as usize) < v), "embedding: expected ids below {v}");
}

/// Adds the tokens of one id to its row. An id of very many tokens (a token type, say) is shared out by
/// columns, which leaves the order of every sum as it was.
fn add_uses(dy: &[f32], uses: &[Use], row: &mut [f32]) {
    let h = row.len();
    let width = rows_per_task(uses.len()).max(MIN_WIDTH);
    row.par_chunks_mut(width).enumerate().for_each(|(i, row)| {
        for &(_, token) in uses {
            add(&dy[token as usize * h + i * width..][..row.len()], row);
        }
    });
}

dispatch!(fn add(x: &[f32], y: &mut [f32]) = add_body);

#[inline(always)]
fn add_body<S: Simd>(s: S, x: &[f32], y: &mut [f32]) {
    each_vector::<S>(
        y.len(),
        inlined!(|at, n| {
            store(s, s.add(load(s, y, at, n), load(s, x, at, n)), y, at, n);
        }),
    );
}
