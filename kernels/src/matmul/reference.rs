//! The definition, in f64.

/// C = A B for `a` `[m, k]` and `b` `[k, n]`, both row-major; gives `[m, n]`.
pub fn product(a: &[f64], b: &[f64], m: usize, n: usize) -> Vec<f64> {
    let k = a.len() / m.max(1);
    let mut c = vec![0.0; m * n];
    for i in 0..m {
        for p in 0..k {
            for j in 0..n {
                c[i * n + j] += a[i * k + p] * b[p * n + j];
            }
        }
    }
    c
}

/// The transpose of a row-major `[rows, cols]`.
pub fn transpose(x: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    let mut y = Vec::with_capacity(x.len());
    for j in 0..cols {
        y.extend((0..rows).map(|i| x[i * cols + j]));
    }
    y
}
