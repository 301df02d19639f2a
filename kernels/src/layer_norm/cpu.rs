//! Row by row; a row stays in L1 between its passes. Parameter gradients are column sums over blocks of
//! rows, added in a fixed order.

use rayon::prelude::*;

use crate::parallel::{rows_per_task, sum_blocks};
use crate::simd::{Simd, dispatch, each_vector, inlined, load, store, sum_of};

/// What the backward needs of the forward: one number a row each.
#[derive(Clone, Copy)]
pub struct Saved<'a> {
    /// The mean of each row, `[rows]`.
    pub mean: &'a [f32],
    /// One over the standard deviation of each row, `[rows]`.
    pub rstd: &'a [f32],
}

/// y = layer_norm(x) of each row.
///
/// `x` and `y` are `[rows, H]`, `affine` is w and b, both `[H]`; `saved` receives mean and rstd, both
/// `[rows]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn forward(
    x: &[f32],
    (w, b): (&[f32], &[f32]),
    eps: f32,
    y: &mut [f32],
    (mean, rstd): (&mut [f32], &mut [f32]),
) {
    let h = w.len();
    assert!(b.len() == h && x.len() == y.len(), "layer_norm: lengths");
    assert!(mean.len() * h == x.len() && rstd.len() == mean.len(), "layer_norm: rows");
    let n = rows_per_task(h);
    x.par_chunks(n * h)
        .zip(y.par_chunks_mut(n * h))
        .zip(mean.par_chunks_mut(n).zip(rstd.par_chunks_mut(n)))
        .for_each(|((x, y), saved)| forward_rows(x, (w, b), eps, y, saved));
}

/// dx of each row; `x`, `dy` and `dx` are `[rows, H]`, `w` is `[H]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn backward_input(x: &[f32], w: &[f32], saved: Saved, dy: &[f32], dx: &mut [f32]) {
    let h = w.len();
    assert!(x.len() == dy.len() && x.len() == dx.len(), "layer_norm: lengths");
    assert!(saved.mean.len() * h == x.len() && saved.rstd.len() == saved.mean.len());
    let n = rows_per_task(h);
    x.par_chunks(n * h)
        .zip(dy.par_chunks(n * h))
        .zip(dx.par_chunks_mut(n * h))
        .zip(saved.mean.par_chunks(n).zip(saved.rstd.par_chunks(n)))
        .for_each(|(((x, dy), dx), (mean, rstd))| {
            backward_rows(x, w, Saved { mean, rstd }, dy, dx);
        });
}

/// dw and db, both `[H]`, from `x` and `dy`, both `[rows, H]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn backward_params(x: &[f32], saved: Saved, dy: &[f32], dw: &mut [f32], db: &mut [f32]) {
    let h = dw.len();
    assert!(x.len() == dy.len() && saved.mean.len() * h == x.len() && db.len() == h);
    let mut both = vec![0.0f32; 2 * h];
    sum_blocks(saved.mean.len(), &mut both, |rows, acc| {
        for r in rows {
            let (x, dy) = (&x[r * h..][..h], &dy[r * h..][..h]);
            add_params_row(x, dy, (saved.mean[r], saved.rstd[r]), acc);
        }
    });
    dw.copy_from_slice(&both[..h]);
    db.copy_from_slice(&both[h..]);
}

dispatch!(fn forward_rows(
    x: &[f32], affine: (&[f32], &[f32]), eps: f32, y: &mut [f32], saved: (&mut [f32], &mut [f32])
) = forward_body);
dispatch!(fn backward_rows(
    x: &[f32], w: &[f32], saved: Saved, dy: &[f32], dx: &mut [f32]
) = backward_body);
dispatch!(fn add_params_row(
    x: &[f32], dy: &[f32], statistics: (f32, f32), acc: &mut [f32]
) = add_params_body);

#[inline(always)]
fn forward_body<S: Simd>(
    s: S,
    x: &[f32],
    (w, b): (&[f32], &[f32]),
    eps: f32,
    y: &mut [f32],
    (means, rstds): (&mut [f32], &mut [f32]),
) {
    let h = w.len();
    for (r, (x, y)) in x.chunks_exact(h).zip(y.chunks_exact_mut(h)).enumerate() {
        let mean = sum_of(s, x, 0.0, inlined!(|v| v)) / h as f32;
        let centre = s.splat(mean);
        let squares = sum_of(
            s,
            x,
            mean,
            inlined!(|v| {
                let d = s.sub(v, centre);
                s.mul(d, d)
            }),
        );
        let rstd = 1.0 / (squares / h as f32 + eps).sqrt();
        let scale = s.splat(rstd);
        each_vector::<S>(
            h,
            inlined!(|at, n| {
                let xhat = s.mul(s.sub(load(s, x, at, n), centre), scale);
                store(s, s.fma(xhat, load(s, w, at, n), load(s, b, at, n)), y, at, n);
            }),
        );
        (means[r], rstds[r]) = (mean, rstd);
    }
}

#[inline(always)]
fn backward_body<S: Simd>(s: S, x: &[f32], w: &[f32], saved: Saved, dy: &[f32], dx: &mut [f32]) {
    let h = w.len();
    let rows = x.chunks_exact(h).zip(dy.chunks_exact(h)).zip(dx.chunks_exact_mut(h));
    for (r, ((x, dy), dx)) in rows.enumerate() {
        let (mean, rstd) = (saved.mean[r], saved.rstd[r]);
        let (centre, scale) = (s.splat(mean), s.splat(rstd));
        let (mut g_sum, mut gx_sum) = (s.splat(0.0), s.splat(0.0));
        each_vector::<S>(
            h,
            inlined!(|at, n| {
                let g = s.mul(load(s, w, at, n), load(s, dy, at, n));
                let xhat = s.mul(s.sub(load(s, x, at, n), centre), scale);
                g_sum = s.add(g_sum, g);
                gx_sum = s.fma(g, xhat, gx_sum);
            }),
        );
        let g_mean = s.splat(s.sum(g_sum) / h as f32);
        let gx_mean = s.splat(s.sum(gx_sum) / h as f32);
        each_vector::<S>(
            h,
            inlined!(|at, n| {
                let g = s.mul(load(s, w, at, n), load(s, dy, at, n));
                let xhat = s.mul(s.sub(load(s, x, at, n), centre), scale);
                let centred = s.sub(s.sub(g, g_mean), s.mul(xhat, gx_mean));
                store(s, s.mul(scale, centred), dx, at, n);
            }),
        );
    }
}

/// Adds dy * xhat to the first half of `acc` and dy to the second.
#[inline(always)]
fn add_params_body<S: Simd>(
    s: S,
    x: &[f32],
    dy: &[f32],
    (mean, rstd): (f32, f32),
    acc: &mut [f32],
) {
    let h = x.len();
    let (dw, db) = acc.split_at_mut(h);
    let (centre, scale) = (s.splat(mean), s.splat(rstd));
    each_vector::<S>(
        h,
        inlined!(|at, n| {
            let dy = load(s, dy, at, n);
            let xhat = s.mul(s.sub(load(s, x, at, n), centre), scale);
            store(s, s.fma(dy, xhat, load(s, dw, at, n)), dw, at, n);
            store(s, s.add(load(s, db, at, n), dy), db, at, n);
        }),
    );
}
