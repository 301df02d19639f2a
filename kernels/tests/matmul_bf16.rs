//! The matrix product with operands or output of bf16 against its definition on the rounded operands.

use half::bf16;
use kernels::matmul::{MatMut, MatRef, Scratch, Store, Values, gemm, gemm_serial, reference};
use kernels::testing::{SIZES, assert_close, each_isa, random};

/// Which of A, B and C are bf16; at least one operand is.
type Types = [bool; 3];

const TYPES: [Types; 6] = [
    [true, true, true],
    [true, false, true],
    [false, true, true],
    [true, true, false],
    [true, false, false],
    [false, true, false],
];

/// A row-major matrix in f32 and rounded.
struct Operand {
    wide: Vec<f32>,
    narrow: Vec<bf16>,
    shape: [usize; 2],
    is_bf16: bool,
    transposed: bool,
}

impl Operand {
    fn random([rows, cols]: [usize; 2], is_bf16: bool, transposed: bool, seed: u64) -> Self {
        let wide = random(rows * cols, 1.0, seed);
        let narrow = wide.iter().map(|&x| bf16::from_f32(x)).collect();
        let shape = if transposed { [cols, rows] } else { [rows, cols] };
        Self { wide, narrow, shape, is_bf16, transposed }
    }

    fn view(&self) -> MatRef<'_> {
        let values: Values =
            if self.is_bf16 { self.narrow.as_slice().into() } else { (&self.wide).into() };
        let view = MatRef::new(values, self.shape[0], self.shape[1]);
        if self.transposed { view.t() } else { view }
    }

    fn rounded(&self) -> Vec<f64> {
        let values: Vec<f64> = self.narrow.iter().map(|x| x.to_f64()).collect();
        match self.transposed {
            true => reference::transpose(&values, self.shape[0], self.shape[1]),
            false => values,
        }
    }
}

/// Runs one product in both forms; C begins as ones.
fn check(what: &str, [m, n, k]: [usize; 3], types: Types, transposed: [bool; 2], store: Store) {
    let a = Operand::random([m, k], types[0], transposed[0], 1);
    let b = Operand::random([k, n], types[1], transposed[1], 2);
    let mut want = reference::product(&a.rounded(), &b.rounded(), m, n);
    for (i, c) in want.iter_mut().enumerate() {
        let bias = store.bias.map_or(0.0, |bias| f64::from(bias[i % n]));
        let before = if store.accumulate { 1.0 } else { 0.0 };
        *c = before + f64::from(store.alpha) * *c + bias;
    }
    let serial = |a: MatRef, b: MatRef, c: MatMut, store: Store| {
        gemm_serial(a, b, c, store, &mut Scratch::default());
    };
    let (got, alone) = (run(&a, &b, types[2], store, gemm), run(&a, &b, types[2], store, serial));
    // Products of bf16 are exact in f32; a result of bf16 is rounded once, by half of 2^-8 at most.
    let sum = (2.0 + k as f64) * 0.5f64.powi(24);
    assert_close(what, &got, &want, if types[2] { 0.5f64.powi(8) + sum } else { sum });
    assert_eq!(bits(&got), bits(&alone), "{what}: serial");
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn run(
    a: &Operand,
    b: &Operand,
    is_bf16: bool,
    store: Store,
    product: impl Fn(MatRef, MatRef, MatMut, Store),
) -> Vec<f32> {
    let (a, b) = (a.view(), b.view());
    let (m, n) = (a.rows(), b.cols());
    if !is_bf16 {
        let mut c = vec![1.0; m * n];
        product(a, b, MatMut::new(&mut c, m, n), store);
        return c;
    }
    let mut c = vec![bf16::ONE; m * n];
    product(a, b, MatMut::new(c.as_mut_slice(), m, n), store);
    c.iter().map(|x| x.to_f32()).collect()
}

#[test]
fn every_size() {
    each_isa(|isa| {
        for m in SIZES {
            for n in SIZES {
                let k = SIZES[(m * 3 + n) % SIZES.len()].min(130_000_000 / (m * n * 10));
                let (types, shape) = ([true, true, m % 2 == 0], [m, n, k]);
                check(&format!("{isa:?} {shape:?}"), shape, types, [false, true], Store::default());
            }
        }
    });
}

#[test]
fn every_depth_type_and_layout() {
    each_isa(|isa| {
        for k in SIZES.into_iter().chain([767, 768, 769, 1537, 2400]) {
            for (shape, types) in
                [[1, 1, k], [5, 40, k], [35, 65, k]].into_iter().flat_map(|s| TYPES.map(|t| (s, t)))
            {
                for a in [false, true] {
                    for b in [false, true] {
                        let what = format!("{isa:?} {shape:?} {types:?} {a} {b}");
                        check(&what, shape, types, [a, b], Store::default());
                    }
                }
            }
        }
    });
}

#[test]
fn every_store() {
    each_isa(|isa| {
        for shape in [[1, 1, 1], [7, 3, 5], [33, 50, 400], [200, 130, 1700]] {
            let bias = random(shape[1], 1.0, 9);
            for store in [
                Store { bias: Some(&bias), ..Store::default() },
                Store { alpha: -0.5, bias: Some(&bias), ..Store::default() },
                Store { alpha: 0.5, accumulate: true, bias: None },
            ] {
                for types in TYPES {
                    let what = format!("{isa:?} {shape:?} {types:?} {store:?}");
                    check(&what, shape, types, [false, true], store);
                }
            }
        }
    });
}

#[test]
fn threads_leave_no_trace() {
    each_isa(|isa| {
        for shape in [[33, 17, 384], [300, 384, 1600], [130, 1000, 800]] {
            let a = Operand::random([shape[0], shape[2]], true, false, 1);
            let b = Operand::random([shape[2], shape[1]], false, true, 2);
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.unwrap().install(|| bits(&run(&a, &b, true, Store::default(), gemm)))
            };
            let one = on(1);
            assert_eq!(on(2), one, "{isa:?} {shape:?}: two threads");
            assert_eq!(on(5), one, "{isa:?} {shape:?}: five threads");
        }
    });
}

#[test]
fn nan_and_infinity_pass_through() {
    each_isa(|isa| {
        let (m, n, k) = (20, 40, 50);
        let (mut a, mut b) = (vec![bf16::ZERO; m * k], vec![1.0f32; k * n]);
        b[7 * n] = f32::NAN;
        b[8 * n + n - 1] = f32::INFINITY;
        // Rounds up to infinity.
        b[9 * n + 5] = f32::MAX;
        a[(m - 1) * k + 3] = bf16::INFINITY;
        let mut c = vec![0.0f32; m * n];
        let (av, bv) = (MatRef::new(a.as_slice(), m, k), MatRef::new(&b, k, n));
        gemm(av, bv, MatMut::new(&mut c, m, n), Store::default());
        let a: Vec<f64> = a.iter().map(|x| x.to_f64()).collect();
        let b: Vec<f64> = b.iter().map(|&x| bf16::from_f32(x).to_f64()).collect();
        let want = reference::product(&a, &b, m, n);
        assert_close(&format!("{isa:?}"), &c, &want, 0.0);
    });
}
