//! LayerNorm against its definition.

use kernels::layer_norm::{self, Saved};
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

const EPS: f32 = 1e-5;

fn check(rows: usize, h: usize, offset: f32, tolerance: f64) {
    let x: Vec<f32> = random(rows * h, 2.0, 1).iter().map(|v| v + offset).collect();
    let (w, b, dy) = (random(h, 1.0, 2), random(h, 1.0, 3), random(rows * h, 1.0, 4));
    let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let (mut mean, mut rstd) = (vec![0.0; rows], vec![0.0; rows]);
    let (mut dw, mut db) = (vec![0.0; h], vec![0.0; h]);
    layer_norm::forward(&x, (&w, &b), EPS, &mut y, (&mut mean, &mut rstd));
    let saved = Saved { mean: &mean, rstd: &rstd };
    layer_norm::backward_input(&x, &w, saved, &dy, &mut dx);
    layer_norm::backward_params(&x, saved, &dy, &mut dw, &mut db);

    let (x, w, b, dy) = (f64s(&x), f64s(&w), f64s(&b), f64s(&dy));
    let eps = f64::from(EPS);
    let (want_dx, want_dw, want_db) = layer_norm::reference::backward(&x, &w, &dy, eps);
    assert_close("y", &y, &layer_norm::reference::forward(&x, &w, &b, eps), tolerance);
    assert_close("dx", &dx, &want_dx, tolerance);
    assert_close("dw", &dw, &want_dw, tolerance);
    assert_close("db", &db, &want_db, tolerance);
}

#[test]
fn equals_reference() {
    each_isa(|_| SIZES.iter().filter(|&&h| h > 1).for_each(|&h| check(5, h, 0.0, 5e-6)));
}

#[test]
fn rows_far_from_zero_do_not_cancel() {
    each_isa(|_| check(3, 384, 1000.0, 5e-4));
}

#[test]
fn more_rows_than_one_block() {
    each_isa(|_| check(1000, 33, 0.0, 2e-5));
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
