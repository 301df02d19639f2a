//! Updates of one row without a gradient, many at once: w, m and v stay in registers from one to the next.
//!
//! Most of a row's updates change no weight but by decay: m falls by beta1 each time, and 200 updates after its
//! last gradient the step is less than half a unit in the last place of w, so that the subtraction rounds to what
//! was there. Where that is certain for a whole block of updates, quotient and root are left out: same bits, a tenth
//! of the time. It is certain where |m| < quiet |w| at the beginning of the block, with quiet = eps NEGLIGIBLE / rate.
//! For each of its updates, in which these have become m' and, decayed, w', is then
//!
//! ```text
//! |step| = rate |m'| / (sqrt(vhat) + eps)
//!       <= rate |m| / eps                 (a) moments fall, and v is not negative
//!        < 2^-28 |w|                      (b) quiet, with NEGLIGIBLE = 2^-28
//!        < 2^-27 |w'|                     (c) |w'| is 0.72 |w| at least: LEAST_KEEP^BLOCK
//!        < 2^-25 |w'|                     (d) a factor of 4 for what was rounded on the way
//!       <= half of what lies between w' and its neighbours: w' - step rounds to w', which (e) is not subnormal
//! ```

use super::cpu::{Factors, Lanes};
use crate::simd::{Simd, dispatch, each_vector, inlined, load, store};

/// Updates between two looks at the bound.
const BLOCK: usize = 64;

/// (b) A step below this share of |w|, at the beginning of a block, rounds away in all of it.
const NEGLIGIBLE: f32 = 1.0 / (1u32 << 28) as f32;

/// (c) The least factor of a decay that is judged: a block of them leaves 0.72 of w.
const LEAST_KEEP: f32 = 0.995;

/// (d) Rates from here on are not judged: they multiply what a quotient loses that is subnormal, up to 2^-150.
const TOO_FAST: f32 = 1e3;

/// (e) Weights up to this are not judged: decayed they may be subnormal.
const LEAST_WEIGHT: f32 = 1e-30;

/// Vectors whose decay is interleaved: one alone would wait for each product.
const INTERLEAVED: usize = 8;

impl Factors {
    /// Whether moments of zero stay so without a gradient, and only the decay changes w.
    pub(super) fn leaves_zeros(&self) -> bool {
        let sound = |x: f32| x.is_finite() && x >= 0.0;
        let all = [self.rate, self.correction, self.grad_scale, self.first[0], self.second[0]];
        all.into_iter().all(sound) && self.eps > 0.0
    }

    /// Whether it is an update of which the bound holds: (a), (c) and (d).
    fn is_bounded(&self) -> bool {
        let falls = self.first[0] <= 1.0 && self.second[0] <= 1.0;
        let decays_little = (LEAST_KEEP..=1.0).contains(&self.keep);
        self.leaves_zeros() && falls && decays_little && self.rate < TOO_FAST
    }
}

/// Updates of a row, with what is known of all of them.
struct Block<'a> {
    steps: &'a [Factors],
    /// An m below this share of |w| does not show in w; 0 if nothing is known.
    quiet: f32,
}

impl<'a> Block<'a> {
    fn new(steps: &'a [Factors]) -> Self {
        // `fade` takes the rates of decay of the first update for those of all.
        let betas = |f: &Factors| [f.first, f.second];
        let known = |f: &Factors| f.is_bounded() && betas(f) == betas(&steps[0]);
        if !steps.iter().all(known) {
            return Self { steps, quiet: 0.0 };
        }
        // At most 1 and at most eps: neither quiet |w| nor the quotient, at most |m| / eps, overflows.
        let rate = steps.iter().map(|f| f.rate).fold(NEGLIGIBLE, f32::max);
        let eps = steps.iter().map(|f| f.eps).fold(1.0, f32::min);
        Self { steps, quiet: eps * (NEGLIGIBLE / rate) }
    }
}

dispatch!(
    /// The updates `steps` of a row, with gradients of zero.
    pub(super) fn replay_row(
        steps: &[Factors], w: &mut [f32], m: &mut [f32], v: &mut [f32],
    ) = replay_body
);

