//! `copy` and `concat` on a GPU.

use tensor::ops::concat;
use tensor::{DType, Device, Error, Result, Tensor};
use tests::gpu::{device, normal};

/// What GPUs hold.
const DTYPES: [DType; 3] = [DType::F32, DType::BF16, DType::U32];

/// Whole numbers, which every dtype holds.
fn numbers(shape: &[usize], dtype: DType) -> Tensor {
    let n = shape.iter().product();
    let values = (0..n).map(|i| (i % 251) as f32).collect();
    Tensor::from_vec(values, shape).unwrap().to_dtype(dtype).unwrap()
}

/// The view made on the GPU has the elements of the view made on the host.
fn check(what: &str, x: &Tensor, gpu: &Device, view: impl Fn(&Tensor) -> Result<Tensor>) {
    let want = view(x).unwrap();
    let got = view(&x.to_device(gpu).unwrap()).unwrap().contiguous().unwrap();
    assert_eq!(got.device(), *gpu, "{what}");
    assert_eq!(got.shape(), want.shape(), "{what}");
    assert_eq!(got.dtype(), want.dtype(), "{what}");
    assert_eq!(got.to_f64_vec().unwrap(), want.to_f64_vec().unwrap(), "{what} {:?}", x.shape());
}

#[test]
#[ignore = "needs a GPU"]
fn views_are_copied_in_row_major_order() {
    let gpu = device();
    for (dtype, n) in DTYPES.into_iter().flat_map(|d| [1, 7, 15, 33, 130].map(|n| (d, n))) {
        let x = numbers(&[3, n, 5], dtype);
        check("transposed", &x, &gpu, |x| x.transpose(0, 1));
        check("transposed twice", &x, &gpu, |x| x.transpose(0, 2)?.transpose(1, 2));
        check("narrowed", &x, &gpu, |x| x.narrow(2, 1, 3));
        check("narrowed inside", &x, &gpu, |x| x.narrow(1, n / 2, n - n / 2)?.narrow(0, 1, 2));
        check("narrowed and transposed", &x, &gpu, |x| x.narrow(2, 3, 1)?.transpose(0, 1));
        check("broadcast", &x, &gpu, |x| x.unsqueeze(0)?.broadcast_to(&[4, 3, n, 5]));
        check("broadcast inside", &x, &gpu, |x| {
            x.narrow(1, 0, 1)?.broadcast_to(&[3, 6, 5])?.transpose(0, 1)
        });
    }
}

#[test]
#[ignore = "needs a GPU"]
fn large_views_take_several_rounds() {
    let gpu = device();
    for dtype in DTYPES {
        let x = numbers(&[384, 301], dtype);
        check("a matrix", &x, &gpu, Tensor::t);
        check("its columns", &x, &gpu, |x| x.narrow(1, 7, 200));
    }
}

#[test]
#[ignore = "needs a GPU"]
fn empty_views_are_empty() {
    let gpu = device();
    for dtype in DTYPES {
        let x = numbers(&[4, 6], dtype);
        check("no columns", &x, &gpu, |x| x.narrow(1, 3, 0));
        check("no rows", &x, &gpu, |x| x.t()?.narrow(0, 6, 0));
        check("none from the start", &numbers(&[0, 3], dtype), &gpu, Tensor::t);
    }
}

#[test]
#[ignore = "needs a GPU"]
fn tensors_join_along_every_axis() {
    let gpu = device();
    for dtype in [DType::F32, DType::U32] {
        for (axis, lengths) in (0..3).flat_map(|axis| [[1, 7, 15], [33, 0, 130]].map(|l| (axis, l)))
        {
            let parts = lengths.map(|n| {
                let mut shape = [5, 4, 3];
                shape[axis] = n;
                numbers(&shape, dtype)
            });
            let there = parts.each_ref().map(|part| part.to_device(&gpu).unwrap());
            let want = concat::forward(&parts.each_ref(), axis).unwrap();
            let got = concat::forward(&there.each_ref(), axis).unwrap();
            assert_eq!((got.device(), got.shape()), (gpu.clone(), want.shape()));
            assert_eq!(got.to_f64_vec().unwrap(), want.to_f64_vec().unwrap(), "axis {axis}");
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn views_join_too() {
    let gpu = device();
    let x = normal(&[300, 384], 1, DType::F32);
    let join = |x: &Tensor| {
        let (odd, turned) = (x.narrow(1, 1, 201)?, x.narrow(0, 0, 300)?.narrow(1, 0, 300)?.t()?);
        concat::forward(&[&odd, &turned], 1)
    };
    let got = join(&x.to_device(&gpu).unwrap()).unwrap();
    assert_eq!(got.to_f64_vec().unwrap(), join(&x).unwrap().to_f64_vec().unwrap());
}

#[test]
#[ignore = "needs a GPU"]
fn parts_on_two_devices_are_refused() {
    let gpu = device();
    let x = Tensor::zeros(&[2, 2]);
    let refused = concat::forward(&[&x.to_device(&gpu).unwrap(), &x], 0);
    assert!(matches!(refused, Err(Error::Device { .. })), "{refused:?}");
}
