//! `elementwise` on a GPU.

use kernels::elementwise::{Binary, Unary};
use tensor::ops::elementwise::{add_assign, binary, scale, unary, unary_backward};
use tensor::{DType, Error, Tensor};
use tests::gpu::{SIZES, assert_close, device, normal, odd_view, placements, wide};

#[test]
#[ignore = "needs a GPU"]
fn binary_equals_the_definition() {
    let gpu = device();
    for op in Binary::ALL {
        for (seed, n) in (0..).zip(SIZES) {
            let (a, b) = (normal(&[n], seed, DType::F32), normal(&[n], 100 + seed, DType::F32));
            let want = binary(op, &wide(&a), &wide(&b)).unwrap().to_f64_vec().unwrap();
            for (a, b) in placements(&a, &gpu).iter().zip(placements(&b, &gpu)) {
                assert_close(&format!("{op:?} [{n}]"), &binary(op, a, &b).unwrap(), &want);
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn shapes_are_broadcast() {
    let gpu = device();
    // The first are rows of a matrix, which have a kernel of their own.
    let shapes: [[&[usize]; 2]; 9] = [
        [&[3, 7], &[7]],
        [&[1, 1], &[1]],
        [&[500, 2], &[2]],
        [&[2, 130, 384], &[384]],
        [&[300, 1000], &[1000]],
        [&[3, 1], &[1, 7]],
        [&[4, 3], &[]],
        [&[2, 1, 5], &[3, 5]],
        [&[0, 4], &[4]],
    ];
    for (op, [left, right]) in Binary::ALL.into_iter().flat_map(|op| shapes.map(|s| (op, s))) {
        let what = format!("{op:?} {left:?} {right:?}");
        let (a, b) = (normal(left, 1, DType::F32), normal(right, 2, DType::F32));
        let want = binary(op, &wide(&a), &wide(&b)).unwrap();
        for (a, b) in placements(&a, &gpu).iter().zip(placements(&b, &gpu)) {
            let got = binary(op, a, &b).unwrap();
            assert_eq!(got.shape(), want.shape(), "{what}");
            assert_close(&what, &got, &want.to_f64_vec().unwrap());
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn unary_equals_the_definition() {
    let gpu = device();
    for f in Unary::ALL {
        for (seed, n) in (0..).zip(SIZES) {
            let what = format!("{f:?} [{n}]");
            let (x, dy) = (normal(&[n], seed, DType::F32), normal(&[n], 100 + seed, DType::F32));
            let want = unary(f, &wide(&x)).unwrap();
            let want_dx = unary_backward(f, &wide(&x), &want, &wide(&dy)).unwrap();
            for (x, dy) in placements(&x, &gpu).iter().zip(placements(&dy, &gpu)) {
                let y = unary(f, x).unwrap();
                assert_close(&what, &y, &want.to_f64_vec().unwrap());
                let dx = unary_backward(f, x, &y, &dy).unwrap();
                assert_close(&format!("{what} dx"), &dx, &want_dx.to_f64_vec().unwrap());
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn infinities_and_nan_go_through() {
    let gpu = device();
    let inf = f32::INFINITY;
    let x = Tensor::from_vec(vec![inf, -inf, f32::NAN, 0.0, -0.0, 1.0, -1.0], &[7]).unwrap();
    let dy = Tensor::full(1.0, &[7]);
    let (there, dy_there) = (x.to_device(&gpu).unwrap(), dy.to_device(&gpu).unwrap());
    for f in
        [Unary::Neg, Unary::Exp, Unary::Ln, Unary::Sqrt, Unary::Abs, Unary::Square, Unary::Recip]
    {
        let (y, want) = (unary(f, &there).unwrap(), unary(f, &wide(&x)).unwrap());
        assert_close(&format!("{f:?}"), &y, &want.to_f64_vec().unwrap());
    }
    let dx = unary_backward(Unary::Abs, &there, &there, &dy_there).unwrap().to_f64_vec().unwrap();
    assert_eq!(dx, [1.0, -1.0, 0.0, 0.0, 0.0, 1.0, -1.0]);
    for op in Binary::ALL {
        let want = binary(op, &wide(&x), &wide(&dy)).unwrap().to_f64_vec().unwrap();
        assert_close(&format!("{op:?}"), &binary(op, &there, &dy_there).unwrap(), &want);
    }
}

#[test]
#[ignore = "needs a GPU"]
fn scaling_equals_the_definition() {
    let gpu = device();
    for n in SIZES {
        let x = normal(&[n], 5, DType::F32);
        let want = scale(-0.3, &wide(&x)).unwrap().to_f64_vec().unwrap();
        for x in placements(&x, &gpu) {
            assert_close(&format!("scale [{n}]"), &scale(-0.3, &x).unwrap(), &want);
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn adding_in_place_leaves_shared_values() {
    let gpu = device();
    for (n, dtype) in SIZES.into_iter().flat_map(|n| [(n, DType::F32), (n, DType::BF16)]) {
        let what = format!("add_assign {dtype} [{n}]");
        let (y, x) = (normal(&[n], 1, dtype), normal(&[n], 2, dtype));
        let want = binary(Binary::Add, &wide(&y), &wide(&x)).unwrap().to_f64_vec().unwrap();
        for x in placements(&x, &gpu) {
            let shared = y.to_device(&gpu).unwrap();
            let mut sum = shared.clone();
            add_assign(&mut sum, &x).unwrap();
            assert_close(&what, &sum, &want);
            assert_eq!(shared.to_f64_vec().unwrap(), y.to_f64_vec().unwrap(), "{what}");
            // Now alone, so in place.
            let mut alone = y.to_device(&gpu).unwrap();
            add_assign(&mut alone, &x).unwrap();
            assert_close(&what, &alone, &want);
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn adding_to_a_view_leaves_the_rest() {
    let gpu = device();
    let whole = Tensor::full(1.0, &[5, 7]).to_device(&gpu).unwrap();
    let mut column = whole.narrow(1, 2, 1).unwrap();
    let itself = column.clone();
    add_assign(&mut column, &itself).unwrap();
    assert_eq!(column.to_f64_vec().unwrap(), [2.0; 5]);
    assert_eq!(whole.to_f64_vec().unwrap(), [1.0; 35]);
}

#[test]
#[ignore = "needs a GPU"]
fn adding_refuses_what_does_not_fit() {
    let gpu = device();
    let mut y = Tensor::zeros(&[4]).to_device(&gpu).unwrap();
    let host = Tensor::zeros(&[4]);
    assert!(matches!(add_assign(&mut y, &host), Err(Error::Device { .. })));
    let other = host.to_dtype(DType::BF16).unwrap().to_device(&gpu).unwrap();
    assert!(matches!(add_assign(&mut y, &other), Err(Error::DType { .. })));
    let longer = Tensor::zeros(&[5]).to_device(&gpu).unwrap();
    assert!(matches!(add_assign(&mut y, &longer), Err(Error::Shapes { .. })));
}

#[test]
#[ignore = "needs a GPU"]
fn conversions_round_as_on_the_host() {
    let gpu = device();
    let bits = |x: &Tensor| -> Vec<u64> {
        let values = x.to_f64_vec().unwrap().into_iter();
        // NaN may have any bits.
        values.map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() }).collect()
    };
    let special =
        vec![f32::INFINITY, -f32::INFINITY, f32::NAN, -0.0, 3.4e38, 1e-40, 1.0 + 1.0 / 256.0];
    let mut tensors = vec![Tensor::from_vec(special, &[7]).unwrap()];
    tensors.extend(SIZES.map(|n| normal(&[n], 3, DType::F32)));
    for x in tensors {
        let want = x.to_dtype(DType::BF16).unwrap();
        for there in placements(&x, &gpu) {
            let narrow = there.to_dtype(DType::BF16).unwrap();
            assert_eq!(bits(&narrow), bits(&want), "{:?}", x.shape());
            let back = odd_view(&want, &gpu).to_dtype(DType::F32).unwrap();
            assert_eq!(bits(&back), bits(&want), "{:?}", x.shape());
            assert_eq!(bits(&narrow.to_dtype(DType::F32).unwrap()), bits(&want));
        }
    }
}
