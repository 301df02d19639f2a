//! The matrix product against its definition.

use kernels::matmul::{MatMut, MatRef, Store, gemm, gemm_batched, gemm_serial, reference};
use kernels::testing::{SIZES, assert_close, each_isa, f64s, random};

/// Gaps after the rows of a strided output, and what they hold.
const GAP: usize = 3;
const UNTOUCHED: f32 = -77.0;

/// A matrix in one of the layouts that a view can have.
struct Operand {
    data: Vec<f32>,
    rows: usize,
    cols: usize,
    layout: Layout,
}

#[derive(Clone, Copy, Debug)]
enum Layout {
    Rows,
    Columns,
    RowsWithGaps,
    Scattered,
}

const LAYOUTS: [Layout; 4] =
    [Layout::Rows, Layout::Columns, Layout::RowsWithGaps, Layout::Scattered];

impl Operand {
    fn random(rows: usize, cols: usize, layout: Layout, seed: u64) -> Self {
        let data = random((rows + 5) * (cols + 5) * 2, 1.0, seed);
        Self { data, rows, cols, layout }
    }

    fn view(&self) -> MatRef<'_> {
        let (rows, cols) = (self.rows, self.cols);
        match self.layout {
            Layout::Rows => MatRef::new(&self.data, rows, cols),
            Layout::Columns => MatRef::new(&self.data, cols, rows).t(),
            Layout::RowsWithGaps => MatRef::strided(&self.data, rows, cols, cols + 5, 1),
            Layout::Scattered => MatRef::strided(&self.data, rows, cols, 2 * (cols + 1), 2),
        }
    }

    fn f64s(&self) -> Vec<f64> {
        let view = self.view();
        (0..self.rows * self.cols)
            .map(|i| f64::from(view.get(i / self.cols, i % self.cols)))
            .collect()
    }
}

/// A product of random operands, and what is stored.
struct Case {
    a: Operand,
    b: Operand,
    bias: Vec<f32>,
    accumulate: bool,
}

impl Case {
    fn new([m, n, k]: [usize; 3], [a, b]: [Layout; 2]) -> Self {
        Self {
            a: Operand::random(m, k, a, 1),
            b: Operand::random(k, n, b, 2),
            bias: vec![],
            accumulate: false,
        }
    }

    fn store(&self) -> Store<'_> {
        let bias = (!self.bias.is_empty()).then_some(self.bias.as_slice());
        Store { accumulate: self.accumulate, bias }
    }

    /// C before the product, with gaps.
    fn c(&self) -> Vec<f32> {
        let n = self.b.cols;
        let mut c = random(self.a.rows * (n + GAP), 1.0, 3);
        c.chunks_mut(n + GAP).for_each(|row| row[n..].fill(UNTOUCHED));
        c
    }

    fn run(&self, product: impl Fn(MatRef, MatRef, MatMut, Store)) -> Vec<f32> {
        let (m, n) = (self.a.rows, self.b.cols);
        let mut c = self.c();
        let view = MatMut::strided(&mut c, m, n, n + GAP);
        product(self.a.view(), self.b.view(), view, self.store());
        c
    }

    fn want(&self) -> Vec<f64> {
        let (m, n) = (self.a.rows, self.b.cols);
        let product = reference::product(&self.a.f64s(), &self.b.f64s(), m, n);
        let mut c = f64s(&self.c());
        for (c, p) in c.chunks_mut(n + GAP).zip(product.chunks(n)) {
            for j in 0..n {
                let before = if self.accumulate { c[j] } else { 0.0 };
                let bias = self.bias.get(j).map_or(0.0, |&b| f64::from(b));
                c[j] = before + p[j] + bias;
            }
        }
        c
    }

    /// The parallel product is near the definition; the serial one, and one on two threads, equal it.
    fn check(&self, what: &str) {
        // K roundings of sums that grow as sqrt(K) add up to about K x 2^-24; the proven bound is K / 4
        // times as much.
        let k = self.a.cols as f64;
        let tolerance = (2.0 + k) * 0.5f64.powi(24);
        let got = self.run(gemm);
        assert_close(what, &got, &self.want(), tolerance);
        assert_same(&format!("{what}: serial"), &got, &self.run(gemm_serial));
    }
}

/// Asserts equal bits.
fn assert_same(what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.to_bits(), want.to_bits(), "{what}[{i}]: got {got}, expected {want}");
    }
}

#[test]
fn every_size() {
    each_isa(|isa| {
        for m in SIZES {
            for n in SIZES {
                let k = SIZES[(m * 3 + n) % SIZES.len()].min(130_000_000 / (m * n * 10));
                Case::new([m, n, k], [Layout::Rows, Layout::Columns])
                    .check(&format!("{isa:?} [{m}, {k}] x [{k}, {n}]"));
            }
        }
    });
}

