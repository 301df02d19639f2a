//! `mse` on a card.

use tensor::ops::mse::{backward, forward};
use tensor::{DType, Error, Tensor};
use tests::card::{SIZES, assert_close, device, normal, placements, wide};

#[test]
fn equals_the_definition() {
    let Some(card) = device() else { return };
    let dloss = Tensor::scalar(0.7);
    for (seed, n) in (0..).zip(SIZES) {
        let x = normal(&[n], seed, DType::F32).mul(&Tensor::scalar(3.0)).unwrap();
        let t = normal(&[n], 100 + seed, DType::F32);
        let want = forward(&wide(&x), &wide(&t)).unwrap().item().unwrap();
        let want_dx = backward(&wide(&x), &wide(&t), &wide(&dloss)).unwrap().to_f64_vec().unwrap();
        for (x, t) in placements(&x, &card).iter().zip(placements(&t, &card)) {
            assert_close(&format!("mse [{n}]"), &forward(x, &t).unwrap(), &[want]);
            for dloss in placements(&dloss, &card) {
                let dx = backward(x, &t, &dloss).unwrap();
                assert_close(&format!("mse dx [{n}]"), &dx, &want_dx);
            }
        }
    }
}

#[test]
fn nan_and_infinities_show() {
    let Some(card) = device() else { return };
    let x = Tensor::from_vec(vec![f32::INFINITY, 1.0, f32::NAN], &[3]).unwrap();
    let t = Tensor::zeros(&[3]);
    let want = backward(&wide(&x), &wide(&t), &wide(&Tensor::scalar(1.0))).unwrap();
    let [x, t, dloss] = [x, t, Tensor::scalar(1.0)].map(|x| x.to_device(&card).unwrap());
    assert!(forward(&x, &t).unwrap().item().unwrap().is_nan());
    assert_close("mse dx", &backward(&x, &t, &dloss).unwrap(), &want.to_f64_vec().unwrap());
}

#[test]
fn refuses_what_does_not_fit() {
    let Some(card) = device() else { return };
    let x = Tensor::zeros(&[4]).to_device(&card).unwrap();
    let refused = backward(&x, &x, &Tensor::scalar(1.0));
    assert!(matches!(refused, Err(Error::Device { .. })), "{refused:?}");
    assert!(matches!(backward(&x, &x, &x), Err(Error::Shape { .. })));
    assert!(matches!(forward(&x, &Tensor::zeros(&[4])), Err(Error::Device { .. })));
    let empty = Tensor::zeros(&[0]).to_device(&card).unwrap();
    assert!(matches!(forward(&empty, &empty), Err(Error::Shape { .. })));
}
