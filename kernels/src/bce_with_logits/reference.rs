//! The definition, in f64.

/// The mean loss over all elements.
pub fn forward(logits: &[f64], targets: &[f64]) -> f64 {
    let losses =
        logits.iter().zip(targets).map(|(&x, &t)| relu(x) - x * t + (-x.abs()).exp().ln_1p());
    losses.sum::<f64>() / logits.len() as f64
}

/// dlogits from the gradient of the mean loss.
pub fn backward(logits: &[f64], targets: &[f64], dloss: f64) -> Vec<f64> {
    let scale = dloss / logits.len() as f64;
    logits.iter().zip(targets).map(|(&x, &t)| scale * (1.0 / (1.0 + (-x).exp()) - t)).collect()
}

/// max(x, 0) that lets NaN through.
fn relu(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}
