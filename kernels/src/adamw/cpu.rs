//! Elementwise, in one pass: the update is bound by memory, not by arithmetic.

use rayon::prelude::*;

use crate::parallel::elements_per_task;
use crate::simd::{Simd, dispatch, each_vector, inlined, load, store};

/// The numbers of one update, in f64: 1 - 0.999 in f32 has only four digits.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment, in [0, 1).
    pub beta1: f64,
    /// Decay of the second moment, in [0, 1).
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay; 0 gives Adam.
    pub weight_decay: f64,
    /// The number of this update, from 1.
    pub step: u64,
    /// What gradients are multiplied by: the clipping factor, 1 for none.
    pub grad_scale: f64,
}

/// What one element needs of a [`Step`], rounded once from f64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factors {
    pub(super) grad_scale: f32,
    /// 1 - lr weight_decay
    pub(super) keep: f32,
    /// beta1 and 1 - beta1
    pub(super) first: [f32; 2],
    /// beta2 and 1 - beta2
    pub(super) second: [f32; 2],
    /// lr / (1 - beta1^t)
    pub(super) rate: f32,
    /// 1 / (1 - beta2^t)
    pub(super) correction: f32,
    pub(super) eps: f32,
}

impl Factors {
    pub(super) fn new(s: Step) -> Self {
        assert!(s.step > 0, "adamw: expected steps to count from 1");
        let Step { lr, beta1, beta2, .. } = s;
        let t = s.step as f64;
        Self {
            grad_scale: s.grad_scale as f32,
            keep: (1.0 - lr * s.weight_decay) as f32,
            first: [beta1 as f32, (1.0 - beta1) as f32],
            second: [beta2 as f32, (1.0 - beta2) as f32],
            rate: (lr / (1.0 - beta1.powf(t))) as f32,
            correction: (1.0 / (1.0 - beta2.powf(t))) as f32,
            eps: s.eps as f32,
        }
    }
}

/// One update of the weights `w` with their gradient `g`; the moments `m` and `v` are carried along. All have
/// the same length.
///
/// # Panics
/// When the lengths differ or `s.step` is 0.
pub fn update(s: Step, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    assert!(w.len() == g.len() && w.len() == m.len() && w.len() == v.len(), "adamw: lengths");
    let factors = Factors::new(s);
    let n = elements_per_task();
    w.par_chunks_mut(n)
        .zip(g.par_chunks(n))
        .zip(m.par_chunks_mut(n).zip(v.par_chunks_mut(n)))
        .for_each(|((w, g), (m, v))| update_elements(&factors, w, g, m, v));
}

dispatch!(
    /// One update on the thread of the caller.
    pub(super) fn update_elements(
        f: &Factors, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32],
    ) = update_body
);

#[inline(always)]
fn update_body<S: Simd>(s: S, f: &Factors, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    let f = Lanes::new(s, f);
    each_vector::<S>(
        w.len(),
        inlined!(|at, n| {
            let old = [load(s, w, at, n), load(s, m, at, n), load(s, v, at, n)];
            let new = f.update(s, load(s, g, at, n), old);
            store(s, new[0], w, at, n);
            store(s, new[1], m, at, n);
            store(s, new[2], v, at, n);
        }),
    );
}

/// [`Factors`], each in all lanes of a vector.
pub(super) struct Lanes<S: Simd> {
    grad_scale: S::F,
    keep: S::F,
    first: [S::F; 2],
    second: [S::F; 2],
    minus_rate: S::F,
    correction: S::F,
    eps: S::F,
}

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    pub(super) fn new(s: S, f: &Factors) -> Self {
        Self {
            grad_scale: s.splat(f.grad_scale),
            keep: s.splat(f.keep),
            first: [s.splat(f.first[0]), s.splat(f.first[1])],
            second: [s.splat(f.second[0]), s.splat(f.second[1])],
            minus_rate: s.splat(-f.rate),
            correction: s.splat(f.correction),
            eps: s.splat(f.eps),
        }
    }

    /// The new w, m and v of a vector of elements with gradients `g`: the one place where an update is rounded.
    #[inline(always)]
    pub(super) fn update(&self, s: S, g: S::F, [w, m, v]: [S::F; 3]) -> [S::F; 3] {
        let g = s.mul(self.grad_scale, g);
        let m = s.fma(self.first[0], m, s.mul(self.first[1], g));
        let v = s.fma(self.second[0], v, s.mul(self.second[1], s.mul(g, g)));
        let denominator = s.add(s.sqrt(s.mul(v, self.correction)), self.eps);
        let w = s.fma(self.minus_rate, s.div(m, denominator), s.mul(self.keep, w));
        [w, m, v]
    }
}
