//! The sum of a stream and an update, against the definition and against its parts.

use half::bf16;
use kernels::Element;
use kernels::dropout::{self, Dropout};
use kernels::philox::Key;
use kernels::residual::{self, reference};
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

const DROPOUT: Dropout = Dropout { p: 0.25, key: Key { seed: 11 << 32 | 7, step: 3, site: 5 } };

/// x in f32, and u.
fn inputs<E: Element>(rows: usize, h: usize) -> (Vec<f32>, Vec<E>) {
    let u = random(rows * h, 2.0, 2).into_iter().map(E::round).collect();
    (random(rows * h, 2.0, 1), u)
}

fn sum<E: Element>(x: &[f32], u: &[E], d: Option<Dropout>, h: usize) -> Vec<f32> {
    let mut s = vec![f32::NAN; x.len()];
    residual::forward(x, u, d, h, &mut s);
    s
}

fn widened<E: Element>(x: &[E]) -> Vec<f32> {
    x.iter().map(|x| x.widen()).collect()
}

/// Of what is stored in bf16 only du is rounded.
fn check<E: Element>(what: &str, rows: usize, h: usize, tolerance: f64) {
    let (x, u) = inputs::<E>(rows, h);
    for d in [None, Some(DROPOUT)] {
        let want = reference::forward(&f64s(&x), &f64s(&widened(&u)), d, h);
        assert_close(&format!("{what} {d:?}: s"), &sum(&x, &u, d, h), &want, 3e-7);
    }
    let mut du = vec![E::round(f32::NAN); x.len()];
    residual::backward(DROPOUT, &x, h, &mut du);
    let want = reference::backward(&f64s(&x), Some(DROPOUT), h);
    assert_close(&format!("{what}: du"), &widened(&du), &want, tolerance);
}

#[test]
fn equals_reference() {
    each_isa(|isa| {
        for h in SIZES {
            check::<f32>(&format!("{isa:?} {h}"), 5, h, 2e-7);
            check::<bf16>(&format!("{isa:?} {h} bf16"), 5, h, 5e-3);
        }
    });
}

#[test]
fn tasks_know_their_rows() {
    each_isa(|isa| check::<bf16>(&format!("{isa:?}"), 4000, 33, 5e-3));
}

/// Bit for bit, also where u is infinite: dropped, it is NaN.
#[test]
fn equals_its_parts_one_after_the_other() {
    each_isa(|isa| {
        let (rows, h) = (150, 130);
        let (x, mut u) = inputs::<bf16>(rows, h);
        (u[7], u[8], u[9]) = (bf16::INFINITY, bf16::INFINITY, bf16::NAN);
        let mut dropped = vec![0.0; rows * h];
        dropout::forward(DROPOUT, &widened(&u), h, &mut dropped);
        let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let want: Vec<f32> = x.iter().zip(&dropped).map(|(x, u)| x + u).collect();
        assert_eq!(bits(&sum(&x, &u, Some(DROPOUT), h)), bits(&want), "{isa:?}");
        let want: Vec<f32> = x.iter().zip(&u).map(|(x, u)| x + u.widen()).collect();
        assert_eq!(bits(&sum(&x, &u, None, h)), bits(&want), "{isa:?}");
    });
}

#[test]
#[should_panic(expected = "residual: 12 elements, rows of 5")]
fn rows_must_be_whole() {
    sum(&[0.0; 12], &[0.0f32; 12], None, 5);
}
