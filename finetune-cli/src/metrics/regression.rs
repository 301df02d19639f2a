//! Metrics of scores.

use super::Report;

/// Metrics of one number per example, `[B]` each: `mse`, `rmse`, `mae`, `r2`, `pearson`, `spearmanr`.
///
/// r2 of constant targets is 1 when all predictions are right, else 0, as in scikit-learn; of a single
/// example it is NaN, and so are the correlations of a single example, of a constant and of NaN.
///
/// # Panics
/// When there are no examples or the lengths differ.
pub fn regression(targets: &[f32], predictions: &[f32]) -> Report {
    assert!(!targets.is_empty(), "metrics: no examples");
    assert_eq!(targets.len(), predictions.len(), "metrics: targets and predictions");
    let [y, x] =
        [targets, predictions].map(|v| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
    let errors: Vec<f64> = y.iter().zip(&x).map(|(y, x)| y - x).collect();
    let mse = mean(&squares(&errors));
    let absolute: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
    let metrics = vec![
        ("mse", mse),
        ("rmse", mse.sqrt()),
        ("mae", mean(&absolute)),
        ("r2", r2(&y, &errors)),
        ("pearson", pearson(&x, &y)),
        ("spearmanr", spearman(&x, &y)),
    ];
    Report { metrics, classes: Vec::new(), confusion: None }
}

fn r2(y: &[f64], errors: &[f64]) -> f64 {
    if y.len() < 2 {
        return f64::NAN;
    }
    let unexplained: f64 = squares(errors).iter().sum();
    let total: f64 = squares(&centred(y)).iter().sum();
    match (unexplained == 0.0, total == 0.0) {
        (true, _) => 1.0,
        (false, true) => 0.0,
        (false, false) => 1.0 - unexplained / total,
    }
}

fn pearson(x: &[f64], y: &[f64]) -> f64 {
    if is_constant(x) || is_constant(y) {
        return f64::NAN;
    }
    let (x, y) = (unit(x), unit(y));
    x.iter().zip(&y).map(|(x, y)| x * y).sum::<f64>().clamp(-1.0, 1.0)
}

fn spearman(x: &[f64], y: &[f64]) -> f64 {
    if x.iter().chain(y).any(|v| v.is_nan()) {
        return f64::NAN;
    }
    pearson(&ranks(x), &ranks(y))
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
    let mut ranks = vec![0.0; x.len()];
    let mut before = 0;
    for tied in order.chunk_by(|&a, &b| x[a] == x[b]) {
        let rank = before as f64 + (tied.len() + 1) as f64 / 2.0;
        tied.iter().for_each(|&i| ranks[i] = rank);
        before += tied.len();
    }
    ranks
}

/// x without its mean, scaled to length 1: the product of two such vectors cannot overflow.
fn unit(x: &[f64]) -> Vec<f64> {
    let x = centred(x);
    let length = squares(&x).iter().sum::<f64>().sqrt();
    x.iter().map(|x| x / length).collect()
}

fn centred(x: &[f64]) -> Vec<f64> {
    let mean = mean(x);
    x.iter().map(|x| x - mean).collect()
}

fn squares(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x * x).collect()
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn is_constant(x: &[f64]) -> bool {
    x.iter().all(|&v| v == x[0])
}
