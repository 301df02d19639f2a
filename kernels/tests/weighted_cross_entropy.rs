//! Weighted cross-entropy against its definition, and against the plain op.

use kernels::cross_entropy;
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};
use kernels::weighted_cross_entropy::{self as op, Weighting};

const DLOSS: f32 = 0.7;
const INF: f32 = f32::INFINITY;

/// The loss and dlogits of the kernel.
fn run(logits: &[f32], labels: &[u32], weighting: &Weighting, dloss: f32) -> (f32, Vec<f32>) {
    let (mut rsum, mut dlogits) = (vec![0.0; labels.len()], vec![9.0; logits.len()]);
    let loss = op::forward(logits, labels, weighting, &mut rsum);
    op::backward(logits, labels, weighting, &rsum, dloss, &mut dlogits);
    (loss, dlogits)
}

/// The forward and the backward against the reference, within `tolerance`.
fn check(what: &str, logits: &[f32], labels: &[u32], weighting: &Weighting, tolerance: f64) {
    let (loss, dlogits) = run(logits, labels, weighting, DLOSS);
    let x = f64s(logits);
    let want = op::reference::forward(&x, labels, weighting);
    let want_dlogits = op::reference::backward(&x, labels, weighting, f64::from(DLOSS));
    assert_close(&format!("{what} loss"), &[loss], &[want], tolerance);
    assert_close(&format!("{what} dlogits"), &dlogits, &want_dlogits, tolerance);
}

fn labels(rows: usize, cols: usize) -> Vec<u32> {
    (0..rows).map(|r| (r * 7 % cols) as u32).collect()
}

/// Random weights in [0.1, 2.1] with each smoothing.
fn weightings(cols: usize) -> impl Iterator<Item = Weighting> {
    let weights: Vec<f64> = random(cols, 1.0, 9).iter().map(|&w| f64::from(w) + 1.1).collect();
    [0.0, 0.1, 0.9]
        .into_iter()
        .map(move |label_smoothing| Weighting { weights: weights.clone(), label_smoothing })
}

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for cols in SIZES.into_iter().chain([2, 30_522]) {
            let logits = random(5 * cols, 9.0, 1);
            for weighting in weightings(cols) {
                let what = format!("{isa:?} C {cols} e {}", weighting.label_smoothing);
                check(&what, &logits, &labels(5, cols), &weighting, 1e-6);
            }
        }
    });
}

#[test]
fn many_rows() {
    let (logits, labels) = (random(20_000 * 3, 4.0, 2), labels(20_000, 3));
    each_isa(|_| weightings(3).for_each(|w| check("rows", &logits, &labels, &w, 1e-6)));
}

#[test]
fn logits_far_from_zero_cost_nothing() {
    // Neighbouring floats are this far apart there: nearer logits would all be equal.
    for (offset, spread) in [(1e4, 3.0), (-1e4, 3.0), (1e6, 3.0), (3e38, 1e32)] {
        let logits: Vec<f32> = random(4 * 33, spread, 3).iter().map(|x| x + offset).collect();
        each_isa(|isa| {
            for weighting in weightings(33) {
                check(&format!("{isa:?} {offset:e}"), &logits, &labels(4, 33), &weighting, 1e-6);
            }
        });
    }
}

#[test]
fn extreme_inputs() {
    let rows = [
        [1e30, -1e30, 0.0],
        [1e38, 0.0, -1e38],
        // Further apart than the greatest f32, smoothed.
        [1.5e38, 0.0, -2e38],
        [-INF, 2.0, 2.0],
        [2.0, -INF, 1.0],
        [-INF; 3],
        [INF, 0.0, 0.0],
        [f32::NAN, 0.0, 1.0],
        [0.0, 1.0, f32::NAN],
        [88.0, 89.0, 90.0],
    ];
    let zero = Weighting { weights: vec![0.0, 1.0, 2.0], label_smoothing: 0.0 };
    let smoothed_zero = Weighting { label_smoothing: 0.2, ..zero.clone() };
    each_isa(|isa| {
        for x in rows {
            for label in 0..3 {
                for weighting in weightings(3).chain([zero.clone(), smoothed_zero.clone()]) {
                    let what = format!("{isa:?} {x:?} {label} {weighting:?}");
                    // Another row has a weight in any case.
                    let x = [x, [0.5, 0.0, -0.5]].concat();
                    check(&what, &x, &[label, 1], &weighting, 3e-6);
                }
            }
        }
    });
}

/// What PyTorch 2.15 gives, whose numbers these are.
#[test]
fn an_impossible_class_of_weight_zero() {
    let weighting = |label_smoothing| Weighting { weights: vec![0.0, 1.0, 1.0], label_smoothing };
    each_isa(|_| {
        let x = [-INF, 1.0, 2.0];
        let (loss, dlogits) = run(&x, &[1], &weighting(0.0), 1.0);
        assert_close("loss", &[loss], &[1.313_261_687_518_222_8], 1e-7);
        assert_close(
            "dlogits",
            &dlogits,
            &[0.0, -0.731_058_578_630_004_9, 0.731_058_578_630_004_9],
            1e-7,
        );
        // 0 times infinity.
        let (loss, dlogits) = run(&x, &[1], &weighting(0.1), 1.0);
        assert!(loss.is_nan());
        let want = [0.0, -0.673_356_626_009_004_9, 0.673_356_626_009_004_9];
        assert_close("dlogits", &dlogits, &want, 1e-7);
        let (loss, _) = run(&[-INF, 1.0, 2.0, 0.0, 1.0, 2.0], &[0, 1], &weighting(0.0), 1.0);
        assert!(loss.is_nan());
        // A mean of nothing.
        let (loss, dlogits) = run(&[0.0, 1.0, 2.0], &[0], &weighting(0.0), 1.0);
        assert!(loss.is_nan() && dlogits.iter().all(|d| d.is_nan()), "{loss} {dlogits:?}");
    });
}

#[test]
fn without_weights_and_smoothing_it_has_the_bits_of_the_plain_op() {
    each_isa(|isa| {
        for cols in SIZES {
            let (logits, labels) = (random(6 * cols, 9.0, 1), labels(6, cols));
            let weighting = Weighting { weights: vec![1.0; cols], label_smoothing: 0.0 };
            let mut plain = (vec![0.0; 6], vec![9.0; logits.len()]);
            let loss = cross_entropy::forward(&logits, &labels, &mut plain.0);
            cross_entropy::backward(&logits, &labels, &plain.0, DLOSS, &mut plain.1);
            assert_eq!(run(&logits, &labels, &weighting, DLOSS), (loss, plain.1), "{isa:?} {cols}");
        }
    });
}

#[test]
fn threads_do_not_change_the_bits() {
    let (logits, labels) = (random(30_000 * 5, 4.0, 4), labels(30_000, 5));
    let weighting = weightings(5).last().expect("three");
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&logits, &labels, &weighting, DLOSS))
    };
    each_isa(|isa| assert_eq!(run(1), run(3), "{isa:?}"));
}

#[test]
#[should_panic(expected = "expected labels < 3")]
fn a_label_out_of_range_panics() {
    let weighting = Weighting { weights: vec![1.0; 3], label_smoothing: 0.0 };
    op::forward(&[0.0; 3], &[3], &weighting, &mut [0.0]);
}
