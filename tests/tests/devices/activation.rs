//! `activation` on a GPU.

use tensor::ops::activation::{backward, backward_and_value, forward};
use tensor::{Activation, DType, Tensor};
use tests::gpu::{SIZES, assert_close, device, normal, placements, wide};

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition() {
    let gpu = device();
    for (f, dtype) in Activation::ALL.into_iter().flat_map(|f| [(f, DType::F32), (f, DType::BF16)])
    {
        for (seed, n) in (0..).zip(SIZES) {
            let what = format!("{} {dtype} [{n}]", f.name());
            let x = normal(&[n], seed, DType::F32).mul(&Tensor::scalar(3.0)).unwrap();
            let (x, dy) = (x.to_dtype(dtype).unwrap(), normal(&[n], 100 + seed, dtype));
            let want = forward(f, &wide(&x)).unwrap().to_f64_vec().unwrap();
            let want_dx = backward(f, &wide(&x), &wide(&dy)).unwrap().to_f64_vec().unwrap();
            for (x, dy) in placements(&x, &gpu).iter().zip(placements(&dy, &gpu)) {
                assert_close(&what, &forward(f, x).unwrap(), &want);
                assert_close(&format!("{what} dx"), &backward(f, x, &dy).unwrap(), &want_dx);
                let (dx, y) = backward_and_value(f, x, &dy).unwrap();
                assert_close(&format!("{what} dx of both"), &dx, &want_dx);
                assert_close(&format!("{what} y of both"), &y, &want);
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn gelu_keeps_its_digits_in_both_tails() {
    let gpu = device();
    let x: Vec<f32> = (-1250..=1250).map(|i| i as f32 / 100.0).collect();
    let x = Tensor::from_vec(x, &[2501]).unwrap();
    let ones = Tensor::full(1.0, &[2501]);
    let there = x.to_device(&gpu).unwrap();
    let y = forward(Activation::Gelu, &there).unwrap();
    let dx = backward(Activation::Gelu, &there, &ones.to_device(&gpu).unwrap()).unwrap();
    let want = forward(Activation::Gelu, &wide(&x)).unwrap().to_f64_vec().unwrap();
    let want_dx =
        backward(Activation::Gelu, &wide(&x), &wide(&ones)).unwrap().to_f64_vec().unwrap();
    let far = |got: &Tensor, want: &[f64]| {
        let got = got.to_f64_vec().unwrap();
        let relative =
            got.iter().zip(want).filter(|(g, w)| g != w).map(|(g, w)| ((g - w) / w).abs());
        relative.fold(0.0, f64::max)
    };
    assert!(far(&y, &want) < 1e-6, "{:e}", far(&y, &want));
    // To -7; the derivative crosses 0 near -0.75, where it has no digits to keep.
    let tail = 550;
    let got = dx.narrow(0, 0, tail).unwrap();
    assert!(far(&got, &want_dx[..tail]) < 2e-6, "{:e}", far(&got, &want_dx[..tail]));
}

#[test]
#[ignore = "needs a GPU"]
fn limits_and_nan() {
    let gpu = device();
    let inf = f32::INFINITY;
    let x = vec![-inf, inf, f32::NAN, -0.0, 0.0, 1e30, -1e30, 20.0, -20.0, 14.5, -14.5];
    let x = Tensor::from_vec(x, &[11]).unwrap();
    let dy = Tensor::full(1.0, &[11]);
    for f in Activation::ALL {
        let want = forward(f, &wide(&x)).unwrap().to_f64_vec().unwrap();
        let want_dx = backward(f, &wide(&x), &wide(&dy)).unwrap().to_f64_vec().unwrap();
        let (x, dy) = (x.to_device(&gpu).unwrap(), dy.to_device(&gpu).unwrap());
        let (dx, y) = backward_and_value(f, &x, &dy).unwrap();
        assert_close(f.name(), &y, &want);
        assert_close(f.name(), &dx, &want_dx);
        let limit = y.to_f64_vec().unwrap()[0];
        assert_eq!(limit, want[0], "{} of -inf", f.name());
    }
}
