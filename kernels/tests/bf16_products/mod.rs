//! Products with operands or output of bf16 against their definition on the rounded operands, for the instruction
//! set in use. `matmul_bf16.rs` runs them on those of the machine, `amx.rs` on one that may be emulated.

use half::bf16;
use kernels::isa::Isa;
use kernels::matmul::{MatMut, MatRef, Store, Values, gemm, gemm_serial, reference};
use kernels::testing::{SIZES, assert_close, random};

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
        *c += before + bias;
    }
    let (got, alone) =
        (run(&a, &b, types[2], store, gemm), run(&a, &b, types[2], store, gemm_serial));
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

/// Sizes that meet every remainder of every panel.
pub fn every_size(isa: Isa) {
    for m in SIZES {
        for n in SIZES {
            let k = SIZES[(m * 3 + n) % SIZES.len()].min(130_000_000 / (m * n * 10));
            let (types, shape) = ([true, true, m % 2 == 0], [m, n, k]);
            check(&format!("{isa:?} {shape:?}"), shape, types, [false, true], Store::default());
        }
    }
}

/// Lengths of K that meet every remainder of a word, a step and a block.
pub fn every_depth_type_and_layout(isa: Isa) {
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
}

/// Bias and accumulation.
pub fn every_store(isa: Isa) {
    for shape in [[1, 1, 1], [7, 3, 5], [33, 50, 400], [200, 130, 1700]] {
        let bias = random(shape[1], 1.0, 9);
        for store in [
            Store { bias: Some(&bias), ..Store::default() },
            Store { accumulate: true, bias: None },
        ] {
            for types in TYPES {
                let what = format!("{isa:?} {shape:?} {types:?} {store:?}");
                check(&what, shape, types, [false, true], store);
            }
        }
    }
}

/// The same bits on any number of threads.
pub fn threads_leave_no_trace(isa: Isa) {
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
}

/// No product is skipped.
pub fn nan_and_infinity_pass_through(isa: Isa) {
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
}

/// Neither rows nor columns of an operand are neighbours in memory.
pub fn operands_with_gaps(isa: Isa) {
    for [m, n, k] in [[1, 1, 1], [33, 40, 35], [50, 130, 800]] {
        let (a, b) = (random(m * k * 6, 1.0, 1), random(k * n * 6, 1.0, 2));
        let a: Vec<bf16> = a.iter().map(|&x| bf16::from_f32(x)).collect();
        let (av, bv) =
            (MatRef::strided(a.as_slice(), m, k, 3 * k, 2), MatRef::strided(&b, k, n, 2, 3 * k));
        let elements = |x: MatRef| -> Vec<f64> {
            let places = (0..x.rows()).flat_map(|i| (0..x.cols()).map(move |j| (i, j)));
            places.map(|(i, j)| bf16::from_f32(x.get(i, j)).to_f64()).collect()
        };
        let mut c = vec![0.0f32; m * n];
        gemm(av, bv, MatMut::new(&mut c, m, n), Store::default());
        let want = reference::product(&elements(av), &elements(bv), m, n);
        let tolerance = (2.0 + k as f64) * 0.5f64.powi(24);
        assert_close(&format!("{isa:?} {m} {n} {k}"), &c, &want, tolerance);
    }
}

/// A product of some of the rows has the bits of those rows of the whole.
pub fn rows_do_not_depend_on_their_neighbours(isa: Isa) {
    let [m, n, k] = [70, 100, 900];
    let a: Vec<bf16> = random(m * k, 1.0, 1).iter().map(|&x| bf16::from_f32(x)).collect();
    let b = random(k * n, 1.0, 2);
    let product = |a: &[bf16]| {
        let mut c = vec![0.0f32; a.len() / k * n];
        let c_view = MatMut::new(&mut c, a.len() / k, n);
        gemm(MatRef::new(a, a.len() / k, k), MatRef::new(&b, k, n), c_view, Store::default());
        bits(&c)
    };
    let whole = product(&a);
    for rows in [0..1, 31..33, 5..70] {
        let part = product(&a[rows.start * k..rows.end * k]);
        assert_eq!(part, whole[rows.start * n..rows.end * n], "{isa:?} {rows:?}");
    }
}
