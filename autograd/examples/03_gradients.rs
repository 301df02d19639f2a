//! 3. Gradients: what the tape records, and how to check an op of your own.
//!
//! `cargo run -p autograd --example 03_gradients`

use autograd::gradcheck::GradCheck;
use autograd::{Param, Result, Tape, Tensor, Var, record};

fn main() -> Result<()> {
    // One neuron: y = tanh(w . x + b).
    let w = Param::new("w", Tensor::from_vec(vec![-3.0f32, 1.0], &[2])?);
    let b = Param::new("b", Tensor::scalar(6.9));
    let x = Tensor::from_vec(vec![2.0f32, 0.5], &[2])?;
    let neuron = |tape: &Tape| -> Result<Var> {
        let x = Var::constant(x.clone());
        tape.param(&w).mul(&x)?.sum()?.add(&tape.param(&b))?.tanh()
    };

    // With a tape every operation on a parameter is recorded; the walk back gives all gradients at once.
    let y = neuron(&Tape::new())?;
    let grads = y.backward()?;
    let (dw, db) = (grads.param(&w).expect("used"), grads.param(&b).expect("used"));
    println!(
        "y = {:.6}, dy/dw = {:.6?}, dy/db = {:.6}",
        y.value().item()?,
        dw.to_f64_vec(),
        db.item()?
    );

    // By hand: d tanh(s) / ds = 1 - y^2, and s grows by x_i with w_i and by 1 with b.
    let slope = 1.0 - y.value().item()?.powi(2);
    let by_hand = [2.0 * slope, 0.5 * slope];
    println!("by hand:      dy/dw = {by_hand:.6?}, dy/db = {slope:.6}");
    assert!(dw.to_f64_vec()?.iter().zip(by_hand).all(|(got, want)| (got - want).abs() < 1e-6));

    // Without a tape the same code is inference. A frozen parameter is a constant.
    println!("on an inference tape: recorded {}", neuron(&Tape::inference())?.needs_gradient());
    w.freeze(true);
    let grads = neuron(&Tape::new())?.backward()?;
    println!(
        "w frozen: gradient of w {:?}, of b {:?}",
        grads.param(&w).is_some(),
        grads.param(&b).is_some()
    );
    w.freeze(false);

    // An op of our own, checked against slopes in f64: the right derivative passes, a wrong one is found.
    let input = [Tensor::from_vec(vec![0.3f32, -1.2, 2.0], &[3])?];
    let report = GradCheck::default().run(&[], &input, |_, x| softplus(&x[0], 1.0))?;
    println!("softplus: {} slopes agree, to {:.0e} in f32", report.compared, report.error_f32);
    let wrong = GradCheck::default().run(&[], &input, |_, x| softplus(&x[0], 1.1));
    println!("softplus with a wrong derivative: {}", wrong.expect_err("must be found"));
    Ok(())
}

/// y = ln(1 + e^x) with dx = `factor` sigmoid(x) dy, which is right for 1.
fn softplus(x: &Var, factor: f64) -> Result<Var> {
    let value = x.value().to_f64_vec()?.iter().map(|x| x.exp().ln_1p()).collect();
    let y = Tensor::from_vec(value, x.shape())?.to_dtype(x.value().dtype())?;
    let saved = x.detach();
    record("softplus", [x], y, move |dy, _| {
        let sigmoid = saved.sigmoid()?;
        Ok([Some(sigmoid.value().mul(dy)?.scale(factor)?)])
    })
}
