//! Cross-entropy against its definition.

use kernels::cross_entropy;
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

const DLOSS: f32 = 0.7;

/// The forward and the backward against the reference, within `tolerance`.
fn check(what: &str, logits: &[f32], labels: &[u32], tolerance: f64) {
    let (mut rsum, mut dlogits) = (vec![0.0; labels.len()], vec![9.0; logits.len()]);
    let loss = cross_entropy::forward(logits, labels, &mut rsum);
    cross_entropy::backward(logits, labels, &rsum, DLOSS, &mut dlogits);
    let x = f64s(logits);
    let want = cross_entropy::reference::forward(&x, labels);
    let want_dlogits = cross_entropy::reference::backward(&x, labels, f64::from(DLOSS));
    assert_close(&format!("{what} loss"), &[loss], &[want], tolerance);
    assert_close(&format!("{what} dlogits"), &dlogits, &want_dlogits, tolerance);
}

fn labels(rows: usize, cols: usize) -> Vec<u32> {
    (0..rows).map(|r| (r * 7 % cols) as u32).collect()
}

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for cols in SIZES.into_iter().chain([2, 30_522]) {
            let logits = random(5 * cols, 9.0, 1);
            check(&format!("{isa:?} C {cols}"), &logits, &labels(5, cols), 1e-6);
        }
    });
}

#[test]
fn many_rows() {
    each_isa(|_| check("rows", &random(20_000 * 3, 4.0, 2), &labels(20_000, 3), 1e-6));
}

#[test]
fn logits_far_from_zero_cost_nothing() {
    // Neighbouring floats are this far apart there: nearer logits would all be equal.
    for (offset, spread) in [(1e4, 3.0), (-1e4, 3.0), (1e6, 3.0), (3e38, 1e32)] {
        let logits: Vec<f32> = random(4 * 33, spread, 3).iter().map(|x| x + offset).collect();
        each_isa(|isa| check(&format!("{isa:?} {offset:e}"), &logits, &labels(4, 33), 1e-6));
    }
}

#[test]
fn equal_huge_logits() {
    each_isa(|_| {
        for x in [3e38, -3e38, f32::MAX, f32::MIN] {
            let (mut rsum, mut dlogits) = ([9.0], [9.0; 2]);
            let loss = cross_entropy::forward(&[x; 2], &[1], &mut rsum);
            cross_entropy::backward(&[x; 2], &[1], &rsum, 1.0, &mut dlogits);
            assert_eq!((loss, dlogits), (std::f32::consts::LN_2, [0.5, -0.5]), "{x:e}");
        }
    });
}

#[test]
fn extreme_inputs() {
    const INF: f32 = f32::INFINITY;
    let rows = [
        [1e30, -1e30, 0.0],
        [1e38, 0.0, -1e38],
        [3e38, 0.0, f32::MAX],
        [-INF, 2.0, 2.0],
        [2.0, -INF, 1.0],
        [-INF; 3],
        [INF, 0.0, 0.0],
        [f32::NAN, 0.0, 1.0],
        [0.0, 1.0, f32::NAN],
        [88.0, 89.0, 90.0],
    ];
    each_isa(|isa| {
        for x in rows {
            for label in 0..3 {
                check(&format!("{isa:?} {x:?} {label}"), &x, &[label], 3e-6);
            }
        }
    });
}

#[test]
fn one_class_has_no_loss() {
    each_isa(|_| {
        let (mut rsum, mut dlogits) = ([0.0; 2], [9.0; 2]);
        assert_eq!(cross_entropy::forward(&[3.5, -80.0], &[0, 0], &mut rsum), 0.0);
        cross_entropy::backward(&[3.5, -80.0], &[0, 0], &rsum, 1.0, &mut dlogits);
        assert_eq!((rsum, dlogits), ([1.0; 2], [0.0; 2]));
    });
}

#[test]
fn threads_do_not_change_the_bits() {
    let (logits, labels) = (random(30_000 * 5, 4.0, 4), labels(30_000, 5));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| cross_entropy::forward(&logits, &labels, &mut vec![0.0; 30_000]))
    };
    each_isa(|isa| assert_eq!(run(1).to_bits(), run(3).to_bits(), "{isa:?}"));
}

#[test]
#[should_panic(expected = "expected labels < 3")]
fn a_label_out_of_range_panics() {
    cross_entropy::forward(&[0.0; 3], &[3], &mut [0.0]);
}
