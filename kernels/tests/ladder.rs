//! Every rung of the ladder against the definition.

use kernels::isa::{self, Isa};
use kernels::matmul::ladder::{Shape, interchanged, naive, packed, registers, tiled};
use kernels::matmul::reference;
use kernels::peak;
use kernels::testing::{assert_close, f64s, random};

type Product = fn(&[f32], &[f32], &mut [f32], Shape);

const RUNGS: [(&str, Product); 5] = [
    ("naive", naive::product),
    ("interchanged", interchanged::product),
    ("tiled", tiled::product),
    ("registers", registers::product),
    ("packed", packed::product),
];

/// One element, edges of every tile and block, and more than one block of each.
const SHAPES: [[usize; 3]; 10] = [
    [1, 1, 1],
    [1, 9, 5],
    [3, 7, 2],
    [4, 8, 256],
    [5, 17, 49],
    [13, 129, 257],
    [6, 257, 300],
    [33, 384, 96],
    [65, 513, 129],
    [2, 1, 700],
];

fn run(product: Product, [m, n, k]: [usize; 3]) -> Vec<f32> {
    let (a, b) = (random(m * k, 1.0, 1), random(k * n, 1.0, 2));
    // What was in C plays no part.
    let mut c = vec![f32::NAN; m * n];
    product(&a, &b, &mut c, Shape { m, n, k });
    c
}

#[test]
fn equal_the_definition() {
    for [m, n, k] in SHAPES {
        let (a, b) = (random(m * k, 1.0, 1), random(k * n, 1.0, 2));
        let want = reference::product(&f64s(&a), &f64s(&b), m, n);
        for (name, product) in RUNGS {
            let got = run(product, [m, n, k]);
            assert_close(&format!("{name} {m}x{n}x{k}"), &got, &want, 1e-5);
        }
    }
}

#[test]
fn the_first_four_add_in_the_same_order() {
    for shape in SHAPES {
        let want = run(naive::product, shape);
        for (name, product) in &RUNGS[1..4] {
            assert_eq!(run(*product, shape), want, "{name} {shape:?}");
        }
    }
}

#[test]
fn without_k_the_product_is_zero() {
    for (name, product) in RUNGS {
        assert_eq!(run(product, [3, 5, 0]), [0.0; 15], "{name}");
        assert_eq!(run(product, [0, 5, 3]), [0.0; 0], "{name}");
    }
}

#[test]
fn nan_passes_through_zeros() {
    let (a, shape) = ([0.0; 10], Shape { m: 5, n: 9, k: 2 });
    let mut b = [1.0; 18];
    b[4] = f32::NAN;
    for (name, product) in RUNGS {
        let mut c = [0.0; 45];
        product(&a, &b, &mut c, shape);
        assert!((0..45).all(|i| c[i].is_nan() == (i % 9 == 4)), "{name}: {c:?}");
    }
}

#[test]
#[should_panic(expected = "ladder: lengths")]
fn lengths_are_checked() {
    packed::product(&[1.0; 5], &[1.0; 6], &mut [0.0; 4], Shape { m: 2, n: 2, k: 3 });
}

/// What benches divide by: a register twice as wide holds twice as many numbers, and an instruction for bf16
/// multiplies twice as many as one for f32.
#[test]
fn bursts_count_lanes_and_products() {
    let operations = |isa, bf16| peak::burst(isa, bf16).expect("an instruction of its own");
    if isa::widest() >= Isa::Avx512 {
        assert_eq!(operations(Isa::Avx512, false), 2 * operations(Isa::Avx2, false));
    }
    if isa::widest() >= Isa::Avx512Bf16 {
        let f32s = operations(Isa::Avx512Bf16, false);
        assert_eq!(f32s, operations(Isa::Avx512, false));
        assert_eq!(operations(Isa::Avx512Bf16, true), 2 * f32s);
    }
    for isa in isa::supported().filter(|&isa| isa != Isa::Avx512Bf16) {
        assert_eq!(peak::burst(isa, true), None, "{isa:?}");
    }
}
