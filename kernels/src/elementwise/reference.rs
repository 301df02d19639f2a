//! The definition, in f64.

use super::{Binary, Unary};

/// y from `a` and `b`, all `[n]`.
pub fn binary(op: Binary, a: &[f64], b: &[f64]) -> Vec<f64> {
    let f = |a: f64, b: f64| match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
    };
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

/// y from `x`, both `[n]`.
pub fn unary(op: Unary, x: &[f64]) -> Vec<f64> {
    let f = |x: f64| match op {
        Unary::Neg => -x,
        Unary::Exp => x.exp(),
        Unary::Ln => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Abs => x.abs(),
        Unary::Square => x * x,
        Unary::Recip => 1.0 / x,
    };
    x.iter().map(|&x| f(x)).collect()
}

/// dx from the input and the gradient of the output, all `[n]`.
pub fn unary_backward(op: Unary, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let slope = |x: f64| match op {
        Unary::Neg => -1.0,
        Unary::Exp => x.exp(),
        Unary::Ln => 1.0 / x,
        Unary::Sqrt => 0.5 / x.sqrt(),
        Unary::Abs if x > 0.0 => 1.0,
        Unary::Abs if x < 0.0 => -1.0,
        Unary::Abs => 0.0,
        Unary::Square => 2.0 * x,
        Unary::Recip => -1.0 / (x * x),
    };
    x.iter().zip(dy).map(|(&x, dy)| dy * slope(x)).collect()
}
