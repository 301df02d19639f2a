//! `softmax` on a GPU.

use tensor::DType;
use tensor::ops::softmax;
use tests::gpu::{assert_close, device, normal, placements, wide};

/// Rows of awkward lengths, alone and many: to 256 columns a warp takes one, beyond a block.
const SIZES: [[usize; 2]; 9] =
    [[1, 1], [3, 7], [5, 33], [2, 256], [9, 257], [130, 384], [1, 1000], [3001, 2], [100, 1001]];

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition() {
    let gpu = device();
    for (seed, shape) in (0..).zip(SIZES) {
        let (x, dy) = (normal(&shape, seed, DType::F32), normal(&shape, 100 + seed, DType::F32));
        let want = softmax::forward(&wide(&x)).unwrap();
        let want_dx = softmax::backward(&want, &wide(&dy)).unwrap();
        for (x, dy) in placements(&x, &gpu).iter().zip(placements(&dy, &gpu)) {
            let y = softmax::forward(x).unwrap();
            assert_close(&format!("softmax {shape:?}"), &y, &want.to_f64_vec().unwrap());
            let dx = softmax::backward(&y, &dy).unwrap();
            assert_close(&format!("its backward {shape:?}"), &dx, &want_dx.to_f64_vec().unwrap());
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn huge_and_infinite_values_stay_in_their_row() {
    let gpu = device();
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let rows = vec![1e30, 1e30, -inf, 0.0, -inf, -inf, nan, 0.0, 1.0];
    let x = tensor::Tensor::from_vec(rows, &[3, 3]).unwrap();
    let y = softmax::forward(&x.to_device(&gpu).unwrap()).unwrap();
    let want = softmax::forward(&wide(&x)).unwrap();
    assert_close("softmax", &y, &want.to_f64_vec().unwrap());
}
