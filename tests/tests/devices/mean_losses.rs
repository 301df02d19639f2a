//! What losses that are means over elements have in common on a GPU.

use tensor::{DType, Error, Result, Tensor};
use tests::gpu::{SIZES, assert_close, device, normal, placements, wide};

/// A loss of predictions and targets, and its gradient from that of the loss.
pub struct Loss {
    pub name: &'static str,
    pub forward: fn(&Tensor, &Tensor) -> Result<Tensor>,
    pub backward: fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>,
}

impl Loss {
    pub fn equals_the_definition(&self) {
        let gpu = device();
        let (Self { name, forward, backward }, dloss) = (self, Tensor::scalar(0.7));
        for (seed, n) in (0..).zip(SIZES) {
            let x = normal(&[n], seed, DType::F32).mul(&Tensor::scalar(3.0)).unwrap();
            let t = normal(&[n], 100 + seed, DType::F32);
            let want = forward(&wide(&x), &wide(&t)).unwrap().item().unwrap();
            let want_dx = backward(&wide(&x), &wide(&t), &wide(&dloss)).unwrap();
            let want_dx = want_dx.to_f64_vec().unwrap();
            for (x, t) in placements(&x, &gpu).iter().zip(placements(&t, &gpu)) {
                assert_close(&format!("{name} [{n}]"), &forward(x, &t).unwrap(), &[want]);
                for dloss in placements(&dloss, &gpu) {
                    let dx = backward(x, &t, &dloss).unwrap();
                    assert_close(&format!("{name} dx [{n}]"), &dx, &want_dx);
                }
            }
        }
    }

    pub fn refuses_what_does_not_fit(&self) {
        let gpu = device();
        let Self { forward, backward, .. } = self;
        let x = Tensor::zeros(&[4]).to_device(&gpu).unwrap();
        let refused = backward(&x, &x, &Tensor::scalar(1.0));
        assert!(matches!(refused, Err(Error::Device { .. })), "{refused:?}");
        assert!(matches!(backward(&x, &x, &x), Err(Error::Shape { .. })));
        assert!(matches!(forward(&x, &Tensor::zeros(&[4])), Err(Error::Device { .. })));
        let empty = Tensor::zeros(&[0]).to_device(&gpu).unwrap();
        assert!(matches!(forward(&empty, &empty), Err(Error::Shape { .. })));
    }
}
