//! Mean squared error against its definition.

use kernels::mse;
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

const DLOSS: f32 = 0.7;

/// The forward and the backward against the reference.
fn check(what: &str, x: &[f32], t: &[f32]) {
    let mut dx = vec![9.0; x.len()];
    let loss = mse::forward(x, t);
    mse::backward(x, t, DLOSS, &mut dx);
    let (x, t) = (f64s(x), f64s(t));
    let want_dx = mse::reference::backward(&x, &t, f64::from(DLOSS));
    assert_close(&format!("{what} loss"), &[loss], &[mse::reference::forward(&x, &t)], 1e-6);
    assert_close(&format!("{what} dx"), &dx, &want_dx, 5e-7);
}

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for n in SIZES.into_iter().chain([100_000]) {
            check(&format!("{isa:?} n {n}"), &random(n, 2.0, 1), &random(n, 2.0, 2));
        }
    });
}

#[test]
fn extreme_inputs() {
    each_isa(|isa| {
        let cases =
            [(1e18, -1e18), (f32::INFINITY, 1.0), (2.0, f32::NEG_INFINITY), (f32::NAN, 0.0)];
        for (x, t) in cases {
            check(&format!("{isa:?} {x} {t}"), &[x, 1.0], &[t, 0.0]);
        }
        // The square of 1e30 is no f32: infinity, as in PyTorch.
        assert_eq!(mse::forward(&[1e30], &[0.0]), f32::INFINITY);
    });
}

#[test]
fn equal_inputs_have_no_loss() {
    let x = random(130, 3.0, 1);
    assert_eq!(mse::forward(&x, &x), 0.0);
}

#[test]
fn threads_do_not_change_the_bits() {
    let (x, t) = (random(200_000, 5.0, 1), random(200_000, 5.0, 2));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| mse::forward(&x, &t))
    };
    each_isa(|isa| assert_eq!(run(1).to_bits(), run(3).to_bits(), "{isa:?}"));
}
