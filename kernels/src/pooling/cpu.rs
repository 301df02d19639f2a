//! Sequence by sequence.

use rayon::prelude::*;

use crate::simd::{Element, Simd, dispatch, each_vector, inlined, load, map, store};

/// What of a sequence stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Its first token.
    First,
    /// The mean of its tokens.
    Mean,
}

/// y of each sequence; `x` is `[T, H]`, `cu_seqlens` is `[B + 1]`, `y` is `[B, H]`.
///
/// # Panics
/// When the lengths do not fit, or the offsets do not ascend strictly from 0 to T.
pub fn forward<E: Element>(op: Pooling, x: &[E], cu_seqlens: &[u32], h: usize, y: &mut [E]) {
    check(x, cu_seqlens, h, y);
    y.par_chunks_mut(h).zip(cu_seqlens.par_windows(2)).for_each(|(y, ends)| {
        let x = &x[ends[0] as usize * h..ends[1] as usize * h];
        match op {
            Pooling::First => y.copy_from_slice(&x[..h]),
            Pooling::Mean => mean(x, y),
        }
    });
}

/// dx (`[T, H]`, overwritten) from `dy` (`[B, H]`).
///
/// # Panics
/// As [`forward`].
pub fn backward<E: Element>(op: Pooling, dy: &[E], cu_seqlens: &[u32], h: usize, dx: &mut [E]) {
    check(dx, cu_seqlens, h, dy);
    split(dx, cu_seqlens, h).into_par_iter().zip(dy.par_chunks(h)).for_each(|(dx, dy)| match op {
        Pooling::First => {
            let (first, others) = dx.split_at_mut(h);
            first.copy_from_slice(dy);
            others.fill(E::default());
        }
        Pooling::Mean => mean_backward(dy, dx),
    });
}

fn check<E>(tokens: &[E], cu_seqlens: &[u32], h: usize, sequences: &[E]) {
    assert!(cu_seqlens.first() == Some(&0), "pooling: expected cu_seqlens to begin with 0");
    assert!(cu_seqlens.is_sorted_by(|a, b| a < b), "pooling: expected ascending cu_seqlens");
    assert!(cu_seqlens[cu_seqlens.len() - 1] as usize * h == tokens.len(), "pooling: tokens");
    assert!((cu_seqlens.len() - 1) * h == sequences.len(), "pooling: sequences");
}

/// The rows of each sequence.
fn split<'a, E>(mut x: &'a mut [E], cu_seqlens: &[u32], h: usize) -> Vec<&'a mut [E]> {
    let mut sequences = Vec::with_capacity(cu_seqlens.len() - 1);
    for ends in cu_seqlens.windows(2) {
        let (sequence, rest) = x.split_at_mut((ends[1] - ends[0]) as usize * h);
        sequences.push(sequence);
        x = rest;
    }
    sequences
}

dispatch!(fn mean<E: Element>(x: &[E], y: &mut [E]) = mean_body);
dispatch!(fn mean_backward<E: Element>(dy: &[E], dx: &mut [E]) = mean_backward_body);

/// Column by column of vectors: the sum of a column stays in a register.
#[inline(always)]
fn mean_body<S: Simd, E: Element>(s: S, x: &[E], y: &mut [E]) {
    let h = y.len();
    let scale = s.splat(1.0 / (x.len() / h) as f32);
    each_vector::<S>(
        h,
        inlined!(|at, n| {
            let mut sum = s.splat(0.0);
            for x in x.chunks_exact(h) {
                sum = s.add(sum, load(s, x, at, n));
            }
            store(s, s.mul(sum, scale), y, at, n);
        }),
    );
}

#[inline(always)]
fn mean_backward_body<S: Simd, E: Element>(s: S, dy: &[E], dx: &mut [E]) {
    let h = dy.len();
    let scale = s.splat(1.0 / (dx.len() / h) as f32);
    for dx in dx.chunks_exact_mut(h) {
        map(s, dy, dx, inlined!(|v| s.mul(v, scale)));
    }
}
