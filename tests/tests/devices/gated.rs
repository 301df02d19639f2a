//! `gated` on a GPU.

use tensor::ops::gated::{backward, backward_and_value, forward};
use tensor::{Activation, DType, Tensor};
use tests::gpu::{assert_close, device, normal, placements, wide};

/// M and F: rows of whole packs of 16 bytes, and others; one row, and more than the threads of a grid take at once.
const SHAPES: [[usize; 2]; 8] =
    [[1, 1], [5, 7], [33, 12], [7, 64], [3, 1152], [2, 1000], [40, 384], [9001, 8]];

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition() {
    let gpu = device();
    for (f, dtype) in Activation::ALL.into_iter().flat_map(|f| [(f, DType::F32), (f, DType::BF16)])
    {
        for (seed, [rows, cols]) in (0..).zip(SHAPES) {
            let what = format!("{} {dtype} [{rows}, 2 x {cols}]", f.name());
            let z = normal(&[rows, 2 * cols], seed, DType::F32).mul(&Tensor::scalar(3.0)).unwrap();
            let z = z.to_dtype(dtype).unwrap();
            let dy = normal(&[rows, cols], 100 + seed, dtype);
            let want = forward(f, &wide(&z)).unwrap().to_f64_vec().unwrap();
            let want_dz = backward(f, &wide(&z), &wide(&dy)).unwrap().to_f64_vec().unwrap();
            for (z, dy) in placements(&z, &gpu).iter().zip(placements(&dy, &gpu)) {
                assert_close(&what, &forward(f, z).unwrap(), &want);
                assert_close(&format!("{what} dz"), &backward(f, z, &dy).unwrap(), &want_dz);
                let (dz, y) = backward_and_value(f, z, &dy).unwrap();
                assert_close(&format!("{what} dz of both"), &dz, &want_dz);
                assert_close(&format!("{what} y of both"), &y, &want);
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn limits_and_nan() {
    let gpu = device();
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let a = [-inf, inf, nan, -0.0, 1e30, -1e30, 20.0, -20.0, 14.5, 1.0, 0.0];
    let g = [2.0, -1.0, 1.0, 1e30, 1e30, 1e30, -3.0, 1e30, 1.0, nan, 5.0];
    let z = Tensor::from_vec([a, g].concat(), &[1, 22]).unwrap();
    let dy = Tensor::full(1.0, &[1, 11]);
    for f in Activation::ALL {
        // Beyond f32 is infinite.
        let narrow = |x: Tensor| x.to_dtype(DType::F32).unwrap().to_f64_vec().unwrap();
        let want = narrow(forward(f, &wide(&z)).unwrap());
        let want_dz = narrow(backward(f, &wide(&z), &wide(&dy)).unwrap());
        let (z, dy) = (z.to_device(&gpu).unwrap(), dy.to_device(&gpu).unwrap());
        let (dz, y) = backward_and_value(f, &z, &dy).unwrap();
        for (got, want) in [(y, want), (dz, want_dz)] {
            for (i, (got, want)) in got.to_f64_vec().unwrap().into_iter().zip(want).enumerate() {
                let same = got == want || got.is_nan() && want.is_nan();
                let near = want.is_finite() && (got - want).abs() <= 1e-5 * (1.0 + want.abs());
                assert!(same || near, "{} {i}: got {got}, expected {want}", f.name());
            }
        }
    }
}
