//! `residual` on a GPU.

use tensor::ops::residual::{backward, forward};
use tensor::philox::Key;
use tensor::{DType, Device, Dropout, Tensor};
use tests::gpu::{assert_close, device, normal, odd_view, wide};

/// Rows of awkward lengths, alone and many; of whole fours and not.
const SIZES: [[usize; 2]; 9] =
    [[1, 1], [3, 7], [2, 15], [33, 17], [5, 36], [130, 384], [1, 1000], [100, 1001], [4000, 2]];

fn dropout(p: f32) -> Dropout {
    Dropout { p, key: Key { seed: 0x0123_4567_89ab_cdef, step: 3, site: 5 } }
}

/// Both directions of an update of this dtype on the GPU, of operands as `upload` puts them there, against the
/// definition.
fn check(shape: [usize; 2], dtype: DType, p: Option<f32>, upload: impl Fn(&Tensor) -> Tensor) {
    let (x, u) = (normal(&shape, 1, DType::F32), normal(&shape, 2, dtype));
    let what = format!("residual {dtype} {shape:?} {p:?}");
    let dropout = p.map(dropout);
    let s = forward(&upload(&x), &upload(&u), dropout).unwrap();
    assert_eq!(s.dtype(), DType::F32, "{what}");
    let want = forward(&wide(&x), &wide(&u), dropout).unwrap();
    assert_close(&format!("{what}: s"), &s, &want.to_f64_vec().unwrap());
    let du = backward(&upload(&x), dtype, dropout).unwrap();
    assert_eq!(du.dtype(), dtype, "{what}");
    let want = backward(&wide(&x), DType::F64, dropout).unwrap();
    assert_close(&format!("{what}: du"), &du, &want.to_f64_vec().unwrap());
}

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition() {
    let gpu = device();
    for dtype in [DType::F32, DType::BF16] {
        for (shape, p) in
            SIZES.into_iter().flat_map(|s| [None, Some(0.0), Some(0.1)].map(|p| (s, p)))
        {
            check(shape, dtype, p, |t| t.to_device(&gpu).unwrap());
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn views_may_begin_anywhere() {
    let gpu = device();
    for dtype in [DType::F32, DType::BF16] {
        for shape in [[3, 8], [33, 384]] {
            check(shape, dtype, Some(0.1), |t| odd_view(t, &gpu));
            check(shape, dtype, None, |t| odd_view(t, &gpu));
        }
    }
}

/// The factors alone: with x = 0, s is m u. And du, which another kernel makes, has the same.
#[test]
#[ignore = "needs a GPU"]
fn the_mask_is_that_of_the_host() {
    let gpu = device();
    for shape in [[5, 1], [33, 33], [3, 384]] {
        let (x, u) = (Tensor::zeros(&shape), normal(&shape, 40, DType::F32));
        let both = |device: &Device| {
            let [x, u] = [&x, &u].map(|t| t.to_device(device).unwrap());
            let s = forward(&x, &u, Some(dropout(0.3))).unwrap();
            let du = backward(&u, DType::F32, Some(dropout(0.3))).unwrap();
            [s, du].map(|t| t.to_vec::<f32>().unwrap())
        };
        let ([s, du], [want, want_du]) = (both(&gpu), both(&Device::Cpu));
        assert_eq!(s, want, "{shape:?}");
        assert_eq!(du, want_du, "{shape:?}");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn no_rows_are_no_rows() {
    let gpu = device();
    let empty = Tensor::zeros(&[0, 8]).to_device(&gpu).unwrap();
    assert_eq!(forward(&empty, &empty, Some(dropout(0.1))).unwrap().shape(), [0, 8]);
    assert_eq!(backward(&empty, DType::BF16, Some(dropout(0.1))).unwrap().shape(), [0, 8]);
}
