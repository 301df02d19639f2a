//! Dropout, residual sum and LayerNorm in one, against the definition.

use half::bf16;
use kernels::add_norm::{self, Gradients, Input, Output, Saved, reference};
use kernels::dropout::{self, Dropout};
use kernels::layer_norm;
use kernels::philox::Key;
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

const EPS: f32 = 1e-5;
const DROPOUT: Dropout = Dropout { p: 0.25, key: Key { seed: 11 << 32 | 7, step: 3, site: 5 } };

/// Everything that both directions compute.
#[derive(Debug, PartialEq)]
struct Result {
    z: Vec<f32>,
    y: Vec<f32>,
    dx: Vec<f32>,
    dr: Vec<f32>,
    dw: Vec<f32>,
    db: Vec<f32>,
}

/// x, r, dy, w and b.
fn inputs(rows: usize, h: usize) -> [Vec<f32>; 5] {
    [(rows * h, 1), (rows * h, 2), (rows * h, 3), (h, 4), (h, 5)]
        .map(|(n, seed)| random(n, 2.0, seed))
}

fn run<E: kernels::Element>([x, r, dy, w, b]: &[Vec<f32>; 5], d: Option<Dropout>) -> Result {
    let [x, r, dy] = [x, r, dy].map(|v| v.iter().map(|&v| E::round(v)).collect::<Vec<E>>());
    let (n, h) = (x.len(), w.len());
    let [mut z, mut y, mut dx, mut dr] = [(); 4].map(|()| vec![E::round(f32::NAN); n]);
    let [mut mean, mut rstd] = [(); 2].map(|()| vec![f32::NAN; n / h]);
    let [mut dw, mut db] = [(); 2].map(|()| vec![f32::NAN; h]);
    let input = Input { x: &x, r: &r, dropout: d };
    let out = Output { z: &mut z, y: &mut y };
    add_norm::forward(input, (w, b), EPS, out, (&mut mean, &mut rstd));
    let saved = Saved { z: &z, mean: &mean, rstd: &rstd };
    let to = d.map(|_| dx.as_mut_slice());
    let grads = Gradients { dr: &mut dr, dx: to, dw: &mut dw, db: &mut db };
    add_norm::backward(saved, w, d, &dy, grads);
    if d.is_none() {
        dx.clone_from(&dr);
    }
    let [z, y, dx, dr] = [z, y, dx, dr].map(|v| v.into_iter().map(E::widen).collect());
    Result { z, y, dx, dr, dw, db }
}

/// The definition, on the values as `E` has them.
fn check<E: kernels::Element>(what: &str, x: &[Vec<f32>; 5], d: Option<Dropout>, tolerance: f64) {
    let got = run::<E>(x, d);
    let rounded = |v: &Vec<f32>| v.iter().map(|&v| f64::from(E::round(v).widen())).collect();
    let [xs, r, dy]: [Vec<f64>; 3] = [rounded(&x[0]), rounded(&x[1]), rounded(&x[2])];
    let [w, b] = [&x[3], &x[4]].map(|v| f64s(v));
    let eps = f64::from(EPS);
    assert_close(&format!("{what} z"), &got.z, &reference::sum(&xs, &r, d, w.len()), tolerance);
    // Everything behind z sees the z that was stored.
    let z = f64s(&got.z);
    let [dx, dr, dw, db] = reference::backward(&z, &w, &dy, eps, d);
    assert_close(&format!("{what} y"), &got.y, &reference::forward(&z, &w, &b, eps), tolerance);
    assert_close(&format!("{what} dx"), &got.dx, &dx, 2.0 * tolerance);
    assert_close(&format!("{what} dr"), &got.dr, &dr, tolerance);
    assert_close(&format!("{what} dw"), &got.dw, &dw, 2e-5);
    assert_close(&format!("{what} db"), &got.db, &db, 2e-5);
}

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for &h in SIZES.iter().filter(|&&h| h > 1) {
            for d in [None, Some(DROPOUT)] {
                let (x, what) = (inputs(5, h), format!("{isa:?} {h} {d:?}"));
                check::<f32>(&what, &x, d, 1e-5);
                check::<bf16>(&format!("{what} bf16"), &x, d, 5e-3);
            }
        }
    });
}

#[test]
fn more_rows_than_one_block() {
    each_isa(|isa| {
        for rows in [64, 65, 1000] {
            check::<f32>(&format!("{isa:?} {rows}"), &inputs(rows, 33), Some(DROPOUT), 1e-5);
        }
    });
}

#[test]
fn equals_its_parts_one_after_the_other() {
    each_isa(|isa| {
        let (rows, h) = (150, 130);
        let x = inputs(rows, h);
        let [mut dropped, mut y] = [(); 2].map(|()| vec![0.0; rows * h]);
        dropout::forward(DROPOUT, &x[0], h, &mut dropped);
        let z: Vec<f32> = dropped.iter().zip(&x[1]).map(|(x, r)| x + r).collect();
        let (mut mean, mut rstd) = (vec![0.0; rows], vec![0.0; rows]);
        layer_norm::forward(&z, (&x[3], &x[4]), EPS, &mut y, (&mut mean, &mut rstd));
        let got = run::<f32>(&x, Some(DROPOUT));
        assert_eq!(got.z, z, "{isa:?} z");
        assert_close(&format!("{isa:?} y"), &got.y, &f64s(&y), 1e-6);
        dropout::backward(DROPOUT, &got.dr, h, &mut dropped);
        assert_eq!(got.dx, dropped, "{isa:?} dx");
    });
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    each_isa(|_| {
        let x = inputs(1000, 130);
        let [one, two, five] = [1, 2, 5].map(|n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| run::<f32>(&x, Some(DROPOUT)))
        });
        assert_eq!(one, two);
        assert_eq!(one, five);
    });
}

#[test]
fn nan_stays_in_its_row() {
    each_isa(|isa| {
        let mut x = inputs(10, 33);
        x[0][4 * 33 + 7] = f32::NAN;
        let got = run::<f32>(&x, None);
        for (i, y) in got.y.iter().enumerate() {
            assert_eq!(y.is_nan(), i / 33 == 4, "{isa:?} {i}");
        }
    });
}
