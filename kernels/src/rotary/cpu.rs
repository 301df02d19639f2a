//! Token by token, in chunks of rows that threads take; the row of the table stays in L1 for all heads.

use rayon::prelude::*;

use crate::parallel::rows_per_task;
use crate::simd::{Element, Simd, dispatch, each_vector, inlined, load, store};

/// What is turned, and how far.
#[derive(Clone, Copy, Debug)]
pub struct Rotary<'a> {
    /// What [`table`](super::table) returns, `[P, D]`: no sequence is longer than P.
    pub table: &'a [f32],
    /// Where each sequence begins, and the end: `[B + 1]`, ascending from 0 to T.
    pub cu_seqlens: &'a [u32],
    /// N, heads of q, as many of k and of v.
    pub heads: usize,
    /// D, even.
    pub head_dim: usize,
}

/// q, k and v (`[T, N D]` each, overwritten) from `qkv` (`[T, 3 N D]`).
///
/// # Panics
/// When the lengths do not fit, D is odd, a sequence is longer than the table, or the offsets do not ascend from 0.
pub fn split<E: Element>(rotary: Rotary, qkv: &[E], [q, k, v]: [&mut [E]; 3]) {
    rotary.check(qkv.len(), [q.len(), k.len(), v.len()]);
    let h = rotary.width();
    let n = rows_per_task(3 * h);
    let write = q.par_chunks_mut(n * h).zip(k.par_chunks_mut(n * h)).zip(v.par_chunks_mut(n * h));
    qkv.par_chunks(n * 3 * h)
        .zip(write)
        .enumerate()
        .for_each(|(i, (qkv, ((q, k), v)))| split_rows(rotary, i * n, qkv, [q, k, v]));
}

/// The gradient of `qkv` (`[T, 3 N D]`, overwritten) from those of q, k and v (`[T, N D]` each).
///
/// # Panics
/// As [`split`].
pub fn join<E: Element>(rotary: Rotary, [dq, dk, dv]: [&[E]; 3], dqkv: &mut [E]) {
    rotary.check(dqkv.len(), [dq, dk, dv].map(<[E]>::len));
    let h = rotary.width();
    let n = rows_per_task(3 * h);
    let read = dq.par_chunks(n * h).zip(dk.par_chunks(n * h)).zip(dv.par_chunks(n * h));
    dqkv.par_chunks_mut(n * 3 * h)
        .zip(read)
        .enumerate()
        .for_each(|(i, (dqkv, ((dq, dk), dv)))| join_rows(rotary, i * n, [dq, dk, dv], dqkv));
}

impl Rotary<'_> {
    /// H = N D.
    fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Panics unless these lengths of `qkv` and of its parts fit.
    fn check(&self, qkv: usize, parts: [usize; 3]) {
        let Rotary { table, cu_seqlens: ends, heads, head_dim } = *self;
        let pairs = self.width() > 0 && head_dim.is_multiple_of(2);
        assert!(pairs, "rotary: {heads} heads of {head_dim}");
        assert!(ends.first() == Some(&0), "rotary: expected cu_seqlens to begin with 0");
        assert!(ends.is_sorted(), "rotary: expected ascending cu_seqlens");
        let n = ends[ends.len() - 1] as usize * self.width();
        assert!(qkv == 3 * n && parts == [n; 3], "rotary: lengths");
        let longest = ends.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0) as usize;
        assert!(longest * head_dim <= table.len(), "rotary: {longest} places of the table");
    }

    /// The rows of the table for the tokens from `first` on.
    fn angles(&self, first: usize) -> impl Iterator<Item = &[f32]> {
        let before = self.cu_seqlens.partition_point(|&start| start as usize <= first);
        let ends = &self.cu_seqlens[before - 1..];
        let places = ends.windows(2).flat_map(|ends| 0..(ends[1] - ends[0]) as usize);
        let rows = places.map(|place| &self.table[place * self.head_dim..][..self.head_dim]);
        rows.skip(first - ends[0] as usize)
    }
}

dispatch!(fn split_rows<E: Element>(
    rotary: Rotary, first: usize, qkv: &[E], parts: [&mut [E]; 3]
) = split_body);
dispatch!(fn join_rows<E: Element>(
    rotary: Rotary, first: usize, parts: [&[E]; 3], dqkv: &mut [E]
) = join_body);

/// Some rows, of which the first is number `first` of all.
#[inline(always)]
fn split_body<S: Simd, E: Element>(
    s: S,
    rotary: Rotary,
    first: usize,
    qkv: &[E],
    [q, k, v]: [&mut [E]; 3],
) {
    let h = rotary.width();
    for (t, (row, angles)) in qkv.chunks_exact(3 * h).zip(rotary.angles(first)).enumerate() {
        let own = t * h..(t + 1) * h;
        turn(s, (angles, 1.0), &row[..h], &mut q[own.clone()]);
        turn(s, (angles, 1.0), &row[h..2 * h], &mut k[own.clone()]);
        v[own].copy_from_slice(&row[2 * h..]);
    }
}

#[inline(always)]
fn join_body<S: Simd, E: Element>(
    s: S,
    rotary: Rotary,
    first: usize,
    [dq, dk, dv]: [&[E]; 3],
    dqkv: &mut [E],
) {
    let h = rotary.width();
    for (t, (row, angles)) in dqkv.chunks_exact_mut(3 * h).zip(rotary.angles(first)).enumerate() {
        let own = t * h..(t + 1) * h;
        turn(s, (angles, -1.0), &dq[own.clone()], &mut row[..h]);
        turn(s, (angles, -1.0), &dk[own.clone()], &mut row[h..2 * h]);
        row[2 * h..].copy_from_slice(&dv[own]);
    }
}

/// The heads of a token, side by side, turned by the angles of a row of the table; the other way for a sign of -1.
#[inline(always)]
fn turn<S: Simd, E: Element>(s: S, (angles, sign): (&[f32], f32), x: &[E], y: &mut [E]) {
    let half = angles.len() / 2;
    let ((cos, sin), sign) = (angles.split_at(half), s.splat(sign));
    for (x, y) in x.chunks_exact(2 * half).zip(y.chunks_exact_mut(2 * half)) {
        let ((x_i, x_j), (y_i, y_j)) = (x.split_at(half), y.split_at_mut(half));
        each_vector::<S>(
            half,
            inlined!(|at, n| {
                let (x_i, x_j) = (load(s, x_i, at, n), load(s, x_j, at, n));
                let (cos, sin) = (load(s, cos, at, n), s.mul(sign, load(s, sin, at, n)));
                store(s, s.sub(s.mul(x_i, cos), s.mul(x_j, sin)), y_i, at, n);
                store(s, s.fma(x_j, cos, s.mul(x_i, sin)), y_j, at, n);
            }),
        );
    }
}
