//! A GPU for the tests of CUDA, a real or an emulated one, and comparisons with f64.

use tensor::ops::concat;
use tensor::{DType, Device, Tensor};

use crate::compare::assert_near;
pub use crate::compare::{relative_distance, wide};

/// The GPU of this process. Tests that call this are `#[ignore]`d where there may be none.
///
/// # Panics
/// When there is none.
pub fn device() -> Device {
    Device::cuda(0).unwrap_or_else(|error| panic!("a GPU is needed: {error}"))
}

/// What a result on a GPU may differ from the f64 definition, as a [`relative_distance`].
pub fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::BF16 => 1e-2,
        _ => 1e-5,
    }
}

/// Fails unless `got` is as near to `want` as [`tolerance`] says.
///
/// # Panics
/// When it is not, with the place of the greatest difference.
pub fn assert_close(what: &str, got: &Tensor, want: &[f64]) {
    assert_ne!(got.device(), Device::Cpu, "{what}: the result left the GPU");
    let values = got.to_f64_vec().expect("the GPU works");
    assert_near(what, &values, want, tolerance(got.dtype()));
}

/// Standard normal values of this dtype on the host: the same for the same seed.
pub fn normal(shape: &[usize], seed: u64, dtype: DType) -> Tensor {
    let x = Tensor::randn(shape, &mut tensor::philox::Rng::new(seed, 0));
    x.to_dtype(dtype).expect("on the host")
}

/// Numbers of elements: one, around warps and packs of 16 bytes, rows of models, and more than one block's.
pub const SIZES: [usize; 9] = [1, 7, 15, 17, 33, 130, 384, 1000, 100_003];

/// The same values on the GPU, where no access of more than one element is aligned: a view that begins behind the
/// first element of its array.
pub fn odd_view(x: &Tensor, gpu: &Device) -> Tensor {
    let flat = x.reshape(&[x.len()]).expect("as many elements");
    let flat = flat.to_dtype(DType::F32).expect("on the host");
    let longer = concat::forward(&[&Tensor::zeros(&[1]), &flat], 0).expect("two vectors");
    let there =
        longer.to_dtype(x.dtype()).expect("on the host").to_device(gpu).expect("there is room");
    let view = there.narrow(0, 1, x.len()).and_then(|view| view.reshape(x.shape()));
    view.expect("one element shorter")
}

/// On the GPU aligned, and not.
pub fn placements(x: &Tensor, gpu: &Device) -> [Tensor; 2] {
    [x.to_device(gpu).expect("there is room"), odd_view(x, gpu)]
}
