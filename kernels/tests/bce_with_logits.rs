//! Binary cross-entropy against its definition.

use kernels::bce_with_logits;
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

const DLOSS: f32 = 0.7;

/// The forward and the backward against the reference.
fn check(what: &str, x: &[f32], t: &[f32]) {
    let mut dx = vec![9.0; x.len()];
    let loss = bce_with_logits::forward(x, t);
    bce_with_logits::backward(x, t, DLOSS, &mut dx);
    let (x, t) = (f64s(x), f64s(t));
    let want = bce_with_logits::reference::forward(&x, &t);
    let want_dx = bce_with_logits::reference::backward(&x, &t, f64::from(DLOSS));
    assert_close(&format!("{what} loss"), &[loss], &[want], 1e-6);
    assert_close(&format!("{what} dx"), &dx, &want_dx, 2e-7);
}

/// Targets in [0, 1], both ends among them.
fn targets(n: usize) -> Vec<f32> {
    random(n, 1.0, 2).iter().map(|t| (t * 1.5 + 0.5).clamp(0.0, 1.0)).collect()
}

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for n in SIZES.into_iter().chain([100_000]) {
            check(&format!("{isa:?} n {n}"), &random(n, 12.0, 1), &targets(n));
        }
    });
}

#[test]
fn extreme_inputs() {
    each_isa(|isa| {
        let huge = [1e30, 3e38, f32::INFINITY, 104.0, 88.0, 0.0, f32::NAN];
        for x in huge.into_iter().flat_map(|x| [x, -x]) {
            for t in [0.0, 0.25, 1.0] {
                check(&format!("{isa:?} x {x}, t {t}"), &[x], &[t]);
            }
        }
    });
}

/// The loss of an element that is right by far is ln(1 + e^-|x|) alone: relative error of exp and ln_1p.
#[test]
fn small_losses_keep_their_relative_precision() {
    each_isa(|isa| {
        for i in 0..20_000 {
            let x = i as f32 * -85.0 / 20_000.0;
            let got = f64::from(bce_with_logits::forward(&[x], &[0.0]));
            let want = f64::from(x).exp().ln_1p();
            assert!(
                (got / want - 1.0).abs() < 6e-7,
                "{isa:?} x {x}: got {got:e}, expected {want:e}"
            );
        }
    });
}

#[test]
fn threads_do_not_change_the_bits() {
    let (x, t) = (random(200_000, 5.0, 1), targets(200_000));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| bce_with_logits::forward(&x, &t))
    };
    each_isa(|isa| assert_eq!(run(1).to_bits(), run(3).to_bits(), "{isa:?}"));
}
