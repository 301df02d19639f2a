//! Updates of a table by rows: the bits of updates of the whole table, at whatever time a row catches up.

use kernels::adamw::{self, Lazy, Step, Table, reference};
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

const STEP: Step = Step {
    lr: 1e-2,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.1,
    step: 1,
    grad_scale: 1.0,
};

/// A table `[rows, h]` with moments, updated as a whole and by rows.
struct Twins {
    h: usize,
    whole: [Vec<f32>; 3],
    parts: [Vec<f32>; 3],
    lazy: Lazy,
    updates: u64,
}

fn table([w, m, v]: &mut [Vec<f32>; 3]) -> Table<'_> {
    Table { w, m, v }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

impl Twins {
    fn new(rows: usize, h: usize) -> Self {
        let whole = [random(rows * h, 0.1, 7), vec![0.0; rows * h], vec![0.0; rows * h]];
        Self { h, parts: whole.clone(), whole, lazy: Lazy::new(rows), updates: 0 }
    }

    /// One update of both; `g` has the rows `ids`.
    fn update(&mut self, s: Step, ids: &[u32], g: &[f32]) {
        self.updates += 1;
        let (s, h) = (Step { step: self.updates, ..s }, self.h);
        let [w, m, v] = &mut self.whole;
        let mut dense = vec![0.0; w.len()];
        for (&id, g) in ids.iter().zip(g.chunks(h)) {
            dense[id as usize * h..][..h].copy_from_slice(g);
        }
        adamw::update(s, w, &dense, m, v);
        self.lazy.update(s, ids, g, table(&mut self.parts));
    }

    #[track_caller]
    fn assert_rows(&self, ids: &[u32]) {
        for &id in ids {
            let row = |x: &[f32]| bits(&x[id as usize * self.h..][..self.h]);
            for (part, whole) in self.parts.iter().zip(&self.whole) {
                assert_eq!(row(part), row(whole), "row {id} after {} updates", self.updates);
            }
        }
    }

    #[track_caller]
    fn flush(&mut self) {
        self.lazy.flush(table(&mut self.parts));
        assert!(!self.lazy.is_pending());
        for (part, whole) in self.parts.iter().zip(&self.whole) {
            assert_eq!(bits(part), bits(whole), "after {} updates", self.updates);
        }
    }
}

/// Which of `rows` rows step `t` touches: few, none or all.
fn touched(rows: u32, t: u64) -> Vec<u32> {
    let share = [3, 1, 0, 7, 1][t as usize % 5];
    (0..rows).filter(|id| (u64::from(*id) * 31 + t * 17) % 8 < share || t % 19 == 4).collect()
}

/// Steps with a warm-up, clipping, and gradients of many sizes.
fn train(twins: &mut Twins, steps: u64, s: Step) {
    let (rows, h) = (twins.whole[0].len() / twins.h, twins.h);
    for t in 0..steps {
        let ids = touched(rows as u32, t);
        let g = random(ids.len() * h, 10f32.powi(t as i32 % 7 - 5), 100 + t);
        let lr = s.lr * (t as f64 / 10.0).min(1.0);
        let grad_scale = [1.0, 0.3, 0.75][t as usize % 3];
        twins.update(Step { lr, grad_scale, ..s }, &ids, &g);
        twins.assert_rows(&ids);
        if t % 6 == 5 {
            // Repeats, in no order.
            let ids = [3, 0, 3, rows as u32 - 1];
            twins.lazy.catch_up(&ids, table(&mut twins.parts));
            twins.assert_rows(&ids);
        }
        if t % 23 == 22 {
            twins.flush();
        }
    }
    twins.flush();
}

#[test]
fn rows_have_the_bits_of_the_whole() {
    each_isa(|_| {
        for h in SIZES {
            let mut twins = Twins::new(40, h);
            train(&mut twins, 50, STEP);
            let mut twins = Twins::new(40, h);
            train(&mut twins, 50, Step { weight_decay: 0.0, beta1: 0.8, eps: 1e-6, ..STEP });
        }
    });
}

/// A row that waits for two thousand updates: its first moment passes through the subnormal numbers, and its
/// weight stops moving on the way.
#[test]
fn long_waits() {
    each_isa(|_| {
        for (lr, weight_decay) in [(2e-5, 0.0), (2e-5, 0.01), (1e-2, 0.1), (0.5, 0.5)] {
            let s = Step { weight_decay, ..STEP };
            let mut twins = Twins::new(3, 33);
            let g: Vec<f32> = random(33, 1.0, 1).iter().map(|x| x.powi(9)).collect();
            twins.update(Step { lr, ..s }, &[1], &g);
            for t in 0..2000 {
                let lr = lr * (1.0 - t as f64 / 2000.0);
                twins.update(Step { lr, ..s }, &[], &[]);
                if t == 150 {
                    twins.lazy.catch_up(&[1], table(&mut twins.parts));
                    twins.assert_rows(&[1]);
                }
            }
            twins.flush();
        }
    });
}

