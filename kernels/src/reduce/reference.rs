//! The definition, in f64.

/// The sum of `x`.
pub fn sum(x: &[f64]) -> f64 {
    x.iter().sum()
}

/// The sum of the squares of `x`.
pub fn sum_squares(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// The sum of each column of `x`, `[rows, cols] -> [cols]`.
pub fn column_sums(x: &[f64], cols: usize) -> Vec<f64> {
    (0..cols).map(|j| x.iter().skip(j).step_by(cols).sum()).collect()
}

/// The sum of each row of `x`, `[rows, cols] -> [rows]`.
pub fn row_sums(x: &[f64], cols: usize) -> Vec<f64> {
    x.chunks(cols).map(sum).collect()
}

/// The greatest element, NaN if there is one, -inf of an empty slice.
pub fn max(x: &[f64]) -> f64 {
    x.iter().fold(f64::NEG_INFINITY, |a, &b| if a.is_nan() || a > b { a } else { b })
}

/// The greatest element of each row of `x`, `[rows, cols] -> [rows]`.
pub fn row_max(x: &[f64], cols: usize) -> Vec<f64> {
    x.chunks(cols).map(max).collect()
}

/// Where each row of `x` has its greatest element first, `[rows, cols] -> [rows]`.
pub fn row_argmax(x: &[f64], cols: usize) -> Vec<u32> {
    let beats = |a: f64, b: f64| a > b || (a.is_nan() && !b.is_nan());
    let argmax =
        |x: &[f64]| (1..cols).fold(0, |best, j| if beats(x[j], x[best]) { j } else { best });
    x.chunks(cols).map(|x| argmax(x) as u32).collect()
}
