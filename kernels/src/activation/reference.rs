//! The definition, in f64.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::{Activation, GELU_C, GELU_K};

/// y from `x`, both `[n]`.
pub fn forward(op: Activation, x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| value(op, x)).collect()
}

/// dx from the input and the gradient of the output, all `[n]`.
pub fn backward(op: Activation, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let dx = |x: f64, dy: f64| match op {
        Activation::Relu if x > 0.0 => dy,
        Activation::Relu => 0.0,
        _ => dy * slope(op, x),
    };
    x.iter().zip(dy).map(|(&x, &dy)| dx(x, dy)).collect()
}

/// The error function, within 2e-15.
///
/// Below 1 by 2 / sqrt pi e^(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!, all terms of one sign (Abramowitz and
/// Stegun 7.1.6); above as 1 - erfc.
pub fn erf(x: f64) -> f64 {
    if x.abs() > 1.0 {
        return if x < 0.0 { erfc(-x) - 1.0 } else { 1.0 - erfc(x) };
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..30 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// 1 - erf x, relative error below 2e-13 as long as it is a normal number.
///
/// Above 1 by the continued fraction e^(-x^2) / sqrt pi / (x + 1/2 / (x + 2/2 / (x + 3/2 / ...))), from the
/// inside out (Abramowitz and Stegun 7.1.14).
pub fn erfc(x: f64) -> f64 {
    if x < -1.0 {
        return 2.0 - erfc(-x);
    }
    if x <= 1.0 {
        return 1.0 - erf(x);
    }
    let fraction = (1..200).rev().fold(x, |tail, n| x + 0.5 * f64::from(n) / tail);
    0.5 * FRAC_2_SQRT_PI * (-x * x).exp() / fraction
}

/// The standard normal distribution function.
fn normal_cdf(x: f64) -> f64 {
    0.5 * erfc(-x * FRAC_1_SQRT_2)
}

/// (tanh u, du/dx) of the tanh form of GELU.
fn gelu_tanh_inner(x: f64) -> (f64, f64) {
    let u = GELU_C * (x + GELU_K * x.powi(3));
    (u.tanh(), GELU_C * (1.0 + 3.0 * GELU_K * x * x))
}

fn value(op: Activation, x: f64) -> f64 {
    match op {
        // The limit, where the product is -inf * 0.
        Activation::Gelu | Activation::GeluTanh if x == f64::NEG_INFINITY => 0.0,
        Activation::Gelu => x * normal_cdf(x),
        Activation::GeluTanh => 0.5 * x * (1.0 + gelu_tanh_inner(x).0),
        Activation::Relu if x <= 0.0 => 0.0,
        Activation::Relu => x,
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}

fn slope(op: Activation, x: f64) -> f64 {
    match op {
        Activation::Gelu | Activation::GeluTanh if x.is_infinite() => f64::from(x > 0.0),
        Activation::Gelu => {
            let density = 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * (-0.5 * x * x).exp();
            normal_cdf(x) + x * density
        }
        Activation::GeluTanh => {
            let (t, du) = gelu_tanh_inner(x);
            0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * du
        }
        Activation::Relu => f64::from(x > 0.0),
        Activation::Tanh => x.cosh().powi(-2),
        Activation::Sigmoid => value(op, x) * value(op, -x),
    }
}
