//! `mse` on a GPU.

use tensor::Tensor;
use tensor::ops::mse::{backward, forward};
use tests::gpu::{assert_close, device, wide};

use crate::mean_losses::Loss;

const LOSS: Loss = Loss { name: "mse", forward, backward };

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition() {
    LOSS.equals_the_definition();
}

#[test]
#[ignore = "needs a GPU"]
fn nan_and_infinities_show() {
    let gpu = device();
    let x = Tensor::from_vec(vec![f32::INFINITY, 1.0, f32::NAN], &[3]).unwrap();
    let t = Tensor::zeros(&[3]);
    let want = backward(&wide(&x), &wide(&t), &wide(&Tensor::scalar(1.0))).unwrap();
    let [x, t, dloss] = [x, t, Tensor::scalar(1.0)].map(|x| x.to_device(&gpu).unwrap());
    assert!(forward(&x, &t).unwrap().item().unwrap().is_nan());
    assert_close("mse dx", &backward(&x, &t, &dloss).unwrap(), &want.to_f64_vec().unwrap());
}

#[test]
#[ignore = "needs a GPU"]
fn refuses_what_does_not_fit() {
    LOSS.refuses_what_does_not_fit();
}
