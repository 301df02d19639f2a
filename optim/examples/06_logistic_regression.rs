//! 6. The same training with the library: parameters, a tape, a loss, an optimizer.
//!
//! `cargo run -p optim --example 06_logistic_regression`
//!
//! No derivative is written here, and no formula of Adam: the tape finds the one, `optim` has the other. The
//! losses are those of example 5, which is part of this program, up to the precision of f32.

#[path = "05_logistic_regression_by_hand.rs"]
#[allow(dead_code, reason = "its main is not needed here")]
mod by_hand;

use autograd::{Param, Tape, Tensor, Var, ops};
use optim::{Adam, Optimizer, Result, StepSize};
use tensor::DType;

fn main() -> Result<()> {
    // One column of inputs, one of targets: B = 20 examples.
    let column = |values: [f64; 20]| Tensor::from_vec(values.to_vec(), &[20, 1]);
    let x = Var::constant(column(by_hand::HOURS)?.to_dtype(DType::F32)?);
    let targets = column(by_hand::PASSED)?.to_dtype(DType::F32)?;

    let (w, b) = by_hand::START;
    let w = Param::new("weight", Tensor::full(w as f32, &[1, 1]));
    let b = Param::new("bias", Tensor::full(b as f32, &[1]));
    let mut adam = Adam::new(&[w.clone(), b.clone()]);
    let size = StepSize { lr: by_hand::RATE, grad_scale: 1.0.into() };

    let mut losses = Vec::new();
    for _ in 0..by_hand::STEPS {
        let tape = Tape::new();
        let logits = ops::linear(&x, &tape.param(&w), Some(&tape.param(&b)))?;
        let loss = ops::bce_with_logits(&logits, &targets)?;
        losses.push(loss.value().item()?);
        adam.step(&loss.backward()?, size.clone())?;
    }

    let (expected, w_by_hand, b_by_hand) = by_hand::train();
    for (step, (loss, expected)) in losses.iter().zip(&expected).enumerate() {
        assert!((loss - expected).abs() < 1e-4, "step {step}: {loss}, by hand {expected}");
        if step % 50 == 0 {
            println!("step {step:>3}: loss {loss:.6}, by hand {expected:.6}");
        }
    }
    let (w, b) = (w.value().item()?, b.value().item()?);
    println!(
        "passed = sigmoid({w:.4} hours {b:+.4}), by hand sigmoid({w_by_hand:.4} hours {b_by_hand:+.4})"
    );
    assert!((w - w_by_hand).abs() < 1e-3 && (b - b_by_hand).abs() < 1e-3);
    Ok(())
}
