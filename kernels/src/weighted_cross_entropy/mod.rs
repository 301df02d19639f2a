//! Softmax and cross-entropy in one, where classes have weights and targets are smoothed: PyTorch's
//! `CrossEntropyLoss(weight, label_smoothing)`, mean reduction.
//!
//! ```text
//! target     q_rc       = w_c ((1 - e) [c = label_r] + e / C)     Q_r = sum_c q_rc     W = sum_r w_label_r
//! forward    m_r        = max_c x_rc
//!            rsum_r     = 1 / sum_c exp(x_rc - m_r)
//!            loss       = 1/W sum_r sum_c q_rc (m_r - x_rc - log rsum_r)
//! backward   dlogits_rc = dloss / W (Q_r rsum_r exp(x_rc - m_r) - q_rc)
//! ```
//!
//! Shapes: logits `[rows, C]`, labels `[rows]`, weights `[C]` -> one number; rsum, saved for the backward, `[rows]`.
//! Numerics as in [`cross_entropy`](crate::cross_entropy), whose bits these are with weights of 1 and e = 0; that op is
//! the one for a vocabulary. A class with a logit of -inf costs infinity, so that one of weight 0 costs 0 times
//! infinity, NaN, as in PyTorch: if it is the label, and with e > 0 in any row. Where all labels have weight 0 there is
//! no mean, and the loss is not finite.
//!
//! Source: Szegedy et al., *Rethinking the Inception Architecture for Computer Vision*, 2016, section 7 (smoothing).
//! Above: `tensor/src/ops/weighted_cross_entropy.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{backward, forward};

/// What a target says of the classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighting {
    /// w, `[C]`: how much a target of each class counts; 1 for as much as without weights.
    pub weights: Vec<f64>,
    /// e in [0, 1): the part of a target that is shared out to all classes alike.
    pub label_smoothing: f64,
}

impl Weighting {
    /// W, the sum of the weights of these targets: the number that their loss is the mean over.
    ///
    /// # Panics
    /// When a label is not below C.
    pub fn total(&self, labels: &[u32]) -> f64 {
        labels.iter().map(|&label| self.weights[label as usize]).sum()
    }

    /// (1 - e) w_c: what class c has of a target if it is the label.
    fn own(&self, class: usize) -> f64 {
        (1.0 - self.label_smoothing) * self.weights[class]
    }

    /// e / C: what a class of weight 1 has of every target.
    fn share(&self) -> f64 {
        self.label_smoothing / self.weights.len() as f64
    }

    fn is_smooth(&self) -> bool {
        self.label_smoothing > 0.0
    }

    /// C, of operands that fit.
    fn columns(&self, logits: usize, labels: &[u32]) -> usize {
        let cols = self.weights.len();
        assert!(!labels.is_empty(), "weighted_cross_entropy: no rows");
        assert!(logits == labels.len() * cols, "weighted_cross_entropy: lengths");
        let below = labels.iter().all(|&l| (l as usize) < cols);
        assert!(below, "weighted_cross_entropy: expected labels < {cols}");
        cols
    }
}
