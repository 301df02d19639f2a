//! `bce_with_logits` on a card.

use tensor::ops::bce_with_logits::{backward, forward};
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
            assert_close(&format!("bce_with_logits [{n}]"), &forward(x, &t).unwrap(), &[want]);
            for dloss in placements(&dloss, &card) {
                let dx = backward(x, &t, &dloss).unwrap();
                assert_close(&format!("bce_with_logits dx [{n}]"), &dx, &want_dx);
            }
        }
    }
}

#[test]
fn logits_far_from_zero_do_not_overflow() {
    let Some(card) = device() else { return };
    let x = [1e4f32, -1e4, 1e4, -1e4, 90.0, -90.0, f32::NAN];
    let t = [1.0f32, 0.0, 0.0, 1.0, 0.25, 0.75, 0.0];
    for n in [2, 6, 7] {
        let x = Tensor::from_vec(x[..n].to_vec(), &[n]).unwrap();
        let t = Tensor::from_vec(t[..n].to_vec(), &[n]).unwrap();
        let want = forward(&wide(&x), &wide(&t)).unwrap().item().unwrap();
        let want_dx = backward(&wide(&x), &wide(&t), &wide(&Tensor::scalar(1.0))).unwrap();
        let [x, t, dloss] = [x, t, Tensor::scalar(1.0)].map(|x| x.to_device(&card).unwrap());
        assert_close("bce", &forward(&x, &t).unwrap(), &[want]);
        assert_close("bce dx", &backward(&x, &t, &dloss).unwrap(), &want_dx.to_f64_vec().unwrap());
    }
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
