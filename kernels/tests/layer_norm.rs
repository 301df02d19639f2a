//! LayerNorm against its definition.

use half::bf16;
use kernels::Element;
use kernels::layer_norm::{self, Saved};
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

const EPS: f32 = 1e-5;

/// y and dy are `E`, of which y is as near to the definition as `tolerance_y` says.
fn check<E: Element>([rows, h]: [usize; 2], offset: f32, [tolerance_y, tolerance]: [f64; 2]) {
    let x: Vec<f32> = random(rows * h, 2.0, 1).iter().map(|v| v + offset).collect();
    let (w, b, dy) = (random(h, 1.0, 2), random(h, 1.0, 3), random(rows * h, 1.0, 4));
    let dy: Vec<E> = dy.into_iter().map(E::round).collect();
    let (mut y, mut dx) = (vec![E::default(); x.len()], vec![0.0; x.len()]);
    let (mut mean, mut rstd) = (vec![0.0; rows], vec![0.0; rows]);
    let (mut dw, mut db) = (vec![0.0; h], vec![0.0; h]);
    layer_norm::forward(&x, (&w, &b), EPS, &mut y, (&mut mean, &mut rstd));
    let saved = Saved { mean: &mean, rstd: &rstd };
    layer_norm::backward_input(&x, &w, saved, &dy, &mut dx);
    layer_norm::backward_params(&x, saved, &dy, &mut dw, &mut db);

    let [y, dy] = [y, dy].map(|v| v.into_iter().map(E::widen).collect::<Vec<_>>());
    let (x, w, b, dy) = (f64s(&x), f64s(&w), f64s(&b), f64s(&dy));
    let eps = f64::from(EPS);
    let (want_dx, want_dw, want_db) = layer_norm::reference::backward(&x, &w, &dy, eps);
    assert_close("y", &y, &layer_norm::reference::forward(&x, &w, &b, eps), tolerance_y);
    assert_close("dx", &dx, &want_dx, tolerance);
    assert_close("dw", &dw, &want_dw, tolerance);
    assert_close("db", &db, &want_db, tolerance);
}

#[test]
fn equals_reference() {
    each_isa(|_| {
        for &h in SIZES.iter().filter(|&&h| h > 1) {
            check::<f32>([5, h], 0.0, [5e-6; 2]);
            check::<bf16>([5, h], 0.0, [5e-3, 5e-6]);
        }
    });
}

#[test]
fn rows_far_from_zero_do_not_cancel() {
    each_isa(|_| check::<f32>([3, 384], 1000.0, [5e-4; 2]));
}

#[test]
fn more_rows_than_one_block() {
    each_isa(|_| {
        check::<f32>([1000, 33], 0.0, [2e-5; 2]);
        check::<bf16>([1000, 33], 0.0, [5e-3, 2e-5]);
    });
}

#[test]
fn a_constant_row_is_the_bias() {
    each_isa(|_| {
        let (mut y, mut mean, mut rstd) = ([0.0; 4], [0.0; 1], [0.0; 1]);
        let (x, w, b) = ([7.0; 4], [2.0; 4], [0.5, 1.5, 2.5, 3.5]);
        layer_norm::forward(&x, (&w, &b), EPS, &mut y, (&mut mean, &mut rstd));
        assert_eq!(y, b);
    });
}
