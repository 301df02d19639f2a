//! Broadcasting, sums and products against `ndarray`, in both float types.

use ndarray::{ArrayD, ArrayView2, Axis, Ix2, IxDyn};
use proptest::prelude::*;
use tensor::{Binary, DType, Tensor, ops, philox::Rng};

fn random(shape: &[usize], seed: u64) -> Tensor {
    Tensor::randn(shape, &mut Rng::new(seed, 0))
}

fn wide(t: &Tensor) -> ArrayD<f64> {
    t.to_dtype(DType::F64).unwrap().to_ndarray().unwrap()
}

/// Asserts that f32 results are within `tolerance` of the largest value, those in f64 within 1e-12.
fn assert_close(got: &Tensor, want: &ArrayD<f64>, tolerance: f64) {
    assert_eq!(got.shape(), want.shape());
    let scale = want.iter().fold(1.0, |m: f64, x| m.max(x.abs()));
    let tolerance = if got.dtype() == DType::F64 { 1e-12 } else { tolerance };
    for (got, want) in got.to_f64_vec().unwrap().iter().zip(want) {
        assert!((got - want).abs() <= tolerance * scale, "got {got}, expected {want}");
    }
}

/// The sums that undo broadcasting from `small`.
fn summed(mut x: ArrayD<f64>, small: &[usize]) -> ArrayD<f64> {
    while x.ndim() > small.len() {
        x = x.sum_axis(Axis(0));
    }
    for (axis, _) in small.iter().enumerate().filter(|(_, n)| **n == 1) {
        x = x.sum_axis(Axis(axis)).insert_axis(Axis(axis));
    }
    x
}

/// Some axes of `shape` set to 1, and some taken away in front: it broadcasts to `shape`.
fn shrunk(shape: &[usize], ones: [bool; 4], drop: usize) -> Vec<usize> {
    let shape = shape.iter().zip(ones).map(|(&n, one)| if one { 1 } else { n });
    shape.skip(drop.min(4)).collect()
}