#[test]
fn every_depth() {
    each_isa(|isa| {
        for k in SIZES.into_iter().chain([383, 385, 769]) {
            for (m, n) in [(1, 1), (3, 2), (5, 40), (35, 65), (130, 17)] {
                Case::new([m, n, k], [Layout::Rows, Layout::Rows])
                    .check(&format!("{isa:?} [{m}, {k}] x [{k}, {n}]"));
            }
        }
    });
}

#[test]
fn every_layout() {
    each_isa(|isa| {
        for a in LAYOUTS {
            for b in LAYOUTS {
                for shape in [[1, 1, 1], [2, 33, 17], [33, 2, 130], [47, 50, 7], [130, 100, 400]] {
                    Case::new(shape, [a, b]).check(&format!("{isa:?} {a:?} {b:?} {shape:?}"));
                }
            }
        }
    });
}

#[test]
fn every_store() {
    each_isa(|isa| {
        for shape in [[1, 1, 1], [7, 3, 5], [33, 50, 400], [200, 130, 800]] {
            for (accumulate, bias) in [(false, true), (false, false), (true, false)] {
                let case = Case {
                    accumulate,
                    bias: random(if bias { shape[1] } else { 0 }, 1.0, 9),
                    ..Case::new(shape, [Layout::Rows, Layout::Columns])
                };
                case.check(&format!("{isa:?} {shape:?} {accumulate} {bias}"));
            }
        }
    });
}

#[test]
fn more_of_b_than_is_packed_at_a_time() {
    // Groups of blocks of K: no more than 2 x 384 x 4096 elements are packed at once. With fewer rows, none would be.
    each_isa(|isa| {
        let case = Case::new([9, 4096, 1500], [Layout::Rows, Layout::Rows]);
        case.check(&format!("{isa:?}"));
    });
}

#[test]
fn threads_leave_no_trace() {
    each_isa(|isa| {
        for shape in [
            [33, 17, 384],
            [200, 384, 384],
            [500, 200, 1000],
            [384, 130, 2000],
            [7000, 3, 130],
            [2, 384, 4000],
            [4000, 200, 3],
        ] {
            for layouts in [[Layout::Rows, Layout::Columns], [Layout::Columns, Layout::Rows]] {
                let case = Case::new(shape, layouts);
                let on = |threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    pool.unwrap().install(|| case.run(gemm))
                };
                let one = on(1);
                assert_same(&format!("{isa:?} {shape:?}: two threads"), &on(2), &one);
                assert_same(&format!("{isa:?} {shape:?}: five threads"), &on(5), &one);
            }
        }
    });
}

#[test]
fn buffers_are_reused_between_shapes() {
    each_isa(|isa| {
        for shape in [[130, 130, 500], [3, 5, 7], [40, 1, 384], [33, 40, 20]] {
            let case = Case::new(shape, [Layout::Rows, Layout::Columns]);
            let (m, n) = (case.a.rows, case.b.cols);
            let mut c = case.c();
            let view = MatMut::strided(&mut c, m, n, n + GAP);
            gemm_serial(case.a.view(), case.b.view(), view, case.store());
            assert_close(&format!("{isa:?} {shape:?}"), &c, &case.want(), 1e-5);
        }
    });
}

#[test]
fn batches_are_products_one_by_one() {
    each_isa(|isa| {
        for [batch, m, n, k] in [[1, 3, 4, 5], [7, 33, 17, 20], [3, 200, 130, 64], [40, 60, 50, 33]]
        {
            let (a, b) = (random(batch * m * k, 1.0, 1), random(batch * n * k, 1.0, 2));
            let operands = |i: usize| {
                let a = MatRef::new(&a[i * m * k..], m, k);
                (a, MatRef::new(&b[i * n * k..], n, k).t())
            };
            let mut c = vec![f32::NAN; batch * m * n];
            gemm_batched(batch, operands, &mut c, Store::default());
            for (i, got) in c.chunks(m * n).enumerate() {
                let b_t = reference::transpose(&f64s(&b[i * n * k..][..n * k]), n, k);
                let want = reference::product(&f64s(&a[i * m * k..][..m * k]), &b_t, m, n);
                assert_close(&format!("{isa:?} product {i} of {batch}"), got, &want, 1e-5);
            }
        }
    });
}

#[test]
fn nan_and_infinity_pass_through() {
    each_isa(|isa| {
        for (m, n) in [(1, 1), (3, 2), (20, 40)] {
            let k = 50;
            let (mut a, mut b) = (vec![0.0; m * k], vec![1.0; k * n]);
            // 0 x NaN in column 0, 0 x inf in the last column, inf x 1 in the last row.
            b[7 * n] = f32::NAN;
            b[8 * n + n - 1] = f32::INFINITY;
            a[(m - 1) * k + 3] = f32::INFINITY;
            let mut c = vec![f32::NAN; m * n];
            let (av, bv) = (MatRef::new(&a, m, k), MatRef::new(&b, k, n));
            gemm(av, bv, MatMut::new(&mut c, m, n), Store::default());
            let want = reference::product(&f64s(&a), &f64s(&b), m, n);
            assert_close(&format!("{isa:?} [{m}, {n}]"), &c, &want, 0.0);
            let b_t: Vec<f32> = (0..n * k).map(|i| b[i % k * n + i / k]).collect();
            gemm(av, MatRef::new(&b_t, n, k).t(), MatMut::new(&mut c, m, n), Store::default());
            assert_close(&format!("{isa:?} [{m}, {n}], transposed"), &c, &want, 0.0);
        }
    });
}

