//! The checker itself: it must find wrong derivatives, and nothing else.

use autograd::gradcheck::GradCheck;
use autograd::{Error, Param, Result, Tensor, Var, record};
use tensor::DType;

fn vector(values: &[f32]) -> Tensor {
    Tensor::from_vec(values.to_vec(), &[values.len()]).unwrap()
}

/// x^2, with `slope` x for its derivative, which is right for 2.
fn square(x: &Var, slope: f64) -> Result<Var> {
    let (saved, y) = (x.value().clone(), x.value().mul(x.value())?);
    record("square", [x], y, move |dy, _| Ok([Some(saved.scale(slope)?.mul(dy)?)]))
}

#[test]
fn accepts_the_right_derivative() {
    let report = GradCheck::default()
        .run(&[], &[vector(&[0.5, -2.0, 30.0])], |_, x| square(&x[0], 2.0))
        .unwrap();
    assert_eq!(report.compared, 3);
    assert!(report.error_f64 < 1e-8 && report.error_f32 < 1e-6, "{report:?}");
}

#[test]
fn finds_a_wrong_factor() {
    let result = GradCheck::default().run(&[], &[vector(&[0.5, -2.0])], |_, x| square(&x[0], 2.1));
    let Err(Error::Mismatch(message)) = result else { panic!("expected a mismatch") };
    assert!(message.starts_with("input 0[0]: f32 gradient "), "{message}");
    // Too small for f32's tolerance, but not for f64's.
    let result =
        GradCheck::default().run(&[], &[vector(&[0.5, -2.0])], |_, x| square(&x[0], 2.0001));
    let Err(Error::Mismatch(message)) = result else { panic!("expected a mismatch") };
    assert!(message.contains("f64 gradient"), "{message}");
}

#[test]
fn finds_what_is_not_recorded_and_what_is_no_number() {
    // The graph is cut, as by an op without a backward.
    let cut =
        GradCheck::default().run(&[], &[vector(&[1.0, 2.0])], |_, x| x[0].detach().mul(&x[0]));
    assert!(matches!(cut, Err(Error::Mismatch(_))));
    let nan = GradCheck::default().run(&[], &[vector(&[1.0])], |_, x| square(&x[0], f64::NAN));
    assert!(matches!(nan, Err(Error::Mismatch(_))));
}

#[test]
fn names_the_parameter_and_restores_it() {
    let w = Param::new("layer.weight", vector(&[1.0, 2.0]));
    let before = w.value();
    let check = |slope| {
        GradCheck::default()
            .run(std::slice::from_ref(&w), &[], |tape, _| square(&tape.param(&w), slope))
            .map(|_| ())
    };
    check(2.0).unwrap();
    let message = check(3.0).unwrap_err().to_string();
    assert!(message.starts_with("gradient check: layer.weight[0]: "), "{message}");
    assert_eq!(w.value().dtype(), DType::F32);
    assert_eq!(w.value().to_f64_vec().unwrap(), before.to_f64_vec().unwrap());
}
