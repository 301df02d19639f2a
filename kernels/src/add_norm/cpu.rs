//! Row by row; a row stays in L1 between its passes. The gradients of w and b are column sums over blocks of
//! rows, added in a fixed order.

use rayon::prelude::*;

use crate::dropout::{Dropout, drop_rows, mask_group};
use crate::layer_norm::{Row, add_params, backward_row, normalize_row, rstd_of};
use crate::parallel::{ROW_BLOCK, add_partials, rows_per_task};
use crate::philox::GROUP;
use crate::simd::{Element, Simd, dispatch, each_vector, inlined, load, store};

/// What goes in, both `[rows, H]`.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a, E> {
    /// What is dropped from and added.
    pub x: &'a [E],
    /// What it is added to.
    pub r: &'a [E],
    /// Dropout of x; none in inference.
    pub dropout: Option<Dropout>,
}

/// What comes out, both `[rows, H]`.
#[derive(Debug)]
pub struct Output<'a, E> {
    /// r + m x.
    pub z: &'a mut [E],
    /// z, normalized.
    pub y: &'a mut [E],
}

/// What the backward needs of the forward.
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a, E> {
    /// `[rows, H]`
    pub z: &'a [E],
    /// The mean of each row of z, `[rows]`.
    pub mean: &'a [f32],
    /// One over the standard deviation of each row of z, `[rows]`.
    pub rstd: &'a [f32],
}

/// Where the backward writes.
#[derive(Debug)]
pub struct Gradients<'a, E> {
    /// The gradient of r, `[rows, H]`.
    pub dr: &'a mut [E],
    /// The gradient of x, `[rows, H]`; with dropout only, without it is that of r.
    pub dx: Option<&'a mut [E]>,
    /// The gradient of w, `[H]`.
    pub dw: &'a mut [f32],
    /// The gradient of b, `[H]`.
    pub db: &'a mut [f32],
}

/// z and y of each row; `affine` is w and b, both `[H]`; mean and rstd, both `[rows]`, are for the backward.
///
/// # Panics
/// When the lengths do not fit.
pub fn forward<E: Element>(
    input: Input<E>,
    affine: (&[f32], &[f32]),
    eps: f32,
    out: Output<E>,
    (mean, rstd): (&mut [f32], &mut [f32]),
) {
    let (h, len) = (affine.0.len(), input.x.len());
    assert!(affine.1.len() == h && input.r.len() == len, "add_norm: lengths");
    assert!(out.z.len() == len && out.y.len() == len, "add_norm: lengths of the output");
    assert!(mean.len() * h == len && rstd.len() == mean.len(), "add_norm: rows");
    let n = rows_per_task(h);
    let read = input.x.par_chunks(n * h).zip(input.r.par_chunks(n * h));
    let write = out.z.par_chunks_mut(n * h).zip(out.y.par_chunks_mut(n * h));
    let saved = mean.par_chunks_mut(n).zip(rstd.par_chunks_mut(n));
    read.zip(write).zip(saved).enumerate().for_each(|(i, (((x, r), (z, y)), saved))| {
        let input = Input { x, r, dropout: input.dropout };
        forward_rows(Rows { input, first: i * n }, affine, eps, Output { z, y }, saved);
    });
}

/// All gradients; `w` is `[H]`, `dy` is `[rows, H]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn backward<E: Element>(
    saved: Saved<E>,
    w: &[f32],
    dropout: Option<Dropout>,
    dy: &[E],
    grads: Gradients<E>,
) {
    let (h, len) = (w.len(), dy.len());
    assert!(saved.z.len() == len && grads.dr.len() == len, "add_norm backward: lengths");
    assert!(saved.mean.len() * h == len && saved.rstd.len() == saved.mean.len());
    assert!(grads.dw.len() == h && grads.db.len() == h, "add_norm backward: dw and db");
    let (n, blocks) = (ROW_BLOCK * h, len.div_ceil(ROW_BLOCK * h));
    let mut dx = chunks_or_none(grads.dx, n, blocks);
    let mut partial = vec![0.0f32; blocks * 2 * h];
    let read = saved.z.par_chunks(n).zip(dy.par_chunks(n));
    let rows = saved.mean.par_chunks(ROW_BLOCK).zip(saved.rstd.par_chunks(ROW_BLOCK));
    let write = grads.dr.par_chunks_mut(n).zip(dx.par_iter_mut());
    let work = read.zip(rows).zip(write).zip(partial.par_chunks_mut(2 * h)).enumerate();
    work.for_each(|(i, ((((z, dy), (mean, rstd)), (dr, dx)), sums))| {
        let dropout = dropout.map(|d| (d, i * ROW_BLOCK));
        backward_rows(Saved { z, mean, rstd }, w, dy, (dr, sums));
        if let (Some(dropout), Some(dx)) = (dropout, dx) {
            drop_rows(dropout, dr, h, dx);
        }
    });
    let mut both = vec![0.0; 2 * h];
    add_partials(&partial, &mut both);
    grads.dw.copy_from_slice(&both[..h]);
    grads.db.copy_from_slice(&both[h..]);
}

