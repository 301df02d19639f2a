//! Row by row; a row stays in L1 between its passes. Parameter gradients are column sums over blocks of
//! rows, added in a fixed order.

use rayon::prelude::*;

use crate::parallel::{rows_per_task, sum_blocks};
use crate::simd::{Element, Simd, dispatch, each_vector, inlined, load, store, sum_of};

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
pub fn forward<E: Element>(
    x: &[f32],
    (w, b): (&[f32], &[f32]),
    eps: f32,
    y: &mut [E],
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
pub fn backward_input<E: Element>(x: &[f32], w: &[f32], saved: Saved, dy: &[E], dx: &mut [f32]) {
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
pub fn backward_params<E: Element>(
    x: &[f32],
    saved: Saved,
    dy: &[E],
    dw: &mut [f32],
    db: &mut [f32],
) {
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

dispatch!(fn forward_rows<E: Element>(
    x: &[f32], affine: (&[f32], &[f32]), eps: f32, y: &mut [E], saved: (&mut [f32], &mut [f32])
) = forward_body);
dispatch!(fn backward_rows<E: Element>(
    x: &[f32], w: &[f32], saved: Saved, dy: &[E], dx: &mut [f32]
) = backward_body);
dispatch!(fn add_params_row<E: Element>(
    x: &[f32], dy: &[E], statistics: (f32, f32), acc: &mut [f32]
) = add_params_body);

#[inline(always)]
fn forward_body<S: Simd, E: Element>(
    s: S,
    x: &[f32],
    affine: (&[f32], &[f32]),
    eps: f32,
    y: &mut [E],
    (means, rstds): (&mut [f32], &mut [f32]),
) {
    let h = affine.0.len();
    for (r, (x, y)) in x.chunks_exact(h).zip(y.chunks_exact_mut(h)).enumerate() {
        let mean = sum_of(s, x, 0.0, inlined!(|v| v)) / h as f32;
        let rstd = rstd_of(sum_of_squares(s, x, mean), h, eps);
        normalize_row(s, Row { x, mean, rstd }, affine, y);
        (means[r], rstds[r]) = (mean, rstd);
    }
}

/// The sum of (x - mean)^2.
#[inline(always)]
fn sum_of_squares<S: Simd>(s: S, x: &[f32], mean: f32) -> f32 {
    let centre = s.splat(mean);
    sum_of(
        s,
        x,
        mean,
        inlined!(|v| {
            let d = s.sub(v, centre);
            s.mul(d, d)
        }),
    )
}

#[inline(always)]
fn backward_body<S: Simd, E: Element>(
    s: S,
    x: &[f32],
    w: &[f32],
    saved: Saved,
    dy: &[E],
    dx: &mut [f32],
) {
    let h = w.len();
    let rows = x.chunks_exact(h).zip(dy.chunks_exact(h)).zip(dx.chunks_exact_mut(h));
    for (r, ((x, dy), dx)) in rows.enumerate() {
        let row = Row { x, mean: saved.mean[r], rstd: saved.rstd[r] };
        backward_row(s, row, w, dy, dx, inlined!(|_, _, _, _| {}));
    }
}

/// Adds dy * xhat to the first half of `acc` and dy to the second.
#[inline(always)]
fn add_params_body<S: Simd, E: Element>(
    s: S,
    x: &[f32],
    dy: &[E],
    (mean, rstd): (f32, f32),
    acc: &mut [f32],
) {
    let h = x.len();
    let sums = acc.split_at_mut(h);
    let row = Row { x, mean, rstd };
    each_vector::<S>(
        h,
        inlined!(|at, n| {
            let (dy, xhat) = (load(s, dy, at, n), row.xhat(s, at, n));
            add_params(s, (at, n), dy, xhat, (&mut *sums.0, &mut *sums.1));
        }),
    );
}

// What follows is the arithmetic of a row, which `add_norm` shares, whose rows are all of one type.

/// One row and its statistics.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a, E> {
    /// `[H]`
    pub x: &'a [E],
    pub mean: f32,
    /// One over the standard deviation.
    pub rstd: f32,
}

impl<E: Element> Row<'_, E> {
    /// The normalized elements of the vector of `n` that begins at `at`.
    #[inline(always)]
    fn xhat<S: Simd>(self, s: S, at: usize, n: usize) -> S::F {
        s.mul(s.sub(load(s, self.x, at, n), s.splat(self.mean)), s.splat(self.rstd))
    }
}

/// One over the standard deviation, from the sum of the squares of a centred row of `h`.
#[inline(always)]
pub(crate) fn rstd_of(squares: f32, h: usize, eps: f32) -> f32 {
    1.0 / (squares / h as f32 + eps).sqrt()
}

/// y = xhat w + b; all `[H]`.
#[inline(always)]
pub(crate) fn normalize_row<S: Simd, X: Element, Y: Element>(
    s: S,
    row: Row<X>,
    (w, b): (&[f32], &[f32]),
    y: &mut [Y],
) {
    each_vector::<S>(
        y.len(),
        inlined!(|at, n| {
            let (w, b) = (load(s, w, at, n), load(s, b, at, n));
            store(s, s.fma(row.xhat(s, at, n), w, b), y, at, n);
        }),
    );
}

/// dx from dy, both `[H]`. `seen(at, n, dy, xhat)` is told each vector on the way: for the gradients of w and b.
#[inline(always)]
pub(crate) fn backward_row<S: Simd, X: Element, Y: Element>(
    s: S,
    row: Row<X>,
    w: &[f32],
    dy: &[Y],
    dx: &mut [X],
    mut seen: impl FnMut(usize, usize, S::F, S::F),
) {
    let h = w.len();
    let (mut g_sum, mut gx_sum) = (s.splat(0.0), s.splat(0.0));
    each_vector::<S>(
        h,
        inlined!(|at, n| {
            let (dy, xhat) = (load(s, dy, at, n), row.xhat(s, at, n));
            let g = s.mul(load(s, w, at, n), dy);
            g_sum = s.add(g_sum, g);
            gx_sum = s.fma(g, xhat, gx_sum);
            seen(at, n, dy, xhat);
        }),
    );
    let g_mean = s.splat(s.sum(g_sum) / h as f32);
    let gx_mean = s.splat(s.sum(gx_sum) / h as f32);
    each_vector::<S>(
        h,
        inlined!(|at, n| {
            let g = s.mul(load(s, w, at, n), load(s, dy, at, n));
            let centred = s.sub(s.sub(g, g_mean), s.mul(row.xhat(s, at, n), gx_mean));
            store(s, s.mul(s.splat(row.rstd), centred), dx, at, n);
        }),
    );
}

/// Adds a vector of a row, `n` elements from `at` on, to dw and db, both `[H]`.
#[inline(always)]
pub(crate) fn add_params<S: Simd>(
    s: S,
    (at, n): (usize, usize),
    dy: S::F,
    xhat: S::F,
    (dw, db): (&mut [f32], &mut [f32]),
) {
    store(s, s.fma(dy, xhat, load(s, dw, at, n)), dw, at, n);
    store(s, s.add(load(s, db, at, n), dy), db, at, n);
}
