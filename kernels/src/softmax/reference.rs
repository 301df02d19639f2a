//! The definition, in f64.

/// y = softmax(x) of each row; `x` is `[rows, cols]`.
pub fn forward(x: &[f64], cols: usize) -> Vec<f64> {
    let mut y = x.to_vec();
    for row in y.chunks_mut(cols) {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter_mut().for_each(|v| *v = (*v - max).exp());
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|v| *v /= sum);
    }
    y
}

/// dx from the output `y` and its gradient `dy`; all `[rows, cols]`.
pub fn backward(y: &[f64], dy: &[f64], cols: usize) -> Vec<f64> {
    let mut dx = Vec::with_capacity(y.len());
    for (y, dy) in y.chunks(cols).zip(dy.chunks(cols)) {
        let dot: f64 = y.iter().zip(dy).map(|(y, dy)| y * dy).sum();
        dx.extend(y.iter().zip(dy).map(|(y, dy)| y * (dy - dot)));
    }
    dx
}
