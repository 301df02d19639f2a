//! 5. Training without any library: logistic regression with Adam, from their formulas, in plain f64.
//!
//! `cargo run -p optim --example 05_logistic_regression_by_hand`
//!
//! ```text
//! p = sigmoid(w x + b)
//! L = mean of -(y ln p + (1 - y) ln(1 - p))
//! dL/dw = mean of (p - y) x          dL/db = mean of (p - y)
//! ```
//!
//! The next example does the same with the library and arrives at the same numbers.

/// Hours of study of twenty students, and who of them passed the exam: the example of Wikipedia's article on
/// logistic regression, <https://en.wikipedia.org/wiki/Logistic_regression>.
pub const HOURS: [f64; 20] = [
    0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.25, 3.5, 4.0, 4.25, 4.5,
    4.75, 5.0, 5.5,
];

/// 1 for passed, 0 for failed.
pub const PASSED: [f64; 20] = [
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0,
    1.0,
];

/// w and b at first. Not b = 0: as many passed as failed, so its gradient would be 0 there, and Adam, which
/// divides gradients by their own size, would make a whole step of a rounding error.
pub const START: (f64, f64) = (0.0, -1.0);

/// Updates of w and b.
pub const STEPS: usize = 500;

/// The learning rate.
pub const RATE: f64 = 0.1;

/// Adam's memory of one parameter: running means of its gradient and of the square of it.
#[derive(Default)]
struct Adam {
    m: f64,
    v: f64,
}

impl Adam {
    /// How far to go down, given the gradient of step t, which counts from 1.
    fn step(&mut self, gradient: f64, t: i32) -> f64 {
        const BETA1: f64 = 0.9;
        const BETA2: f64 = 0.999;
        const EPS: f64 = 1e-8;
        self.m = BETA1 * self.m + (1.0 - BETA1) * gradient;
        self.v = BETA2 * self.v + (1.0 - BETA2) * gradient * gradient;
        // The means begin at 0 and are too small at first.
        let m_hat = self.m / (1.0 - BETA1.powi(t));
        let v_hat = self.v / (1.0 - BETA2.powi(t));
        RATE * m_hat / (v_hat.sqrt() + EPS)
    }
}

/// The loss at each step, and w and b after the last.
pub fn train() -> (Vec<f64>, f64, f64) {
    let (mut w, mut b) = START;
    let (mut adam_w, mut adam_b) = (Adam::default(), Adam::default());
    let mut losses = Vec::new();
    for t in 1..=STEPS as i32 {
        let (mut loss, mut dw, mut db) = (0.0, 0.0, 0.0);
        for (x, y) in HOURS.into_iter().zip(PASSED) {
            let p = 1.0 / (1.0 + (-(w * x + b)).exp());
            loss -= y * p.ln() + (1.0 - y) * (1.0 - p).ln();
            dw += (p - y) * x;
            db += p - y;
        }
        let n = HOURS.len() as f64;
        losses.push(loss / n);
        w -= adam_w.step(dw / n, t);
        b -= adam_b.step(db / n, t);
    }
    (losses, w, b)
}

fn main() {
    let (losses, w, b) = train();
    for (step, loss) in losses.iter().enumerate().filter(|(step, _)| step % 50 == 0) {
        println!("step {step:>3}: loss {loss:.6}");
    }
    println!("passed = sigmoid({w:.4} hours {b:+.4})");
    println!("an even chance after {:.2} hours", -b / w);
    // scikit-learn, LogisticRegression(C=inf): 1.5046 and -4.0777.
    assert!((w - 1.5046).abs() < 1e-3 && (b + 4.0777).abs() < 1e-3);
}
