//! Dropout.

use autograd::{Result, Var};
use tensor::DType;

use crate::Pass;

/// In training each element is zeroed with probability p, the others are divided by 1 - p; in inference
/// nothing happens.
///
/// Source: Srivastava et al., 2014, <https://jmlr.org/papers/v15/srivastava14a.html>.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    p: f32,
}

impl Dropout {
    /// # Panics
    /// When `p` is not in [0, 1).
    pub fn new(p: f32) -> Self {
        assert!((0.0..1.0).contains(&p), "dropout: expected p in [0, 1), got {p}");
        Self { p }
    }

    /// Applies the layer, `[.., n] -> [.., n]`.
    ///
    /// # Errors
    /// When `x` has no last axis.
    pub fn forward(&self, pass: &Pass, x: &Var) -> Result<Var> {
        drop_units(self.draw(pass), x)
    }

    /// What is dropped at this place of the pass; for layers that drop something of their own.
    pub(crate) fn draw(&self, pass: &Pass) -> Option<tensor::Dropout> {
        pass.next_dropout(self.p)
    }
}

/// Applies what was drawn, in f32: bf16 is widened for it.
pub(crate) fn drop_units(dropout: Option<tensor::Dropout>, x: &Var) -> Result<Var> {
    match (dropout, x.value().dtype()) {
        (None, _) => Ok(x.clone()),
        (Some(dropout), DType::BF16) => {
            x.to_dtype(DType::F32)?.dropout(dropout)?.to_dtype(DType::BF16)
        }
        (Some(dropout), _) => x.dropout(dropout),
    }
}
