//! Softmax against its definition.

use kernels::softmax;
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for cols in SIZES {
            let (x, dy) = (random(5 * cols, 9.0, 1), random(5 * cols, 1.0, 2));
            let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            softmax::forward(&x, cols, &mut y);
            softmax::backward(&y, &dy, cols, &mut dx);
            let want = softmax::reference::forward(&f64s(&x), cols);
            let want_dx = softmax::reference::backward(&want, &f64s(&dy), cols);
            assert_close(&format!("{isa:?} y, {cols} columns"), &y, &want, 1e-6);
            assert_close(&format!("{isa:?} dx, {cols} columns"), &dx, &want_dx, 1e-6);
        }
    });
}

#[test]
fn many_rows_are_split_without_a_trace() {
    let x = random(4000 * 33, 3.0, 3);
    each_isa(|isa| {
        let (mut all, mut one) = (vec![0.0; x.len()], vec![0.0; 33]);
        softmax::forward(&x, 33, &mut all);
        for r in [0, 1, 500, 3999] {
            softmax::forward(&x[r * 33..][..33], 33, &mut one);
            assert_eq!(one, all[r * 33..][..33], "{isa:?} row {r}");
        }
    });
}

#[test]
fn extreme_inputs() {
    each_isa(|_| {
        let rows = [
            [1e30, -1e30, 0.0],
            [f32::NEG_INFINITY, 2.0, 2.0],
            [f32::NAN, 0.0, 1.0],
            [f32::NEG_INFINITY; 3],
            [88.0, 89.0, 90.0],
        ];
        for x in rows {
            let mut y = [0.0; 3];
            softmax::forward(&x, 3, &mut y);
            let want = softmax::reference::forward(&f64s(&x), 3);
            assert_close(&format!("{x:?}"), &y, &want, 1e-6);
        }
    });
}
