//! The definition, in f64.

/// Mean and reciprocal standard deviation of one row.
fn statistics(x: &[f64], eps: f64) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    (mean, 1.0 / (var + eps).sqrt())
}

/// y of each row of `x` (`[rows, H]`), with `w` and `b` (`[H]`).
pub fn forward(x: &[f64], w: &[f64], b: &[f64], eps: f64) -> Vec<f64> {
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks(w.len()) {
        let (mean, rstd) = statistics(row, eps);
        y.extend(row.iter().zip(w).zip(b).map(|((x, w), b)| (x - mean) * rstd * w + b));
    }
    y
}

/// (dx `[rows, H]`, dw `[H]`, db `[H]`) from the input and the gradient of the output.
pub fn backward(x: &[f64], w: &[f64], dy: &[f64], eps: f64) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let h = w.len();
    let mut dx = Vec::with_capacity(x.len());
    let (mut dw, mut db) = (vec![0.0; h], vec![0.0; h]);
    for (x, dy) in x.chunks(h).zip(dy.chunks(h)) {
        let (mean, rstd) = statistics(x, eps);
        let xhat: Vec<f64> = x.iter().map(|x| (x - mean) * rstd).collect();
        let g: Vec<f64> = dy.iter().zip(w).map(|(dy, w)| dy * w).collect();
        let g_mean = g.iter().sum::<f64>() / h as f64;
        let gx_mean = g.iter().zip(&xhat).map(|(g, x)| g * x).sum::<f64>() / h as f64;
        for j in 0..h {
            dx.push(rstd * (g[j] - g_mean - xhat[j] * gx_mean));
            dw[j] += dy[j] * xhat[j];
            db[j] += dy[j];
        }
    }
    (dx, dw, db)
}
