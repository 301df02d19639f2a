//! One forward pass: where it is recorded and which units it drops.

use std::cell::Cell;

use autograd::{Param, Result, Tape, Var};
use tensor::{DType, Dropout, philox::Key};

/// What hidden states are kept and multiplied in; parameters, gradients of parameters, losses and updates stay
/// f32, and every sum is f32, in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 24 significant bits: the digits of PyTorch in f32.
    #[default]
    F32,
    /// 8 significant bits, the range of f32: half the memory, and matrix products on bf16 units.
    Bf16,
}

/// The circumstances of a forward pass.
///
/// Dropout masks are a function of (seed, step, site, element): every dropout of a pass takes the next site
/// number, so a pass is repeated exactly by making it again with the same seed and step.
pub struct Pass {
    tape: Tape,
    /// Seed and step; `None` drops nothing.
    dropout: Option<(u64, u32)>,
    precision: Precision,
    site: Cell<u32>,
}

impl Pass {
    /// No derivatives, no dropout.
    pub fn inference() -> Self {
        Self::on(&Tape::inference())
    }

    /// Records on a tape of its own, and drops units by `seed` and the number of the training step.
    pub fn training(seed: u64, step: u32) -> Self {
        Self { dropout: Some((seed, step)), ..Self::on(&Tape::new()) }
    }

    /// On the given tape, without dropout.
    pub fn on(tape: &Tape) -> Self {
        let (dropout, precision) = (None, Precision::F32);
        Self { tape: tape.clone(), dropout, precision, site: Cell::new(0) }
    }

    /// The same pass with dropout by `seed` and `step`.
    pub fn with_dropout(self, seed: u64, step: u32) -> Self {
        Self { dropout: Some((seed, step)), ..self }
    }

    /// The same pass with hidden states of this precision.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The precision of hidden states.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// `x` in the precision of hidden states; f64 stays f64 where that is f32.
    ///
    /// # Errors
    /// When `x` is on a tape that was walked.
    pub fn hidden(&self, x: &Var) -> Result<Var> {
        match self.precision {
            Precision::F32 => Ok(x.clone()),
            Precision::Bf16 => x.to_dtype(DType::BF16),
        }
    }

    /// The tape.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// A parameter as a variable of this pass.
    pub fn param(&self, param: &Param) -> Var {
        self.tape.param(param)
    }

    /// What the next dropout with probability `p` does; `None` where nothing is dropped.
    pub(crate) fn next_dropout(&self, p: f32) -> Option<Dropout> {
        let site = self.site.replace(self.site.get() + 1);
        let (seed, step) = self.dropout?;
        (p > 0.0).then_some(Dropout { p, key: Key { seed, step, site } })
    }
}
