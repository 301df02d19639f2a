//! `weighted_cross_entropy` on a GPU.

use tensor::ops::weighted_cross_entropy::{self, Weighting};
use tensor::philox::Rng;
use tensor::{DType, Device, Tensor};
use tests::gpu::{assert_close, device, normal, odd_view, wide};

/// Rows and classes; the last are more than a block has threads, and a vocabulary.
const SIZES: [[usize; 2]; 8] =
    [[1, 1], [1, 2], [3, 7], [33, 33], [130, 3], [1000, 2], [2, 1000], [3, 30522]];

fn labels([rows, classes]: [usize; 2], seed: u64) -> Tensor {
    let mut rng = Rng::new(seed, 1);
    let labels = (0..rows).map(|_| rng.next_u32() % classes as u32).collect();
    Tensor::from_vec::<u32>(labels, &[rows]).unwrap()
}

/// Weights in [0.1, 2.1).
fn weighting(classes: usize, label_smoothing: f64) -> Weighting {
    let mut rng = Rng::new(7, 2);
    let weights = (0..classes).map(|_| 0.1 + f64::from(rng.next_u32()) / 2f64.powi(31)).collect();
    Weighting { weights, label_smoothing }
}

/// Forward and backward of logits on the GPU against the definition; the gradient of the loss stays there.
fn check(what: &str, logits: &Tensor, there: &Tensor, labels: &Tensor, weighting: &Weighting) {
    let dloss = Tensor::scalar(0.7);
    let forward = |x: &Tensor| weighted_cross_entropy::forward(x, labels, weighting).unwrap();
    let backward = |x: &Tensor, saved: &Tensor, dloss: &Tensor| {
        weighted_cross_entropy::backward(x, labels, weighting, saved, dloss).unwrap()
    };
    let (want, saved) = forward(&wide(logits));
    let (loss, rsum) = forward(there);
    assert_close(&format!("{what}: loss"), &loss, &want.to_f64_vec().unwrap());

    let want = backward(&wide(logits), &saved, &wide(&dloss));
    let dlogits = backward(there, &rsum, &dloss.to_device(&there.device()).unwrap());
    assert_close(&format!("{what}: dlogits"), &dlogits, &want.to_f64_vec().unwrap());
}

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition() {
    let gpu = device();
    for (seed, shape) in (0..).zip(SIZES) {
        let logits = normal(&shape, seed, DType::F32);
        for smoothing in [0.0, 0.1] {
            let (labels, weighting) = (labels(shape, seed), weighting(shape[1], smoothing));
            let what = format!("weighted_cross_entropy {shape:?} {smoothing}");
            check(&what, &logits, &logits.to_device(&gpu).unwrap(), &labels, &weighting);
            let view = odd_view(&logits, &gpu);
            check(&format!("{what} of a view"), &logits, &view, &labels, &weighting);
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn huge_logits_lose_nothing() {
    let gpu = device();
    // Without smoothing a logit of -inf costs nothing, where it is not the label.
    let logits = vec![3e38, 2.9e38, 0.0, -3e38, 1.0, 2.0, f32::NEG_INFINITY, 0.5, 0.0];
    let logits = Tensor::from_vec(logits, &[3, 3]).unwrap();
    let labels = |ids: [u32; 2]| Tensor::from_vec(ids.to_vec(), &[2]).unwrap();
    let last = logits.narrow(0, 1, 2).unwrap();
    let there = last.to_device(&gpu).unwrap();
    check("huge logits", &last, &there, &labels([1, 1]), &weighting(3, 0.0));
    let first = logits.narrow(0, 0, 2).unwrap();
    let there = first.to_device(&gpu).unwrap();
    check("huge logits", &first, &there, &labels([0, 1]), &weighting(3, 0.1));
}

#[test]
#[ignore = "needs a GPU"]
fn nan_stays_in_its_row() {
    let gpu = device();
    let logits = vec![0.0, 1.0, f32::NAN, 0.0, f32::INFINITY, 0.0, 2.0, 1.0];
    let logits = Tensor::from_vec(logits, &[4, 2]).unwrap().to_device(&gpu).unwrap();
    let labels = Tensor::from_vec(vec![0u32, 1, 1, 0], &[4]).unwrap();
    for smoothing in [0.0, 0.1] {
        let weighting = weighting(2, smoothing);
        let (loss, rsum) = weighted_cross_entropy::forward(&logits, &labels, &weighting).unwrap();
        assert!(loss.item().unwrap().is_nan());
        let dloss = Tensor::scalar(1.0).to_device(&gpu).unwrap();
        let dlogits =
            weighted_cross_entropy::backward(&logits, &labels, &weighting, &rsum, &dloss).unwrap();
        let nan: Vec<bool> = dlogits.to_vec::<f32>().unwrap().iter().map(|d| d.is_nan()).collect();
        assert_eq!(nan, [false, false, true, true, true, true, false, false]);
    }
}

/// As on the host: see `an_impossible_class_of_weight_zero` of the kernel's tests.
#[test]
#[ignore = "needs a GPU"]
fn an_impossible_class_of_weight_zero() {
    let gpu = device();
    let logits = Tensor::from_vec(vec![f32::NEG_INFINITY, 1.0, 2.0], &[1, 3]).unwrap();
    let (there, labels) =
        (logits.to_device(&gpu).unwrap(), Tensor::from_vec(vec![1u32], &[1]).unwrap());
    let weighting = |label_smoothing| Weighting { weights: vec![0.0, 1.0, 1.0], label_smoothing };
    check("weight 0", &logits, &there, &labels, &weighting(0.0));
    let (loss, _) = weighted_cross_entropy::forward(&there, &labels, &weighting(0.1)).unwrap();
    assert!(loss.item().unwrap().is_nan());
}

#[test]
#[ignore = "needs a GPU"]
fn labels_stay_on_the_host_and_are_checked_there() {
    let gpu = device();
    let (logits, weighting) = (Tensor::zeros_on(&[2, 3], &gpu).unwrap(), weighting(3, 0.1));
    let labels = |values: Vec<u32>| Tensor::from_vec(values, &[2]).unwrap();
    let run = |labels: &Tensor| weighted_cross_entropy::forward(&logits, labels, &weighting);
    let error = run(&labels(vec![0, 3])).unwrap_err();
    assert!(error.to_string().contains("index 3 at position 1"), "{error}");
    assert!(run(&labels(vec![0, 1]).to_device(&gpu).unwrap()).is_err());
    assert_ne!(run(&labels(vec![0, 1])).unwrap().0.device(), Device::Cpu);
}
