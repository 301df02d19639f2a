//! SGD against PyTorch.

mod common;

use common::{assert_close, gradients, param, torch_gradients};
use optim::{Optimizer, Sgd, SgdOptions, StepSize, weight_decay_groups};

/// PyTorch 2.15, with the gradients and groups of the script in `adam.rs`, and
///
/// ```python
/// torch.optim.SGD([w, b], lr=0.1)
/// torch.optim.SGD(groups, lr=0.1, momentum=0.9)                   # weight_decay=0.01 for w
/// torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)    # weight_decay=0.01 for w
/// ```
#[test]
fn equals_pytorch() {
    let plain =
        [-0.05000000074505806, -0.8000001907348633, 1.121309518814087, 0.0005000000237487257];
    let momentum =
        [-1.2863367795944214, -0.1385602205991745, -2.685471296310425, 0.0018999065505340695];
    let nesterov =
        [-1.6542314291000366, -0.020067883655428886, -3.0789284706115723, 0.0021988118533045053];
    let cases = [
        (SgdOptions::default(), 0.0, plain, 0.20000000298023224),
        (SgdOptions { momentum: 0.9, nesterov: false }, 0.01, momentum, -0.4571588933467865),
        (SgdOptions { momentum: 0.9, nesterov: true }, 0.01, nesterov, -0.43644294142723083),
    ];
    for (options, weight_decay, want, want_bias) in cases {
        let params = [param("w", &[0.5, -1.0, 2.0, 0.0]), param("bias", &[0.25])];
        let mut sgd = Sgd::new(weight_decay_groups(&params, weight_decay), options);
        for t in 1..=10 {
            let (w, b) = torch_gradients(t);
            let grads = gradients(&[(&params[0], &w), (&params[1], &b)]);
            sgd.step(&grads, StepSize { lr: 0.1, grad_scale: 1.0.into() }).unwrap();
        }
        assert_close(&params[0].value().to_f64_vec().unwrap(), &want, 1e-6);
        assert_close(&params[1].value().to_f64_vec().unwrap(), &[want_bias], 1e-6);
    }
}

#[test]
fn without_a_gradient_nothing_moves() {
    let (w, other) = (param("w", &[1.0]), param("other", &[1.0]));
    let options = SgdOptions { momentum: 0.9, nesterov: false };
    let mut sgd = Sgd::new(weight_decay_groups(&[w.clone(), other.clone()], 0.1), options);
    sgd.step(&gradients(&[(&w, &[1.0])]), StepSize { lr: 0.5, grad_scale: 0.5.into() }).unwrap();
    // 1 - 0.5 (0.5 + 0.1)
    assert_close(&w.value().to_f64_vec().unwrap(), &[0.7], 1e-6);
    assert_eq!(other.value().item().unwrap(), 1.0);
}
