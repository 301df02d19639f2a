//! `cross_entropy` on a GPU.

use tensor::ops::cross_entropy;
use tensor::philox::Rng;
use tensor::{DType, Device, Tensor};
use tests::gpu::{assert_close, device, normal, odd_view, wide};

/// Rows and classes; the last are a vocabulary, whose rows begin at different places modulo 16 bytes.
const SIZES: [[usize; 2]; 9] =
    [[1, 1], [1, 2], [3, 7], [33, 33], [130, 3], [1000, 2], [2, 1000], [3, 4096], [5, 30522]];

fn labels([rows, classes]: [usize; 2], seed: u64) -> Tensor {
    let mut rng = Rng::new(seed, 1);
    let labels = (0..rows).map(|_| rng.next_u32() % classes as u32).collect();
    Tensor::from_vec::<u32>(labels, &[rows]).unwrap()
}

/// Forward and backward of logits on the GPU against the definition; the gradient of the loss stays there.
fn check(what: &str, logits: &Tensor, there: &Tensor, labels: &Tensor) {
    let dloss = Tensor::scalar(0.7);
    let (want, saved) = cross_entropy::forward(&wide(logits), labels).unwrap();
    let (loss, rsum) = cross_entropy::forward(there, labels).unwrap();
    assert_close(&format!("{what}: loss"), &loss, &want.to_f64_vec().unwrap());

    let want = cross_entropy::backward(&wide(logits), labels, &saved, &wide(&dloss)).unwrap();
    let dloss = dloss.to_device(&there.device()).unwrap();
    let dlogits = cross_entropy::backward(there, labels, &rsum, &dloss).unwrap();
    assert_close(&format!("{what}: dlogits"), &dlogits, &want.to_f64_vec().unwrap());
}

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition() {
    let gpu = device();
    for (seed, shape) in (0..).zip(SIZES) {
        let logits = normal(&shape, seed, DType::F32);
        let (what, labels) = (format!("cross_entropy {shape:?}"), labels(shape, seed));
        check(&what, &logits, &logits.to_device(&gpu).unwrap(), &labels);
        check(&format!("{what} of a view"), &logits, &odd_view(&logits, &gpu), &labels);
    }
}

#[test]
#[ignore = "needs a GPU"]
fn huge_logits_lose_nothing() {
    let gpu = device();
    let logits = vec![3e38, 2.9e38, 0.0, -3e38, 1.0, 2.0, f32::NEG_INFINITY, 0.5, 0.0];
    let logits = Tensor::from_vec(logits, &[3, 3]).unwrap();
    let labels = Tensor::from_vec(vec![0u32, 1, 1], &[3]).unwrap();
    check("huge logits", &logits, &logits.to_device(&gpu).unwrap(), &labels);
}

#[test]
#[ignore = "needs a GPU"]
fn nan_stays_in_its_row() {
    let gpu = device();
    let logits = vec![0.0, 1.0, f32::NAN, 0.0, f32::INFINITY, 0.0, 2.0, 1.0];
    let logits = Tensor::from_vec(logits, &[4, 2]).unwrap().to_device(&gpu).unwrap();
    let labels = Tensor::from_vec(vec![0u32, 1, 1, 0], &[4]).unwrap();
    let (loss, rsum) = cross_entropy::forward(&logits, &labels).unwrap();
    assert!(loss.item().unwrap().is_nan());
    let dloss = Tensor::scalar(1.0).to_device(&gpu).unwrap();
    let dlogits = cross_entropy::backward(&logits, &labels, &rsum, &dloss).unwrap();
    let nan: Vec<bool> = dlogits.to_vec::<f32>().unwrap().iter().map(|d| d.is_nan()).collect();
    assert_eq!(nan, [false, false, true, true, true, true, false, false]);
}

#[test]
#[ignore = "needs a GPU"]
fn labels_stay_on_the_host_and_are_checked_there() {
    let gpu = device();
    let logits = Tensor::zeros_on(&[2, 3], &gpu).unwrap();
    let labels = |values: Vec<u32>| Tensor::from_vec(values, &[2]).unwrap();
    let error = cross_entropy::forward(&logits, &labels(vec![0, 3])).unwrap_err();
    assert!(error.to_string().contains("index 3 at position 1"), "{error}");
    let there = labels(vec![0, 1]).to_device(&gpu).unwrap();
    assert!(cross_entropy::forward(&logits, &there).is_err());
    let loss = cross_entropy::forward(&logits, &labels(vec![0, 1])).unwrap().0;
    assert_ne!(loss.device(), Device::Cpu);
}
