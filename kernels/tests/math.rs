//! The elementary functions against f64, over a sweep of all of f32.
//!
//! They are reached through the ops that apply them. The bounds are those that `simd/math.rs` states.

use kernels::activation::{self, Activation, reference};
use kernels::elementwise::{self, Unary};
use kernels::testing::{each_isa, f64s};

/// One unit in the last place of 1, relative.
const ULP: f64 = f32::EPSILON as f64;

/// Both signs of every 4099th (a prime) float, from the smallest denormal to the greatest finite number,
/// and the floats around zero, one and the bounds of the functions.
fn sweep() -> Vec<f32> {
    let edges = [1e-45f32, f32::MIN_POSITIVE, 0.5, 1.0, 2.0, 5.0, 10.0, 13.2, 14.0, 86.9, 88.7];
    let near = edges.iter().flat_map(|e| e.to_bits().saturating_sub(999)..e.to_bits() + 1000);
    let all = (0..f32::INFINITY.to_bits()).step_by(4099).chain(near).map(f32::from_bits);
    all.filter(|x| !x.is_nan()).flat_map(|x| [x, -x]).collect()
}

/// The greatest |got - want| / |want|, and where; numbers below `floor` count as `floor`.
fn worst(x: &[f32], got: &[f32], want: &[f64], floor: f64) -> (f64, f32) {
    let error = |i: usize| (f64::from(got[i]) - want[i]).abs() / want[i].abs().max(floor);
    let errors = (0..x.len()).filter(|&i| f64::from(got[i]) != want[i]).map(|i| (error(i), x[i]));
    errors.fold((0.0, 0.0), |a, b| if b.0 > a.0 || b.0.is_nan() { b } else { a })
}

/// Checks `kernel` against `want` where `keep`; `floor` is the size below which the error is absolute.
fn check(
    what: &str,
    keep: impl Fn(f32) -> bool,
    (bound, floor): (f64, f64),
    want: impl Fn(&[f64]) -> Vec<f64>,
    kernel: impl Fn(&[f32], &mut [f32]),
) {
    let x: Vec<f32> = sweep().into_iter().filter(|&x| keep(x)).collect();
    let want = want(&f64s(&x));
    each_isa(|isa| {
        let mut got = vec![0.0; x.len()];
        kernel(&x, &mut got);
        let (error, at) = worst(&x, &got, &want, floor);
        println!("{isa:?} {what}: {:.2} ulp at {at:e}", error / ULP);
        assert!(error < bound * ULP, "{isa:?} {what}({at:e}) is {:.2} ulp off", error / ULP);
    });
}

fn unary(op: Unary, keep: impl Fn(f32) -> bool, bound: f64, floor: f64) {
    let want = |x: &[f64]| elementwise::reference::unary(op, x);
    check(&format!("{op:?}"), keep, (bound, floor), want, |x, y| elementwise::unary(op, x, y));
}

fn value(op: Activation, keep: impl Fn(f32) -> bool, bound: f64, floor: f64) {
    let want = |x: &[f64]| reference::forward(op, x);
    check(op.name(), keep, (bound, floor), want, |x, y| activation::forward(op, x, y));
}

fn slope(op: Activation, keep: impl Fn(f32) -> bool, bound: f64, floor: f64) {
    let want = |x: &[f64]| reference::backward(op, x, &vec![1.0; x.len()]);
    check(&format!("{} slope", op.name()), keep, (bound, floor), want, |x, y| {
        activation::backward(op, x, &vec![1.0; x.len()], y);
    });
}

#[test]
fn exp() {
    unary(Unary::Exp, |x| x > -86.97 && x < 88.72, 1.0, 0.0);
}

#[test]
fn exp_is_zero_and_infinity_outside() {
    each_isa(|_| {
        let x = [-86.99, -1e4, -f32::MAX, f32::NEG_INFINITY, 88.73, 1e4, f32::MAX, f32::INFINITY];
        let mut y = [1.0; 8];
        elementwise::unary(Unary::Exp, &x, &mut y);
        assert_eq!(y[..4], [0.0; 4]);
        assert_eq!(y[4..], [f32::INFINITY; 4]);
    });
}

#[test]
fn ln() {
    unary(Unary::Ln, |x| x > 0.0, 1.0, 0.0);
}

#[test]
fn tanh() {
    value(Activation::Tanh, |_| true, 2.0, f64::from(f32::MIN_POSITIVE));
    slope(Activation::Tanh, |x| x.abs() < 40.0, 3.0, 1e-17);
}

#[test]
fn sigmoid() {
    value(Activation::Sigmoid, |x| x > -86.9, 3.0, 0.0);
    value(Activation::Sigmoid, |x| x <= -86.9, 1.0, 1.0);
    slope(Activation::Sigmoid, |x| x.abs() < 86.9, 3.0, 0.0);
}

#[test]
fn gelu_is_exact_to_the_tails() {
    value(Activation::Gelu, |x| x > -13.0, 4.0, f64::from(f32::MIN_POSITIVE));
    value(Activation::Gelu, |x| x <= -13.0, 1.0, 1e-30);
}

#[test]
fn gelu_slope() {
    slope(Activation::Gelu, |_| true, 3.0, 1.0);
    slope(Activation::Gelu, |x| x < -2.0 && x > -13.0, 4.0, 0.0);
}

#[test]
fn gelu_tanh() {
    value(Activation::GeluTanh, |_| true, 3.0, 1.0);
    slope(Activation::GeluTanh, |_| true, 3.0, 1.0);
}

/// erf and erfc to 16 digits, from mpmath at 40 digits.
#[test]
fn the_reference_erf_has_the_known_values() {
    let erf = [
        (1e-10, 1.1283791670955126e-10),
        (0.1, 0.1124629160182849),
        (0.5, 0.5204998778130465),
        (0.99, 0.8385080695553698),
        (1.01, 0.8468104962282768),
        (1.5, 0.9661051464753108),
        (2.0, 0.9953222650189527),
        (3.0, 0.9999779095030014),
        (5.5, 0.9999999999999927),
    ];
    for (x, want) in erf {
        assert!((reference::erf(x) - want).abs() < 1e-15 * (1.0 + want), "erf {x}");
        assert_eq!(reference::erf(-x), -reference::erf(x));
    }
    let erfc = [
        (-3.0, 1.9999779095030015),
        (-1.5, 1.9661051464753108),
        (0.5, 0.4795001221869535),
        (0.999, 0.15771472979350307),
        (1.001, 0.15688451452192373),
        (2.0, 0.004677734981047266),
        (3.0, 2.209049699858544e-05),
        (5.0, 1.537459794428035e-12),
        (10.0, 2.088487583762545e-45),
        (26.0, 5.663192408856143e-296),
    ];
    for (x, want) in erfc {
        assert!((reference::erfc(x) / want - 1.0).abs() < 2e-13, "erfc {x}");
    }
    assert_eq!((reference::erf(f64::INFINITY), reference::erfc(f64::NEG_INFINITY)), (1.0, 2.0));
    assert!(reference::erf(f64::NAN).is_nan() && reference::erfc(f64::NAN).is_nan());
}
