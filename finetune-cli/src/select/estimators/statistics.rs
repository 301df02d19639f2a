//! Means and correlations.

/// Pearson's correlation; NaN when a side is constant (beyond rounding) or empty.
pub(super) fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| f(a - mean_a, b - mean_b)).sum()
    };
    let (both, left, right) = (sum(&|a, b| a * b), sum(&|a, _| a * a), sum(&|_, b| b * b));
    let rows = a.len() as f64;
    let constant = |square: f64, mean: f64| square <= rows * (1e-13 * mean).powi(2);
    if constant(left, mean_a) || constant(right, mean_b) {
        return f64::NAN;
    }
    (both / (left.sqrt() * right.sqrt())).clamp(-1.0, 1.0)
}

/// The mean; NaN of nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
