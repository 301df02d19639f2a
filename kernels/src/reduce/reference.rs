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

/// Where each row of `x` has its greatest element first, `[rows, cols] -> [rows]`.
pub fn row_argmax(x: &[f64], cols: usize) -> Vec<u32> {
    let beats = |a: f64, b: f64| a > b || (a.is_nan() && !b.is_nan());
    let argmax =
        |x: &[f64]| (1..cols).fold(0, |best, j| if beats(x[j], x[best]) { j } else { best });
    x.chunks(cols).map(|x| argmax(x) as u32).collect()
}
