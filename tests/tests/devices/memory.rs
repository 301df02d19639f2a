//! `memory` on a GPU.

use std::sync::{Mutex, PoisonError};

use kernels::cuda::{self, Array};
use tensor::{DType, Device, Error, Tensor};
use tests::gpu::{device, normal};

/// Held by tests that look at the pool, which a full GPU empties.
static POOL: Mutex<()> = Mutex::new(());

fn open(gpu: &Device) -> &cuda::Device {
    match gpu {
        Device::Cuda(gpu) => gpu,
        Device::Cpu => unreachable!("the tests' device is a GPU"),
    }
}

#[test]
#[ignore = "needs a GPU"]
fn values_come_back_as_they_went() {
    let gpu = device();
    // The last is sent in several pieces, none of them full but the first ones.
    for n in [0, 1, 7, 1000, (9 << 20) / 4 + 3] {
        for dtype in [DType::F32, DType::BF16, DType::U32] {
            let values = (0..n).map(|i| (i % 251) as f32 + (i % 13) as f32 / 16.0).collect();
            let x = Tensor::from_vec(values, &[n]).unwrap().to_dtype(dtype).unwrap();
            let there = x.to_device(&gpu).unwrap();
            assert_eq!((there.device(), there.dtype()), (gpu.clone(), dtype));
            let back = there.to_device(&Device::Cpu).unwrap();
            assert_eq!((back.device(), back.dtype()), (Device::Cpu, dtype));
            // A message with millions of values would help no one.
            assert!(back.to_f64_vec().unwrap() == x.to_f64_vec().unwrap(), "{dtype} [{n}]");
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn views_come_back_in_row_major_order() {
    let gpu = device();
    let x = normal(&[5, 7], 1, DType::F32);
    let want = x.t().unwrap().to_vec::<f32>().unwrap();
    assert_eq!(x.t().unwrap().to_device(&gpu).unwrap().to_vec::<f32>().unwrap(), want);
    assert_eq!(x.to_device(&gpu).unwrap().t().unwrap().to_vec::<f32>().unwrap(), want);
}

#[test]
#[ignore = "needs a GPU"]
fn zeros_are_zeros_also_in_used_memory() {
    let gpu = device();
    drop(Tensor::full(1.0, &[5000]).to_device(&gpu).unwrap());
    assert_eq!(Tensor::zeros_on(&[5000], &gpu).unwrap().to_vec::<f32>().unwrap(), [0.0; 5000]);
}

#[test]
#[ignore = "needs a GPU"]
fn f64_stays_on_the_host() {
    let gpu = device();
    let wide = normal(&[3], 1, DType::F64);
    let message = wide.to_device(&gpu).unwrap_err().to_string();
    assert_eq!(message, "to_device: expected f32, bf16 or u32 for a GPU, got f64");
}

#[test]
#[ignore = "needs a GPU"]
fn operands_on_two_devices_are_refused() {
    let gpu = device();
    let (here, there) = (Tensor::zeros(&[3]), Tensor::zeros(&[3]).to_device(&gpu).unwrap());
    for (a, b) in [(&here, &there), (&there, &here)] {
        let refused = a.add(b);
        assert!(matches!(refused, Err(Error::Device { op: "add", .. })), "{refused:?}");
    }
    let message = there.add(&here).unwrap_err().to_string();
    assert!(message.contains("on cuda:0, got one on cpu: `to_device` copies"), "{message}");
}

/// Where there are two GPUs, such as with EMULATED_GPUS=2.
#[test]
#[ignore = "needs a GPU"]
fn two_gpus_are_two_devices() {
    let first = device();
    let second = match Device::cuda(1) {
        Ok(second) => second,
        Err(error) => return eprintln!("skipped: {error}"),
    };
    let x = normal(&[1000], 1, DType::F32).to_device(&first).unwrap();
    let y = x.to_device(&second).unwrap();
    assert_eq!(y.device(), second);
    assert_eq!(y.to_f64_vec().unwrap(), x.to_f64_vec().unwrap());
    let message = x.add(&y).unwrap_err().to_string();
    assert!(message.contains("on cuda:0, got one on cuda:1"), "{message}");
    assert_eq!(y.add(&y).unwrap().device(), second);
}

#[test]
#[ignore = "needs a GPU"]
fn a_full_gpu_says_how_full() {
    let gpu = device();
    let _alone = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, total) = open(&gpu).memory().unwrap();
    let n = total / 4 + (1 << 28);
    let error = Tensor::zeros_on(&[n], &gpu).unwrap_err();
    let message = error.to_string();
    let Error::Cuda(cuda::Error::OutOfMemory { asked, free, total: said, .. }) = error else {
        panic!("{error:?}")
    };
    assert!(asked >= 4 * n && free <= said && said == total, "{asked} {free} {said}");
    assert!(message.starts_with("out of memory on "), "{message}");
    // The GPU goes on.
    let x = normal(&[100], 1, DType::F32);
    assert_eq!(x.to_device(&gpu).unwrap().to_f64_vec().unwrap(), x.to_f64_vec().unwrap());
}

#[test]
#[ignore = "needs a GPU"]
fn a_gpu_that_does_not_exist_is_named() {
    match Device::cuda(99) {
        Err(Error::Cuda(cuda::Error::NoDevice { ordinal: 99, count })) => assert!(count > 0),
        other => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "needs a GPU"]
fn the_peak_counts_what_lives_at_once() {
    let gpu = device();
    let _alone = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    gpu.reset_peak_memory();
    let before = gpu.peak_memory().expect("a GPU counts");
    // Other tests run beside this one, and take and give less than the slack.
    let (n, slack) = (20 << 20, 48 << 20);
    let expected = 3 * 4 * n as u64;
    let three = [(); 3].map(|()| Tensor::zeros_on(&[n], &gpu).unwrap());
    drop(three);
    let peak = gpu.peak_memory().expect("a GPU counts") - before;
    assert!(peak.abs_diff(expected) < slack, "{peak}");
    assert_eq!(Device::Cpu.peak_memory(), None);
}

/// A block handed out again shows the values of the array that had it.
#[test]
#[ignore = "needs a GPU"]
fn a_freed_block_is_used_again() {
    let gpu = device();
    if std::env::var("KERNELS_CUDA_POOL").is_ok_and(|value| value == "off") {
        return;
    }
    let _alone = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    // No other test asks for this much.
    let values: Vec<u32> = (0..13 << 20).map(|i| i ^ 0x5bd1_e995).collect();
    drop(Array::from_host(open(&gpu), &values).unwrap());
    let again = Array::uninit(open(&gpu), cuda::DType::U32, values.len()).unwrap();
    assert!(again.slice().to_host::<u32>().unwrap() == values);
}

/// The memory of a GPU belongs to no thread, and a new thread may ask for what another has freed.
#[test]
#[ignore = "needs a GPU"]
fn threads_share_the_gpu() {
    let gpu = device();
    let x = normal(&[3000], 1, DType::F32).to_device(&gpu).unwrap();
    drop(Tensor::zeros_on(&[3000], &gpu).unwrap());
    let sum = std::thread::scope(|scope| {
        let work = || Tensor::zeros_on(&[3000], &gpu)?.add(&x)?.add(&x);
        let workers = [(); 4].map(|()| scope.spawn(work));
        workers.map(|worker| worker.join().expect("no panic").unwrap())
    });
    let want = x.add(&x).unwrap().to_f64_vec().unwrap();
    assert!(sum.iter().all(|sum| sum.to_f64_vec().unwrap() == want));
}
