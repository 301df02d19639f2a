//! The definition, in f64.

use super::Step;

/// One update of `w`, with its gradient `g` and the moments `m` and `v`, all of the same length.
pub fn update(s: Step, w: &mut [f64], g: &[f64], m: &mut [f64], v: &mut [f64]) {
    let Step { lr, beta1, beta2, eps, weight_decay, grad_scale, .. } = s;
    for i in 0..w.len() {
        let g = grad_scale * g[i];
        w[i] -= lr * weight_decay * w[i];
        m[i] = beta1 * m[i] + (1.0 - beta1) * g;
        v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
        let m_hat = m[i] / (1.0 - beta1.powf(s.step as f64));
        let v_hat = v[i] / (1.0 - beta2.powf(s.step as f64));
        w[i] -= lr * m_hat / (v_hat.sqrt() + eps);
    }
}

/// The updates `steps` of a row without a gradient, one after the other: what [`Lazy`](super::Lazy) does later.
pub fn replay(steps: &[Step], w: &mut [f64], m: &mut [f64], v: &mut [f64]) {
    let zeros = vec![0.0; w.len()];
    for &s in steps {
        update(s, w, &zeros, m, v);
    }
}
