//! Elementwise arithmetic against its definition.

use kernels::elementwise::{self, Binary, Unary, reference};
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

/// Lengths of every remainder, none at all, and several tasks.
fn lengths() -> impl Iterator<Item = usize> {
    SIZES.into_iter().chain([0, 100_000])
}

/// Zeros, denormals, the ends of the range, infinities and NaN.
const EXTREMES: [f32; 18] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    1e-45,
    -1e-45,
    5e-39,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-30,
    1e30,
    -1e30,
    88.9,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

/// What f32 makes of a result in f64: beyond its range, infinity.
fn rounded(y: &[f64]) -> Vec<f64> {
    y.iter().map(|&y| f64::from(y as f32)).collect()
}

/// How far a kernel may be off: not at all, unless it is a sum of terms.
fn tolerance(op: Unary) -> f64 {
    if matches!(op, Unary::Exp | Unary::Ln) { 2.5e-7 } else { 0.0 }
}

fn check_binary(what: &str, a: &[f32], b: &[f32]) {
    for op in Binary::ALL {
        let mut y = vec![0.0; a.len()];
        elementwise::binary(op, a, b, &mut y);
        let want = rounded(&reference::binary(op, &f64s(a), &f64s(b)));
        assert_close(&format!("{what} {op:?}"), &y, &want, 0.0);
    }
}

fn check_unary(what: &str, x: &[f32], dy: &[f32]) {
    for op in Unary::ALL {
        let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        elementwise::unary(op, x, &mut y);
        elementwise::unary_backward(op, x, &y, dy, &mut dx);
        let want = rounded(&reference::unary(op, &f64s(x)));
        let want_dx = rounded(&reference::unary_backward(op, &f64s(x), &f64s(dy)));
        assert_close(&format!("{what} {op:?} y"), &y, &want, tolerance(op));
        assert_close(&format!("{what} {op:?} dx"), &dx, &want_dx, 1e-6);
    }
}

#[test]
fn binary_equals_reference() {
    each_isa(|isa| {
        for n in lengths() {
            check_binary(&format!("{isa:?} {n}"), &random(n, 9.0, 1), &random(n, 9.0, 2));
        }
    });
}

#[test]
fn binary_of_extremes() {
    each_isa(|isa| {
        for b in EXTREMES {
            check_binary(&format!("{isa:?} {b}"), &EXTREMES, &[b; EXTREMES.len()]);
        }
    });
}

#[test]
fn unary_equals_reference() {
    each_isa(|isa| {
        for n in lengths() {
            check_unary(&format!("{isa:?} {n}"), &random(n, 9.0, 1), &random(n, 1.0, 2));
        }
    });
}

#[test]
fn unary_of_extremes() {
    each_isa(|isa| check_unary(&format!("{isa:?}"), &EXTREMES, &[1.0; EXTREMES.len()]));
}

#[test]
fn signs_of_zero() {
    each_isa(|_| {
        let mut y = [1.0; 2];
        elementwise::unary(Unary::Neg, &[0.0, -0.0], &mut y);
        assert_eq!(y.map(f32::is_sign_negative), [true, false]);
        elementwise::unary(Unary::Recip, &[0.0, -0.0], &mut y);
        assert_eq!(y, [f32::INFINITY, f32::NEG_INFINITY]);
    });
}

#[test]
fn a_row_is_repeated() {
    each_isa(|isa| {
        for cols in lengths() {
            let (a, b) = (random(5 * cols, 9.0, 3), random(cols, 9.0, 4));
            for op in Binary::ALL {
                let (mut y, mut want) = (vec![0.0; a.len()], vec![0.0; a.len()]);
                elementwise::binary_row(op, &a, &b, &mut y);
                elementwise::binary(op, &a, &b.repeat(5), &mut want);
                assert_eq!(y, want, "{isa:?} {op:?} {cols}");
            }
        }
    });
}

#[test]
fn many_short_rows() {
    let (a, b) = (random(20_000 * 3, 9.0, 5), [1.0, 2.0, 4.0]);
    let mut y = vec![0.0; a.len()];
    elementwise::binary_row(Binary::Mul, &a, &b, &mut y);
    assert!(y.iter().zip(&a).enumerate().all(|(i, (y, a))| *y == a * b[i % 3]));
}

#[test]
fn scale_and_add_assign() {
    each_isa(|isa| {
        for n in lengths() {
            let (x, start) = (random(n, 9.0, 6), random(n, 9.0, 7));
            let (mut scaled, mut sum) = (vec![0.0; n], start.clone());
            elementwise::scale(-1.7, &x, &mut scaled);
            elementwise::add_assign(&mut sum, &x);
            let alpha = f64::from(-1.7f32);
            let scale: Vec<f64> = f64s(&x).iter().map(|x| alpha * x).collect();
            let add = reference::binary(Binary::Add, &f64s(&start), &f64s(&x));
            assert_close(&format!("{isa:?} scale {n}"), &scaled, &rounded(&scale), 0.0);
            assert_close(&format!("{isa:?} add_assign {n}"), &sum, &rounded(&add), 0.0);
        }
    });
}

#[test]
#[should_panic(expected = "binary Add: lengths")]
fn lengths_must_match() {
    elementwise::binary(Binary::Add, &[1.0; 3], &[1.0; 2], &mut [0.0; 3]);
}

#[test]
fn convert_rounds_to_the_nearest_even() {
    use half::bf16;
    each_isa(|isa| {
        // Ties to even and odd, halves above and below, the greatest, denormal numbers, zeros, NaN, infinities.
        let special = [
            0x3f80_8000,
            0x3f81_8000,
            0x3f80_8001,
            0x3f80_7fff,
            0x7f7f_ffff,
            0x0000_8000,
            0x0000_8001,
            0x8000_0001,
            0,
            0x8000_0000,
            0x7fc0_0001,
            0x7f80_0001,
            0xff80_0001,
            0x7f80_0000,
            0xff80_0000,
        ];
        let mut x: Vec<f32> = special.map(f32::from_bits).to_vec();
        x.extend(random(100_003, 3.0, 1));
        let mut y = vec![bf16::ZERO; x.len()];
        elementwise::convert(&x, &mut y);
        for (x, y) in x.iter().zip(&y) {
            let want = bf16::from_f32(*x);
            assert!(y.to_bits() == want.to_bits() || (y.is_nan() && x.is_nan()), "{isa:?} {x} {y}");
        }
        let mut back = vec![0.0f32; x.len()];
        elementwise::convert(&y, &mut back);
        for (y, back) in y.iter().zip(&back) {
            assert_eq!(y.to_f32().to_bits(), back.to_bits(), "{isa:?}");
        }
    });
}
