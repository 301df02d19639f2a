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
struct Factors {
    grad_scale: f32,
    /// 1 - lr weight_decay
    keep: f32,
    /// beta1 and 1 - beta1
    first: [f32; 2],
    /// beta2 and 1 - beta2
    second: [f32; 2],
    /// lr / (1 - beta1^t)
    rate: f32,
    /// 1 / (1 - beta2^t)
    correction: f32,
    eps: f32,
}

impl Factors {
    fn new(s: Step) -> Self {
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
    assert!(s.step > 0, "adamw: expected steps to count from 1");
    assert!(w.len() == g.len() && w.len() == m.len() && w.len() == v.len(), "adamw: lengths");
    let factors = Factors::new(s);
    let n = elements_per_task();
    w.par_chunks_mut(n)
        .zip(g.par_chunks(n))
        .zip(m.par_chunks_mut(n).zip(v.par_chunks_mut(n)))
        .for_each(|((w, g), (m, v))| update_elements(&factors, w, g, m, v));
}

dispatch!(fn update_elements(
    f: &Factors, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]
) = update_body);

#[inline(always)]
fn update_body<S: Simd>(s: S, f: &Factors, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    let (first, second) = (f.first.map(|x| s.splat(x)), f.second.map(|x| s.splat(x)));
    let [grad_scale, keep] = [f.grad_scale, f.keep].map(|x| s.splat(x));
    let [minus_rate, correction, eps] = [-f.rate, f.correction, f.eps].map(|x| s.splat(x));
    each_vector::<S>(
        w.len(),
        inlined!(|at, n| {
            let g = s.mul(grad_scale, load(s, g, at, n));
            let m_new = s.fma(first[0], load(s, m, at, n), s.mul(first[1], g));
            let v_new = s.fma(second[0], load(s, v, at, n), s.mul(second[1], s.mul(g, g)));
            let denominator = s.add(s.sqrt(s.mul(v_new, correction)), eps);
            let w_new = s.mul(keep, load(s, w, at, n));
            let w_new = s.fma(minus_rate, s.div(m_new, denominator), w_new);
            store(s, m_new, m, at, n);
            store(s, v_new, v, at, n);
            store(s, w_new, w, at, n);
        }),
    );
}