#[test]
fn nothing_to_multiply() {
    each_isa(|_| {
        let empty = MatRef::new(&[], 2, 0);
        let mut c = [5.0; 6];
        let accumulate = Store { accumulate: true, ..Store::default() };
        gemm(empty, MatRef::new(&[], 0, 3), MatMut::new(&mut c, 2, 3), accumulate);
        assert_eq!(c, [5.0; 6]);
        let bias = Store { bias: Some(&[1.0, 2.0, 3.0]), ..Store::default() };
        gemm(empty, MatRef::new(&[], 0, 3), MatMut::new(&mut c, 2, 3), bias);
        assert_eq!(c, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        gemm(empty, MatRef::new(&[], 0, 3), MatMut::new(&mut c, 2, 3), Store::default());
        assert_eq!(c, [0.0; 6]);

        let x = MatRef::new(&[1.0, 2.0], 1, 2);
        gemm(MatRef::new(&[], 0, 1), x, MatMut::new(&mut [], 0, 2), Store::default());
        gemm(x, MatRef::new(&[], 2, 0), MatMut::new(&mut [], 1, 0), Store::default());
        gemm_batched(0, |_| (x, x.t()), &mut [], Store::default());
    });
}

#[test]
fn narrow_products() {
    each_isa(|isa| {
        for (a, b) in
            [Layout::Rows, Layout::RowsWithGaps].into_iter().flat_map(|a| LAYOUTS.map(|b| (a, b)))
        {
            for shape in [[70, 2, 390], [65, 5, 33], [9, 8, 769], [8, 200, 400], [130, 300, 3]] {
                let case = Case { bias: random(shape[1], 1.0, 9), ..Case::new(shape, [a, b]) };
                case.check(&format!("{isa:?} {a:?} {b:?} {shape:?}"));
                let case = Case { accumulate: true, ..Case::new(shape, [a, b]) };
                case.check(&format!("{isa:?} {a:?} {b:?} {shape:?} accumulate"));
            }
        }
    });
}

#[test]
fn rows_do_not_depend_on_their_neighbours() {
    each_isa(|isa| {
        for (n, layout) in [2, 9, 130].into_iter().flat_map(|n| LAYOUTS.map(|layout| (n, layout))) {
            let (m, k) = (300, 500);
            let case = Case::new([m, n, k], [Layout::Rows, layout]);
            let all = case.run(gemm);
            for rows in [1, 5, 32, 170] {
                let mut c = vec![0.0; rows * n];
                let a = MatRef::new(&case.a.data[100 * k..], rows, k);
                gemm(a, case.b.view(), MatMut::new(&mut c, rows, n), Store::default());
                for (i, got) in c.chunks(n).enumerate() {
                    let want = &all[(100 + i) * (n + GAP)..][..n];
                    assert_same(&format!("{isa:?} {layout:?} row {i} of {rows}"), got, want);
                }
            }
        }
    });
}

#[test]
#[should_panic(expected = "matmul: [2, 3] times [4, 2]")]
fn inner_dimensions_must_agree() {
    let x = [0.0; 8];
    let (a, b) = (MatRef::new(&x, 2, 3), MatRef::new(&x, 4, 2));
    gemm(a, b, MatMut::new(&mut [0.0; 4], 2, 2), Store::default());
}

#[test]
#[should_panic(expected = "matmul: [3, 3] in 8 elements")]
fn views_lie_inside_their_slice() {
    MatRef::new(&[0.0; 8], 3, 3);
}

/// 2 strides of half the numbers there are, and as much as wraps that around to an element inside.
const HALF: usize = 1 << (usize::BITS - 1);

#[test]
#[should_panic(expected = "matmul: [3, 3] in 9 elements")]
fn a_stride_that_wraps_around_leaves_the_slice() {
    MatRef::strided(&[0.0; 9], 3, 3, HALF, 1);
}

#[test]
#[should_panic(expected = "matmul: [2, 2] in 9 elements")]
fn two_strides_that_wrap_around_leave_the_slice() {
    MatRef::strided(&[0.0; 9], 2, 2, HALF, HALF);
}

#[test]
#[should_panic(expected = "matmul: [3, 3] in 9 elements")]
fn a_stride_of_the_output_that_wraps_around_leaves_the_slice() {
    MatMut::strided(&mut [0.0; 9], 3, 3, HALF);
}
