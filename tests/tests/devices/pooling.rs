//! `pooling` on a GPU.

use tensor::ops::pooling;
use tensor::{CuSeqLens, DType, Pooling};
use tests::gpu::{assert_close, device, normal, odd_view, wide};

const WIDTHS: [usize; 7] = [1, 7, 33, 128, 384, 1000, 4096];

const LENS: [usize; 6] = [1, 3, 130, 1, 33, 8];

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition() {
    let gpu = device();
    let batch = CuSeqLens::from_lens(&LENS).unwrap();
    for (seed, h) in (0..).zip(WIDTHS) {
        for (how, dtype) in [
            (Pooling::First, DType::F32),
            (Pooling::Mean, DType::F32),
            (Pooling::First, DType::BF16),
            (Pooling::Mean, DType::BF16),
        ] {
            let what = format!("{how:?} {dtype} of {h} columns");
            let x = normal(&[batch.total(), h], seed, dtype);
            let want = pooling::forward(how, &wide(&x), &batch).unwrap().to_f64_vec().unwrap();
            for there in [x.to_device(&gpu).unwrap(), odd_view(&x, &gpu)] {
                let y = pooling::forward(how, &there, &batch).unwrap();
                assert_close(&what, &y, &want);
            }
            let dy = normal(&[batch.batch(), h], 50 + seed, dtype);
            let want = pooling::backward(how, &wide(&dy), &batch).unwrap().to_f64_vec().unwrap();
            for there in [dy.to_device(&gpu).unwrap(), odd_view(&dy, &gpu)] {
                let dx = pooling::backward(how, &there, &batch).unwrap();
                assert_close(&format!("backward of {what}"), &dx, &want);
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn nan_stays_in_its_sequence() {
    let gpu = device();
    let batch = CuSeqLens::from_lens(&[2, 3]).unwrap();
    let x = vec![1.0, f32::NAN, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, f32::INFINITY, 1.0];
    let x = tensor::Tensor::from_vec(x, &[5, 2]).unwrap().to_device(&gpu).unwrap();
    let y = pooling::forward(Pooling::Mean, &x, &batch).unwrap().to_vec::<f32>().unwrap();
    assert_eq!((y[0], y[2], y[3]), (2.0, f32::INFINITY, 5.0));
    assert!(y[1].is_nan());
}
