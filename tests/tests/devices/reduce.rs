//! `reduce` on a GPU.

use tensor::ops::linear;
use tensor::ops::reduce::{mean, mean_axis, row_argmax, sum, sum_axis, sum_squares, sum_to};
use tensor::{DType, Tensor};
use tests::gpu::{SIZES, assert_close, device, normal, placements, wide};

#[test]
#[ignore = "needs a GPU"]
fn sums_of_everything_equal_the_definition() {
    let gpu = device();
    for (seed, n) in (0..).zip(SIZES) {
        let x = normal(&[n], seed, DType::F32);
        let want = sum(&wide(&x)).unwrap().item().unwrap();
        let squares = sum_squares(&wide(&x)).unwrap();
        for x in placements(&x, &gpu) {
            assert_close(&format!("sum [{n}]"), &sum(&x).unwrap(), &[want]);
            assert_close(&format!("mean [{n}]"), &mean(&x).unwrap(), &[want / n as f64]);
            let got = sum_squares(&x).unwrap();
            assert!((got - squares).abs() <= 1e-12 * squares, "{got} {squares}");
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn sums_have_the_same_bits_on_every_run() {
    let gpu = device();
    let x = normal(&[3001, 33], 1, DType::F32).to_device(&gpu).unwrap();
    let bits = || {
        let columns = sum_axis(&x, 0).unwrap().to_vec::<f32>().unwrap();
        let all = sum(&x).unwrap().to_vec::<f32>().unwrap();
        [columns, all].concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    assert_eq!(bits(), bits());
}

#[test]
#[ignore = "needs a GPU"]
fn nothing_sums_to_nothing() {
    let gpu = device();
    let empty = Tensor::zeros(&[0, 3]).to_device(&gpu).unwrap();
    assert_eq!(sum(&empty).unwrap().to_f64_vec().unwrap(), [0.0]);
    assert_eq!(sum_squares(&empty).unwrap(), 0.0);
    assert_eq!(sum_axis(&empty, 0).unwrap().to_f64_vec().unwrap(), [0.0; 3]);
    assert_eq!(sum_axis(&empty, 1).unwrap().shape(), [0]);
    assert!(mean(&empty).is_err());
}

#[test]
#[ignore = "needs a GPU"]
fn no_square_overflows_and_nan_shows() {
    let gpu = device();
    let huge = Tensor::full(1e30, &[100]).to_device(&gpu).unwrap();
    assert!((sum_squares(&huge).unwrap() / 1e62 - 1.0).abs() < 1e-6);
    for value in [f32::NAN, f32::INFINITY] {
        let mut x = vec![1.0; 5000];
        x[4321] = value;
        let x = Tensor::from_vec(x, &[5000]).unwrap().to_device(&gpu).unwrap();
        assert!(!sum_squares(&x).unwrap().is_finite());
        assert!(!sum(&x).unwrap().item().unwrap().is_finite());
    }
}

#[test]
#[ignore = "needs a GPU"]
fn sums_along_every_axis_equal_the_definition() {
    let gpu = device();
    let shapes: [&[usize]; 11] = [
        &[7],
        &[1, 1],
        &[3, 7],
        &[130, 33],
        &[1000, 384],
        &[9001, 2],
        &[64, 1000],
        &[65, 4],
        &[2, 3, 5],
        &[15, 17, 8],
        &[2, 3, 4, 5],
    ];
    for (seed, shape) in (0..).zip(shapes) {
        let x = normal(shape, seed, DType::F32);
        for (axis, there) in (0..shape.len()).flat_map(|a| placements(&x, &gpu).map(|x| (a, x))) {
            let (want, got) = (sum_axis(&wide(&x), axis).unwrap(), sum_axis(&there, axis).unwrap());
            assert_eq!(got.shape(), want.shape());
            assert_close(&format!("{shape:?} axis {axis}"), &got, &want.to_f64_vec().unwrap());
            let (want, got) =
                (mean_axis(&wide(&x), axis).unwrap(), mean_axis(&there, axis).unwrap());
            assert_close(&format!("{shape:?} mean {axis}"), &got, &want.to_f64_vec().unwrap());
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn broadcasting_is_summed_back() {
    let gpu = device();
    let shapes: [[&[usize]; 2]; 7] = [
        [&[3, 7], &[7]],
        [&[3, 7], &[3, 1]],
        [&[2, 3, 5], &[5]],
        [&[2, 3, 5], &[3, 1]],
        [&[4, 300, 8], &[1, 1, 8]],
        [&[2, 3], &[]],
        [&[2, 3], &[2, 3]],
    ];
    for [from, to] in shapes {
        let x = normal(from, 4, DType::F32);
        let want = sum_to(&wide(&x), to).unwrap();
        let got = sum_to(&x.to_device(&gpu).unwrap(), to).unwrap();
        assert_eq!(got.shape(), to);
        assert_close(&format!("{from:?} to {to:?}"), &got, &want.to_f64_vec().unwrap());
    }
}

/// The gradient of a bias is such a sum.
#[test]
#[ignore = "needs a GPU"]
fn columns_of_bf16_are_summed_in_f32() {
    let gpu = device();
    for (rows, cols) in [(1, 1), (7, 15), (1000, 130), (333, 384), (5000, 3), (130, 1000)] {
        let x = normal(&[rows, cols], 6, DType::BF16);
        let want = sum_axis(&wide(&x), 0).unwrap().to_f64_vec().unwrap();
        for x in placements(&x, &gpu) {
            let sums = linear::backward_bias(&x).unwrap();
            assert_eq!(sums.dtype(), DType::F32);
            assert_close(&format!("columns of {rows} x {cols}"), &sums, &want);
        }
    }
}

/// The last block of a strip of columns adds up what all of its blocks left: whichever that is, and again in the next
/// launch, which counts with the same counters.
#[test]
#[ignore = "needs a GPU"]
fn sums_of_columns_have_the_same_bits_on_every_run() {
    let gpu = device();
    for dtype in [DType::F32, DType::BF16] {
        let [x, other] = [[3000, 384], [1000, 1030]].map(|s| normal(&s, 8, dtype).to_device(&gpu));
        let [x, other] = [x.unwrap(), other.unwrap()];
        let first = linear::backward_bias(&x).unwrap().to_vec::<f32>().unwrap();
        for _ in 0..3 {
            linear::backward_bias(&other).unwrap();
            assert_eq!(linear::backward_bias(&x).unwrap().to_vec::<f32>().unwrap(), first);
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn the_place_of_the_greatest_is_that_of_the_host() {
    let gpu = device();
    for (rows, cols) in [(1, 1), (3, 7), (9, 33), (130, 384), (257, 2), (1, 1000)] {
        // Few values, so that many are equal.
        let x = normal(&[rows, cols], 7, DType::F32).to_vec::<f32>().unwrap();
        let x = x.into_iter().map(|v| (2.0 * v).round()).collect();
        let x = Tensor::from_vec(x, &[rows, cols]).unwrap();
        let want = row_argmax(&x).unwrap().to_vec::<u32>().unwrap();
        for x in placements(&x, &gpu) {
            let places = row_argmax(&x).unwrap();
            assert_eq!(places.device(), gpu);
            assert_eq!(places.to_vec::<u32>().unwrap(), want, "{rows} x {cols}");
        }
    }
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let x = vec![-inf, -inf, -inf, 1.0, nan, inf, inf, nan, nan, -inf, 5.0, 5.0];
    let x = Tensor::from_vec(x, &[4, 3]).unwrap().to_device(&gpu).unwrap();
    assert_eq!(row_argmax(&x).unwrap().to_vec::<u32>().unwrap(), [0, 1, 1, 1]);
}