/// Steps of every size around half a unit in the last place of the weights, where leaving out quotient and root
/// begins to be right; epsilon is all of the denominator, so that the bound is tight.
#[test]
fn steps_that_just_vanish() {
    each_isa(|_| {
        for exponent in 0..60 {
            let share = (-20.0 - 0.2 * f64::from(exponent)).exp2() as f32;
            let w = random(64, 2.0, 9).iter().map(|x| if *x > 1.0 { 1.0 } else { *x }).collect();
            let m = random(64, 1.0, 9).iter().map(|x| x.signum() * share).collect();
            let whole = [w, m, vec![0.0; 64]];
            let lazy = Lazy::with_moments(1, &whole[1], &whole[2]);
            let mut twins = Twins { h: 64, parts: whole.clone(), whole, lazy, updates: 100_000 };
            for _ in 0..64 {
                let s = Step { lr: 1.0, beta1: 0.9999, eps: 1.0, weight_decay: 1e-4, ..STEP };
                twins.update(s, &[], &[]);
            }
            twins.flush();
        }
    });
}

/// Weights and moments around which nothing is small, or everything is.
#[test]
fn extreme_values() {
    let extremes = [0.0, -0.0, 1e-44, -1e-38, 1e-30, 3e38, -1.0, f32::INFINITY, f32::NAN];
    let all = |i: usize| (0..1000).map(move |k| extremes[k / 9usize.pow(i as u32) % 9]).collect();
    let settings = [
        STEP,
        Step { eps: 0.0, ..STEP },
        Step { lr: 0.0, weight_decay: 0.0, ..STEP },
        Step { lr: -1.0, ..STEP },
        Step { grad_scale: f64::NAN, ..STEP },
        Step { beta1: 0.0, beta2: 0.0, ..STEP },
        Step { lr: 1e9, weight_decay: 1.0, ..STEP },
        Step { lr: 1.0, weight_decay: 1e-7, eps: 1e3, ..STEP },
    ];
    each_isa(|isa| {
        for s in settings {
            let whole: [Vec<f32>; 3] = [all(0), all(1), all(2)];
            let lazy = Lazy::with_moments(1000, &whole[1], &whole[2]);
            let mut twins = Twins { h: 1, parts: whole.clone(), whole, lazy, updates: 5 };
            for _ in 0..200 {
                twins.update(s, &[], &[]);
            }
            twins.lazy.flush(table(&mut twins.parts));
            for (part, whole) in twins.parts.iter().zip(&twins.whole) {
                let same =
                    |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
                assert!(part.iter().zip(whole).all(same), "{isa:?} {s:?}");
            }
        }
    });
}

#[test]
fn equals_reference() {
    each_isa(|isa| {
        let mut parts = [random(66, 1.0, 1), random(66, 0.1, 2), vec![0.01; 66]];
        let mut want = parts.each_ref().map(|x| f64s(&x[33..]));
        let mut lazy = Lazy::with_moments(2, &parts[1], &parts[2]);
        let steps: Vec<Step> = (5..105).map(|step| Step { step, lr: 1e-3, ..STEP }).collect();
        for &s in &steps {
            lazy.update(s, &[0], &random(33, 1.0, s.step), table(&mut parts));
        }
        lazy.flush(table(&mut parts));
        let [w, m, v] = &mut want;
        reference::replay(&steps, w, m, v);
        for (got, want) in parts.iter().zip(&want) {
            assert_close(&format!("{isa:?}"), &got[33..], want, 2e-6);
        }
    });
}

#[test]
fn moments_that_change_elsewhere_are_replayed() {
    let mut twins = Twins::new(4, 17);
    let (s, g) = (Step { step: 1, ..STEP }, random(68, 1.0, 3));
    for [w, m, v] in [&mut twins.whole, &mut twins.parts] {
        adamw::update(s, w, &g, m, v);
    }
    twins.updates = 1;
    twins.lazy.set_moving();
    twins.update(STEP, &[2], &g[..17]);
    twins.flush();
}

#[test]
fn threads_do_not_change_the_bits() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut twins = Twins::new(300, 130);
        pool.install(|| train(&mut twins, 12, STEP));
        twins.parts
    };
    each_isa(|isa| assert_eq!(run(1), run(3), "{isa:?}"));
}

#[test]
#[should_panic(expected = "expected ascending ids")]
fn repeated_rows_panic() {
    let mut twins = Twins::new(4, 1);
    twins.lazy.update(STEP, &[1, 1], &[1.0, 2.0], table(&mut twins.parts));
}
