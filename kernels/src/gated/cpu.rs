//! Row by row, a vector of both halves at a time, in chunks of rows that threads take.

use rayon::prelude::*;

use crate::activation::{Activation, gradient_and_value, value};
use crate::parallel::rows_per_task;
use crate::simd::{Element, Simd, dispatch, each_vector, inlined, load, map2, store};

/// y (`[M, F]`, overwritten) from z (`[M, 2 F]`); `cols` is F.
///
/// # Panics
/// When the lengths do not fit.
pub fn forward<E: Element>(op: Activation, z: &[E], cols: usize, y: &mut [E]) {
    check(z.len(), y.len(), cols);
    let n = rows_per_task(2 * cols) * cols;
    let work = z.par_chunks(2 * n).zip(y.par_chunks_mut(n));
    work.for_each(|(z, y)| forward_rows(op, z, cols, y));
}

/// dz (`[M, 2 F]`, overwritten) from z and from dy (`[M, F]`).
///
/// # Panics
/// When the lengths do not fit.
pub fn backward<E: Element>(op: Activation, z: &[E], dy: &[E], cols: usize, dz: &mut [E]) {
    check(z.len(), dy.len(), cols);
    assert_eq!(dz.len(), z.len(), "gated backward: lengths");
    let n = rows_per_task(2 * cols) * cols;
    let work = z.par_chunks(2 * n).zip(dy.par_chunks(n)).zip(dz.par_chunks_mut(2 * n));
    work.for_each(|((z, dy), dz)| backward_rows(op, [z, dy], cols, dz, None));
}

/// As [`backward`], and y (`[M, F]`, overwritten) once more: for a backward that needs both and kept neither.
///
/// # Panics
/// When the lengths do not fit.
pub fn backward_and_value<E: Element>(
    op: Activation,
    z: &[E],
    dy: &[E],
    cols: usize,
    dz: &mut [E],
    y: &mut [E],
) {
    check(z.len(), dy.len(), cols);
    assert!(dz.len() == z.len() && y.len() == dy.len(), "gated backward: lengths");
    let n = rows_per_task(2 * cols) * cols;
    let read = z.par_chunks(2 * n).zip(dy.par_chunks(n));
    let write = dz.par_chunks_mut(2 * n).zip(y.par_chunks_mut(n));
    let work = read.zip(write);
    work.for_each(|((z, dy), (dz, y))| backward_rows(op, [z, dy], cols, dz, Some(y)));
}

/// Panics unless the lengths of z and y are those of rows of 2 F and of as many rows of F.
fn check(z: usize, y: usize, cols: usize) {
    assert!(cols > 0 && y.is_multiple_of(cols) && z == 2 * y, "gated: {z}, {y}, {cols} columns");
}

dispatch!(fn forward_rows<E: Element>(
    op: Activation, z: &[E], cols: usize, y: &mut [E]
) = forward_body);
dispatch!(fn backward_rows<E: Element>(
    op: Activation, operands: [&[E]; 2], cols: usize, dz: &mut [E], y: Option<&mut [E]>
) = backward_body);

#[inline(always)]
fn forward_body<S: Simd, E: Element>(s: S, op: Activation, z: &[E], cols: usize, y: &mut [E]) {
    for (z, y) in z.chunks_exact(2 * cols).zip(y.chunks_exact_mut(cols)) {
        let (a, g) = z.split_at(cols);
        map2(s, a, g, y, inlined!(|a, g| s.mul(value(s, op, a), g)));
    }
}

#[inline(always)]
fn backward_body<S: Simd, E: Element>(
    s: S,
    op: Activation,
    [z, dy]: [&[E]; 2],
    cols: usize,
    dz: &mut [E],
    mut y: Option<&mut [E]>,
) {
    let rows = z.chunks_exact(2 * cols).zip(dy.chunks_exact(cols));
    for (row, ((z, dy), dz)) in rows.zip(dz.chunks_exact_mut(2 * cols)).enumerate() {
        let ((a, g), (da, dg)) = (z.split_at(cols), dz.split_at_mut(cols));
        each_vector::<S>(
            cols,
            inlined!(|at, n| {
                let (a, g, dy) = (load(s, a, at, n), load(s, g, at, n), load(s, dy, at, n));
                let (gradient, value) = gradient_and_value(s, op, a, s.mul(dy, g));
                store(s, gradient, da, at, n);
                store(s, s.mul(dy, value), dg, at, n);
                if let Some(y) = &mut y {
                    store(s, s.mul(value, g), y, row * cols + at, n);
                }
            }),
        );
    }
}