#[inline(always)]
fn replay_body<S: Simd>(s: S, steps: &[Factors], w: &mut [f32], m: &mut [f32], v: &mut [f32]) {
    for steps in steps.chunks(BLOCK) {
        let block = Block::new(steps);
        each_vector::<S>(
            w.len(),
            inlined!(|at, n| {
                let old = [load(s, w, at, n), load(s, m, at, n), load(s, v, at, n)];
                let new = replay_vector(s, &block, old);
                store(s, new[0], w, at, n);
                store(s, new[1], m, at, n);
                store(s, new[2], v, at, n);
            }),
        );
    }
}

#[inline(always)]
fn replay_vector<S: Simd>(s: S, block: &Block, mut x: [S::F; 3]) -> [S::F; 3] {
    if is_quiet(s, block.quiet, x) {
        return fade(s, block.steps, x);
    }
    for f in block.steps {
        x = Lanes::new(s, f).update(s, s.splat(0.0), x);
    }
    x
}

/// Whether the bound holds in all lanes: no w will move but by decay.
#[inline(always)]
fn is_quiet<S: Simd>(s: S, quiet: f32, [w, m, v]: [S::F; 3]) -> bool {
    let (zero, one, size) = (s.splat(0.0), s.splat(1.0), s.abs(w));
    let limit = s.select_gt(size, s.splat(LEAST_WEIGHT), s.mul(s.splat(quiet), size), zero);
    let small = s.select_gt(limit, s.abs(m), one, zero);
    // A v below zero has no root; NaN in any of the three is not quiet.
    let small = s.select_gt(zero, v, zero, s.select_nan(v, zero, small));
    s.sum(small) == S::LANES as f32
}

/// Updates that change w by decay alone. A moment that rounds to itself (the least subnormal numbers do) stays:
/// arithmetic on those is slow.
#[inline(always)]
fn fade<S: Simd>(s: S, steps: &[Factors], [mut w, mut m, mut v]: [S::F; 3]) -> [S::F; 3] {
    let (zero, one, beta1) = (s.splat(0.0), s.splat(1.0), s.splat(steps[0].first[0]));
    let next = s.fma(beta1, m, zero);
    let falls = s.select_gt(s.abs(m), s.abs(next), one, zero);
    if s.sum(falls) > 0.0 {
        for _ in steps {
            m = s.fma(beta1, m, zero);
        }
    } else {
        m = next;
    }
    let beta2 = s.splat(steps[0].second[0]);
    for f in steps {
        v = s.fma(beta2, v, zero);
        w = s.mul(s.splat(f.keep), w);
    }
    [w, m, v]
}

dispatch!(
    /// The updates `steps` of a row whose moments are zero.
    pub(super) fn decay_row(steps: &[Factors], w: &mut [f32]) = decay_body
);

#[inline(always)]
fn decay_body<S: Simd>(s: S, steps: &[Factors], w: &mut [f32]) {
    if steps.iter().all(|f| f.keep == 1.0) {
        return;
    }
    let mut blocks = w.chunks_exact_mut(INTERLEAVED * S::LANES);
    for block in &mut blocks {
        decay_block(s, steps, block);
    }
    let rest = blocks.into_remainder();
    each_vector::<S>(
        rest.len(),
        inlined!(|at, n| {
            let mut x = load(s, rest, at, n);
            for f in steps {
                x = s.mul(s.splat(f.keep), x);
            }
            store(s, x, rest, at, n);
        }),
    );
}

#[inline(always)]
fn decay_block<S: Simd>(s: S, steps: &[Factors], w: &mut [f32]) {
    let mut lanes = [s.splat(0.0); INTERLEAVED];
    for (x, w) in lanes.iter_mut().zip(w.chunks_exact(S::LANES)) {
        *x = s.load(w);
    }
    for f in steps {
        let keep = s.splat(f.keep);
        for x in &mut lanes {
            *x = s.mul(keep, *x);
        }
    }
    for (x, w) in lanes.into_iter().zip(w.chunks_exact_mut(S::LANES)) {
        s.store(x, w);
    }
}
