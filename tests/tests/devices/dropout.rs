//! `dropout` on a GPU.

use kernels::dropout::Dropout;
use tensor::ops::dropout::{backward, forward};
use tensor::philox::Key;
use tensor::{DType, Tensor};
use tests::gpu::{device, normal, placements};

/// Rows of awkward lengths, alone and many.
const SIZES: [[usize; 2]; 9] =
    [[1, 1], [3, 7], [2, 15], [33, 17], [5, 33], [130, 384], [1, 1000], [100, 1001], [4000, 2]];

fn dropout(p: f32) -> Dropout {
    Dropout { p, key: Key { seed: 0x0123_4567_89ab_cdef, step: 3, site: 5 } }
}

#[test]
#[ignore = "needs a GPU"]
fn drops_what_the_host_drops_bit_for_bit() {
    let gpu = device();
    for (shape, p) in SIZES.into_iter().flat_map(|shape| [0.0, 0.1, 0.5].map(|p| (shape, p))) {
        let x = normal(&shape, 1, DType::F32);
        let bits = |y: Tensor| y.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
        let want: Vec<u32> = bits(forward(dropout(p), &x).unwrap());
        for x in placements(&x, &gpu) {
            let (y, dx) = (forward(dropout(p), &x).unwrap(), backward(dropout(p), &x).unwrap());
            assert_eq!(y.device(), gpu);
            assert_eq!(bits(y), want, "{shape:?}, p = {p}");
            assert_eq!(bits(dx), want, "backward {shape:?}, p = {p}");
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn what_is_dropped_is_multiplied_by_zero() {
    let gpu = device();
    let x = Tensor::full(f32::INFINITY, &[3, 50]);
    let want = forward(dropout(0.5), &x).unwrap().to_vec::<f32>().unwrap();
    let y = forward(dropout(0.5), &x.to_device(&gpu).unwrap()).unwrap().to_vec::<f32>().unwrap();
    assert!(y.iter().any(|v| v.is_nan()) && y.iter().any(|v| v.is_infinite()));
    assert!(y.iter().zip(&want).all(|(y, w)| y.is_nan() == w.is_nan()));
}

#[test]
#[ignore = "needs a GPU"]
fn no_rows_are_no_rows() {
    let gpu = device();
    let empty = Tensor::zeros(&[0, 8]).to_device(&gpu).unwrap();
    assert_eq!(forward(dropout(0.1), &empty).unwrap().shape(), [0, 8]);
}
