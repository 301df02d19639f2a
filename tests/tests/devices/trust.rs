//! What kernels read without a check of their own is checked before, in calls that are safe to make.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kernels::copy::cuda::row_major;
use kernels::cuda::{Array, Device, Offsets};
use kernels::matmul::cuda::{Operand, batched};
use kernels::rotary::cuda::{Places, Rotary, split};
use tests::gpu;

fn device() -> Device {
    let tensor::Device::Cuda(gpu) = gpu::device() else { unreachable!("not the CPU") };
    gpu
}

fn is_refused<T>(call: impl FnOnce() -> kernels::cuda::Result<T>) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}

#[test]
#[ignore = "needs a GPU"]
fn offsets_ascend_from_zero() {
    let gpu = device();
    for offsets in [&[][..], &[1, 2], &[0, 3, 2]] {
        assert!(is_refused(|| Offsets::upload(&gpu, offsets)), "{offsets:?}");
    }
    let offsets = Offsets::upload(&gpu, &[0, 3, 7]).unwrap();
    assert_eq!((offsets.sequences(), offsets.tokens()), (2, 7));
}

#[test]
#[ignore = "needs a GPU"]
fn places_are_rows_of_the_table() {
    let gpu = device();
    let [heads, head_dim] = [1, 2];
    let places = Places::upload(&gpu, [1, 3].into_iter()).unwrap();
    let qkv = Array::from_host(&gpu, &[1f32; 4 * 3 * 2]).unwrap();
    for (rows, fits) in [(2, false), (3, true), (4, true)] {
        let table = Array::from_host(&gpu, &vec![0f32; rows * head_dim]).unwrap();
        let rotary = Rotary { table: table.slice(), places: &places, heads, head_dim };
        assert_eq!(is_refused(|| split(rotary, qkv.slice())), !fits, "{rows} rows");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn strides_that_wrap_around_leave_the_array() {
    let gpu = device();
    let x = Array::from_host(&gpu, &[1f32; 64]).unwrap();
    // 2 * 2^63 and 2^63 + 2^63 are 0 in 64 bits.
    let far = 1usize << 63;
    for (shape, strides) in [([3, 2], [far, 1]), ([2, 2], [far, far]), ([2, 1], [64, 1])] {
        assert!(is_refused(|| row_major(x.slice(), 0, &shape, &strides)), "{strides:?}");
        let a = Operand { values: x.slice(), strides, lead: &[] };
        let b = Operand { values: x.slice(), strides: [1, 1], lead: &[] };
        let [m, k] = shape;
        assert!(is_refused(|| batched(a, b, &[], [m, 1, k])), "{strides:?}");
    }
    assert!(is_refused(|| row_major(x.slice(), usize::MAX, &[2], &[1])));
}
