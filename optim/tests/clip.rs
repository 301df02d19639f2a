//! Clipping against PyTorch.

mod common;

use autograd::Param;
use common::{assert_close, gradients, param};
use optim::clip::{factor, global_norm};

/// PyTorch 2.15:
///
/// ```python
/// a, c = torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(4))
/// a.grad, c.grad = torch.tensor([3.0, -4.0, 1.0]), torch.tensor([0.5, 2.0, -7.0, 1.5])
/// print(torch.nn.utils.clip_grad_norm_([a, c], 1.0).item(), a.grad.tolist() + c.grad.tolist())
/// ```
///
/// A limit of 20 leaves them as they are.
#[test]
fn equals_pytorch() {
    let (a, c) = (param("a", &[0.0; 3]), param("c", &[0.0; 4]));
    let values = [3.0, -4.0, 1.0, 0.5, 2.0, -7.0, 1.5];
    let grads = gradients(&[(&a, &values[..3]), (&c, &values[3..])]);
    let norm_of = |params: &[Param]| global_norm(params, &grads).unwrap().item().unwrap();
    let norm = norm_of(&[a.clone(), c.clone()]);
    assert_close(&[norm], &[9.027734756469727], 1e-7);
    let clipped = values.map(|g| g * factor(norm, 1.0));
    let want = [
        0.3323092460632324,
        -0.44307899475097656,
        0.11076974868774414,
        0.05538487434387207,
        0.22153949737548828,
        -0.775388240814209,
        0.1661546230316162,
    ];
    assert_close(&clipped, &want, 1e-7);
    assert_eq!(factor(norm, 20.0), 1.0);
    // Parameters without a gradient add nothing.
    let other = param("other", &[1.0]);
    assert_eq!(norm_of(&[a.clone(), other, c]), norm);
    assert_close(&[norm_of(&[a])], &[26f64.sqrt()], 1e-12);
}

#[test]
fn what_is_no_number_is_not_hidden() {
    assert!(factor(f64::NAN, 1.0).is_nan());
    assert_eq!(factor(f64::INFINITY, 1.0), 0.0);
    assert_eq!(factor(0.0, 1.0), 1.0);
}