/// The chunks of `x`, or as many times nothing.
fn chunks_or_none<E>(x: Option<&mut [E]>, n: usize, count: usize) -> Vec<Option<&mut [E]>> {
    match x {
        Some(x) => x.chunks_mut(n).map(Some).collect(),
        None => (0..count).map(|_| None).collect(),
    }
}

/// Rows of the input.
#[derive(Clone, Copy)]
struct Rows<'a, E> {
    input: Input<'a, E>,
    /// The number of the first one: masks depend on it.
    first: usize,
}

dispatch!(fn forward_rows<E: Element>(
    rows: Rows<E>, affine: (&[f32], &[f32]), eps: f32, out: Output<E>,
    saved: (&mut [f32], &mut [f32])
) = forward_body);
dispatch!(fn backward_rows<E: Element>(
    saved: Saved<E>, w: &[f32], dy: &[E], out: (&mut [E], &mut [f32])
) = backward_body);

#[inline(always)]
fn forward_body<S: Simd, E: Element>(
    s: S,
    Rows { input, first }: Rows<E>,
    affine: (&[f32], &[f32]),
    eps: f32,
    out: Output<E>,
    (means, rstds): (&mut [f32], &mut [f32]),
) {
    let h = affine.0.len();
    for (i, (z, y)) in out.z.chunks_exact_mut(h).zip(out.y.chunks_exact_mut(h)).enumerate() {
        let (x, r) = (&input.x[i * h..][..h], &input.r[i * h..][..h]);
        let sum = match input.dropout {
            Some(dropout) => masked_sum(s, (dropout, (first + i) as u32), x, r, z),
            None => plain_sum(s, x, r, z),
        };
        let mean = sum / h as f32;
        let rstd = rstd_of(sum_of_squares(s, z, mean), h, eps);
        normalize_row(s, Row { x: z, mean, rstd }, affine, y);
        (means[i], rstds[i]) = (mean, rstd);
    }
}

/// z = x + r; returns the sum of the row.
#[inline(always)]
fn plain_sum<S: Simd, E: Element>(s: S, x: &[E], r: &[E], z: &mut [E]) -> f32 {
    let mut sum = s.splat(0.0);
    each_vector::<S>(
        x.len(),
        inlined!(|at, n| {
            store(s, s.add(load(s, x, at, n), load(s, r, at, n)), z, at, n);
            sum = s.add(sum, load(s, z, at, n));
        }),
    );
    s.sum(sum)
}

/// z = m x + r; returns the sum of the row.
#[inline(always)]
fn masked_sum<S: Simd, E: Element>(
    s: S,
    (dropout, row): (Dropout, u32),
    x: &[E],
    r: &[E],
    z: &mut [E],
) -> f32 {
    let mut sum = s.splat(0.0);
    let groups = x.chunks(GROUP).zip(r.chunks(GROUP)).zip(z.chunks_mut(GROUP));
    for (group, ((x, r), z)) in groups.enumerate() {
        let mask = mask_group(dropout, row, group as u32);
        each_vector::<S>(
            x.len(),
            inlined!(|at, n| {
                let dropped = s.mul(load(s, x, at, n), load(s, &mask, at, n));
                store(s, s.add(dropped, load(s, r, at, n)), z, at, n);
                sum = s.add(sum, load(s, z, at, n));
            }),
        );
    }
    s.sum(sum)
}

/// The sum of (z - mean)^2.
#[inline(always)]
fn sum_of_squares<S: Simd, E: Element>(s: S, z: &[E], mean: f32) -> f32 {
    let centre = s.splat(mean);
    let mut squares = s.splat(0.0);
    each_vector::<S>(
        z.len(),
        inlined!(|at, n| {
            // Lanes beyond the row count as the mean.
            let v = if n == S::LANES {
                E::load(s, &z[at..])
            } else {
                E::load_partial(s, &z[at..at + n], mean)
            };
            let d = s.sub(v, centre);
            squares = s.fma(d, d, squares);
        }),
    );
    s.sum(squares)
}

/// Writes dr, and adds dy xhat to the first half of `sums` and dy to the second.
#[inline(always)]
fn backward_body<S: Simd, E: Element>(
    s: S,
    saved: Saved<E>,
    w: &[f32],
    dy: &[E],
    (dr, sums): (&mut [E], &mut [f32]),
) {
    let h = w.len();
    let (dw, db) = sums.split_at_mut(h);
    for (i, dr) in dr.chunks_exact_mut(h).enumerate() {
        let (z, dy) = (&saved.z[i * h..][..h], &dy[i * h..][..h]);
        let row = Row { x: z, mean: saved.mean[i], rstd: saved.rstd[i] };
        backward_row(
            s,
            row,
            w,
            dy,
            dr,
            inlined!(|at, n, dy, xhat| {
                add_params(s, (at, n), dy, xhat, (&mut *dw, &mut *db));
            }),
        );
    }
}
