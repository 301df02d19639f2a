//! `bce_with_logits` on a GPU.

use tensor::Tensor;
use tensor::ops::bce_with_logits::{backward, forward};
use tests::gpu::{assert_close, device, wide};

use crate::mean_losses::Loss;

const LOSS: Loss = Loss { name: "bce_with_logits", forward, backward };

#[test]
#[ignore = "needs a GPU"]
fn equals_the_definition() {
    LOSS.equals_the_definition();
}

#[test]
#[ignore = "needs a GPU"]
fn logits_far_from_zero_do_not_overflow() {
    let gpu = device();
    let x = [1e4f32, -1e4, 1e4, -1e4, 90.0, -90.0, f32::NAN];
    let t = [1.0f32, 0.0, 0.0, 1.0, 0.25, 0.75, 0.0];
    for n in [2, 6, 7] {
        let x = Tensor::from_vec(x[..n].to_vec(), &[n]).unwrap();
        let t = Tensor::from_vec(t[..n].to_vec(), &[n]).unwrap();
        let want = forward(&wide(&x), &wide(&t)).unwrap().item().unwrap();
        let want_dx = backward(&wide(&x), &wide(&t), &wide(&Tensor::scalar(1.0))).unwrap();
        let [x, t, dloss] = [x, t, Tensor::scalar(1.0)].map(|x| x.to_device(&gpu).unwrap());
        assert_close("bce", &forward(&x, &t).unwrap(), &[want]);
        assert_close("bce dx", &backward(&x, &t, &dloss).unwrap(), &want_dx.to_f64_vec().unwrap());
    }
}

#[test]
#[ignore = "needs a GPU"]
fn refuses_what_does_not_fit() {
    LOSS.refuses_what_does_not_fit();
}
