//! Pooling against its definition.

use kernels::pooling::{self, Pooling};
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

const CU_SEQLENS: [u32; 5] = [0, 1, 8, 10, 75];

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for op in [Pooling::First, Pooling::Mean] {
            for h in SIZES {
                let (x, dy) = (random(75 * h, 1.0, 1), random(4 * h, 1.0, 2));
                let (mut y, mut dx) = (vec![9.0; 4 * h], vec![9.0; 75 * h]);
                pooling::forward(op, &x, &CU_SEQLENS, h, &mut y);
                pooling::backward(op, &dy, &CU_SEQLENS, h, &mut dx);
                let want = pooling::reference::forward(op, &f64s(&x), &CU_SEQLENS, h);
                let want_dx = pooling::reference::backward(op, &f64s(&dy), &CU_SEQLENS, h);
                assert_close(&format!("{isa:?} {op:?} y, H {h}"), &y, &want, 1e-6);
                assert_close(&format!("{isa:?} {op:?} dx, H {h}"), &dx, &want_dx, 1e-7);
            }
        }
    });
}

#[test]
fn by_hand() {
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let mut y = [0.0; 4];
    pooling::forward(Pooling::First, &x, &[0, 1, 3], 2, &mut y);
    assert_eq!(y, [1.0, 2.0, 3.0, 4.0]);
    pooling::forward(Pooling::Mean, &x, &[0, 1, 3], 2, &mut y);
    assert_eq!(y, [1.0, 2.0, 4.0, 5.0]);
    let mut dx = [9.0; 6];
    pooling::backward(Pooling::First, &y, &[0, 1, 3], 2, &mut dx);
    assert_eq!(dx, [1.0, 2.0, 4.0, 5.0, 0.0, 0.0]);
    pooling::backward(Pooling::Mean, &y, &[0, 1, 3], 2, &mut dx);
    assert_eq!(dx, [1.0, 2.0, 2.0, 2.5, 2.0, 2.5]);
}

/// A NaN or an infinity stays in its sequence and its column.
#[test]
fn extreme_inputs() {
    each_isa(|_| {
        let x = [f32::NAN, 1.0, 2.0, 3.0, f32::INFINITY, 5.0, 1e30, 7.0];
        for op in [Pooling::First, Pooling::Mean] {
            let mut y = [0.0; 4];
            pooling::forward(op, &x, &[0, 2, 4], 2, &mut y);
            let want = match op {
                Pooling::First => [f64::NAN, 1.0, f64::INFINITY, 5.0],
                Pooling::Mean => [f64::NAN, 2.0, f64::INFINITY, 6.0],
            };
            assert_close(&format!("{op:?}"), &y, &want, 0.0);
        }
    });
}

#[test]
#[should_panic(expected = "expected ascending cu_seqlens")]
fn an_empty_sequence_panics() {
    pooling::forward(Pooling::Mean, &[0.0; 2], &[0, 0, 2], 1, &mut [0.0; 2]);
}
