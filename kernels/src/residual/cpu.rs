//! Row by row, a group of random words at a time.

use rayon::prelude::*;

use crate::dropout::{self, Dropout, mask_group};
use crate::parallel::rows_per_task;
use crate::philox::GROUP;
use crate::simd::{Element, Simd, dispatch, each_vector, inlined, load, store};

/// s = x + m u; all `[rows, h]`.
///
/// # Panics
/// When the lengths differ or are no multiple of `h`, or p is not in [0, 1).
pub fn forward<E: Element>(x: &[f32], u: &[E], dropout: Option<Dropout>, h: usize, s: &mut [f32]) {
    assert!(x.len() == u.len() && x.len() == s.len(), "residual: lengths");
    assert!(x.len().is_multiple_of(h), "residual: {} elements, rows of {h}", x.len());
    let rows = rows_per_task(h);
    let n = rows * h;
    let work = x.par_chunks(n).zip(u.par_chunks(n)).zip(s.par_chunks_mut(n)).enumerate();
    work.for_each(|(i, ((x, u), s))| match dropout {
        Some(dropout) => add_dropped_rows((dropout, i * rows), x, u, h, s),
        None => add(x, u, s),
    });
}

/// du = m ds, both `[rows, h]`: [`dropout::backward`] of ds. dx is ds.
///
/// # Panics
/// As [`forward`].
pub fn backward<E: Element>(dropout: Dropout, ds: &[f32], h: usize, du: &mut [E]) {
    dropout::backward(dropout, ds, h, du);
}

dispatch!(fn add<E: Element>(x: &[f32], u: &[E], s: &mut [f32]) = add_body);
dispatch!(fn add_dropped_rows<E: Element>(
    dropout: (Dropout, usize), x: &[f32], u: &[E], h: usize, s: &mut [f32]
) = add_dropped_body);

#[inline(always)]
fn add_body<S: Simd, E: Element>(s: S, x: &[f32], u: &[E], sum: &mut [f32]) {
    each_vector::<S>(
        x.len(),
        inlined!(|at, n| {
            store(s, s.add(load(s, x, at, n), load(s, u, at, n)), sum, at, n);
        }),
    );
}

/// From row `first` of the mask on.
#[inline(always)]
fn add_dropped_body<S: Simd, E: Element>(
    s: S,
    (dropout, first): (Dropout, usize),
    x: &[f32],
    u: &[E],
    h: usize,
    sum: &mut [f32],
) {
    let rows = x.chunks_exact(h).zip(u.chunks_exact(h)).zip(sum.chunks_exact_mut(h));
    for (i, ((x, u), sum)) in rows.enumerate() {
        let groups = x.chunks(GROUP).zip(u.chunks(GROUP)).zip(sum.chunks_mut(GROUP));
        for (group, ((x, u), sum)) in groups.enumerate() {
            let mask = mask_group(dropout, (first + i) as u32, group as u32);
            each_vector::<S>(
                x.len(),
                inlined!(|at, n| {
                    let dropped = s.mul(load(s, u, at, n), load(s, &mask, at, n));
                    store(s, s.add(load(s, x, at, n), dropped), sum, at, n);
                }),
            );
        }
    }
}