/// The same values, lying in memory in another order.
fn strided(t: &Tensor, how: usize) -> Tensor {
    match (how, t.rank()) {
        (1, 2..) => t.t().unwrap().contiguous().unwrap().t().unwrap(),
        (2, 1..) => {
            let last = t.rank() - 1;
            let wide = ops::concat::forward(&[t, t], last).unwrap();
            wide.narrow(last, 0, t.shape()[last]).unwrap()
        }
        (3, 2..) => t
            .transpose(0, t.rank() - 1)
            .unwrap()
            .contiguous()
            .unwrap()
            .transpose(0, t.rank() - 1)
            .unwrap(),
        _ => t.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn binary_ops_broadcast_as_ndarray_does(
        shape in prop::collection::vec(0usize..5, 0..4),
        (ones_a, ones_b) in (prop::array::uniform4(any::<bool>()), prop::array::uniform4(any::<bool>())),
        (drop_a, drop_b) in (0usize..3, 0usize..3),
        (how_a, how_b) in (0usize..4, 0usize..4),
    ) {
        let a = strided(&random(&shrunk(&shape, ones_a, drop_a), 1), how_a);
        let b = strided(&random(&shrunk(&shape, ones_b, drop_b), 2), how_b);
        for dtype in [DType::F32, DType::F64] {
            let (a, b) = (a.to_dtype(dtype).unwrap(), b.to_dtype(dtype).unwrap());
            let joined = tensor::broadcast_shapes("test", a.shape(), b.shape()).unwrap();
            let (x, y) = (wide(&a), wide(&b));
            let x = x.broadcast(IxDyn(&joined)).unwrap();
            let y = y.broadcast(IxDyn(&joined)).unwrap();
            let cases = [
                (Binary::Add, &x + &y),
                (Binary::Sub, &x - &y),
                (Binary::Mul, &x * &y),
                (Binary::Div, &x / &y),
            ];
            for (op, want) in cases {
                assert_close(&ops::elementwise::binary(op, &a, &b).unwrap(), &want, 1e-6);
            }
        }
    }

    #[test]
    fn sums_equal_ndarray(
        shape in prop::collection::vec(0usize..6, 1..4),
        axis in 0usize..3,
        how in 0usize..4,
    ) {
        let x = strided(&random(&shape, 3), how);
        let axis = axis % shape.len();
        for x in [x.clone(), x.to_dtype(DType::F64).unwrap()] {
            let a = wide(&x);
            let total = ArrayD::from_elem(IxDyn(&[]), a.sum());
            assert_close(&x.sum().unwrap(), &total, 1e-6);
            assert_close(&ops::reduce::sum_axis(&x, axis).unwrap(), &a.sum_axis(Axis(axis)), 1e-6);
            if shape[axis] > 0 {
                let mean = a.mean_axis(Axis(axis)).unwrap();
                assert_close(&ops::reduce::mean_axis(&x, axis).unwrap(), &mean, 1e-6);
            }
        }
    }

    #[test]
    fn sum_to_undoes_broadcasting(
        shape in prop::collection::vec(1usize..5, 0..5),
        ones in prop::array::uniform4(any::<bool>()),
        drop in 0usize..5,
    ) {
        let shape = &shape[..shape.len().min(4)];
        let small = shrunk(shape, ones, drop);
        let x = random(shape, 4);
        for x in [x.clone(), x.to_dtype(DType::F64).unwrap()] {
            let (want, sizes) = (summed(wide(&x), &small), summed(wide(&x).mapv(f64::abs), &small));
            // The error of a sum goes with the sizes of its terms, which may cancel in the sum.
            let tolerance = 1e-6 * sizes.iter().fold(1.0, |m: f64, x| m.max(*x));
            assert_close(&ops::reduce::sum_to(&x, &small).unwrap(), &want, tolerance);
        }
    }

    #[test]
    fn matmul_equals_ndarray(
        [m, k, n] in prop::array::uniform3(0usize..40),
        lead in prop::collection::vec(0usize..4, 0..3),
        (ones_a, ones_b) in (prop::array::uniform4(any::<bool>()), prop::array::uniform4(any::<bool>())),
        (drop_a, drop_b) in (0usize..3, 0usize..3),
        (how_a, how_b) in (0usize..4, 0usize..4),
    ) {
        let a_shape = [shrunk(&lead, ones_a, drop_a), vec![m, k]].concat();
        let b_shape = [shrunk(&lead, ones_b, drop_b), vec![k, n]].concat();
        let (a, b) = (strided(&random(&a_shape, 5), how_a), strided(&random(&b_shape, 6), how_b));
        for dtype in [DType::F32, DType::F64] {
            let (a, b) = (a.to_dtype(dtype).unwrap(), b.to_dtype(dtype).unwrap());
            assert_close(&a.matmul(&b).unwrap(), &product(&wide(&a), &wide(&b)), 1e-5);
        }
    }
}

/// The product of every pair of matrices, leading axes broadcast.
fn product(a: &ArrayD<f64>, b: &ArrayD<f64>) -> ArrayD<f64> {
    let (lead_a, &[m, k]) = a.shape().split_last_chunk::<2>().unwrap();
    let (lead_b, &[_, n]) = b.shape().split_last_chunk::<2>().unwrap();
    let lead = tensor::broadcast_shapes("test", lead_a, lead_b).unwrap();
    let a = a.broadcast(IxDyn(&[&lead[..], &[m, k]].concat())).unwrap().to_owned();
    let b = b.broadcast(IxDyn(&[&lead[..], &[k, n]].concat())).unwrap().to_owned();
    let count = lead.iter().product();
    let a = a.as_standard_layout().to_owned().into_shape_with_order((count, m, k)).unwrap();
    let b = b.as_standard_layout().to_owned().into_shape_with_order((count, k, n)).unwrap();
    let matrix = |i| -> ndarray::Array2<f64> {
        let (a, b): (ArrayView2<f64>, ArrayView2<f64>) =
            (a.index_axis(Axis(0), i), b.index_axis(Axis(0), i));
        a.dot(&b)
    };
    let values: Vec<f64> = (0..count).flat_map(|i| matrix(i).into_iter()).collect();
    ArrayD::from_shape_vec(IxDyn(&[&lead[..], &[m, n]].concat()), values).unwrap()
}

#[test]
fn matmul_multiplies_repeated_rows_where_they_lie() {
    // Strides 0 and 1: one row, seen 70 times.
    let row = random(&[50], 7);
    let a = row.broadcast_to(&[70, 50]).unwrap();
    let b = random(&[50, 30], 8);
    let want = wide(&a)
        .into_dimensionality::<Ix2>()
        .unwrap()
        .dot(&wide(&b).into_dimensionality::<Ix2>().unwrap());
    assert_close(&a.matmul(&b).unwrap(), &want.into_dyn(), 1e-5);
    let t = b.t().unwrap().matmul(&a.t().unwrap()).unwrap();
    assert_close(&t, &product(&wide(&b.t().unwrap()), &wide(&a.t().unwrap())), 1e-5);
}

#[test]
fn argmax_takes_the_first_of_equals() {
    let x = Tensor::from_vec(vec![1.0f32, 3.0, 3.0, -2.0, -2.0, -5.0], &[2, 3]).unwrap();
    assert_eq!(ops::reduce::row_argmax(&x).unwrap().to_vec::<u32>().unwrap(), [1, 0]);
    let columns = ops::reduce::row_argmax(&x.t().unwrap()).unwrap();
    assert_eq!(columns.to_vec::<u32>().unwrap(), [0, 0, 0]);
}

#[test]
fn add_assign_leaves_shared_memory_alone() {
    let (mut y, x) = (Tensor::full(1.0, &[2, 2]), Tensor::full(2.0, &[2, 2]));
    let before = y.clone();
    ops::elementwise::add_assign(&mut y, &x).unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), [3.0; 4]);
    assert_eq!(before.to_vec::<f32>().unwrap(), [1.0; 4]);
    // Alone, it writes where it is.
    let address = y.as_slice::<f32>().unwrap().as_ptr();
    ops::elementwise::add_assign(&mut y, &x).unwrap();
    assert_eq!(y.as_slice::<f32>().unwrap().as_ptr(), address);
    // A broadcast view has fewer elements in memory than it shows.
    let mut wide = Tensor::full(1.0, &[2]).broadcast_to(&[3, 2]).unwrap();
    ops::elementwise::add_assign(&mut wide, &Tensor::full(2.0, &[3, 2])).unwrap();
    assert_eq!(wide.to_vec::<f32>().unwrap(), [3.0; 6]);
}
