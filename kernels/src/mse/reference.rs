//! The definition, in f64.

/// The mean of the squared differences.
pub fn forward(x: &[f64], target: &[f64]) -> f64 {
    x.iter().zip(target).map(|(x, t)| (x - t).powi(2)).sum::<f64>() / x.len() as f64
}

/// dx from the gradient of the mean.
pub fn backward(x: &[f64], target: &[f64], dloss: f64) -> Vec<f64> {
    let scale = 2.0 * dloss / x.len() as f64;
    x.iter().zip(target).map(|(x, t)| scale * (x - t)).collect()
}
