//! One forward pass: where it is recorded and which units it drops.

use std::cell::Cell;
use std::rc::Rc;

use autograd::{Param, Result, Tape, Var, recompute};
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
    /// Whether sections keep their input alone.
    recomputes: bool,
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
        let (precision, site) = (Precision::F32, Cell::new(0));
        Self { tape: tape.clone(), dropout: None, precision, recomputes: false, site }
    }

    /// The same pass with dropout by `seed` and `step`.
    pub fn with_dropout(self, seed: u64, step: u32) -> Self {
        Self { dropout: Some((seed, step)), ..self }
    }

    /// The same pass with hidden states of this precision.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same pass, in which [sections](Pass::section) keep their input alone and are computed again in the
    /// backward.
    pub fn with_recomputation(self, recomputes: bool) -> Self {
        Self { recomputes, ..self }
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
        x.to_dtype(self.hidden_dtype(x))
    }

    /// The dtype of hidden states made of `x`.
    pub(crate) fn hidden_dtype(&self, x: &Var) -> DType {
        match self.precision {
            Precision::F32 => x.value().dtype(),
            Precision::Bf16 => DType::BF16,
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

    /// `forward(pass, x)`, a part of this pass with its parameters; in a pass [with
    /// recomputation](Pass::with_recomputation) by [`recompute`], with the same dropout masks both times. The
    /// bits are the same with and without.
    ///
    /// # Errors
    /// As [`recompute`].
    pub fn section(
        &self,
        params: &[Param],
        x: &Var,
        forward: impl Fn(&Pass, &Var) -> Result<Var> + 'static,
    ) -> Result<Var> {
        if !self.recomputes {
            return forward(self, x);
        }
        // Without a tape of this pass, which will hold the closure.
        let start = self.at_this_site(&Tape::inference());
        let next = Rc::new(Cell::new(0));
        let end = next.clone();
        let y = recompute(&self.tape, params, x, move |tape, x| {
            let pass = start.at_this_site(tape);
            let y = forward(&pass, x)?;
            end.set(pass.site.get());
            Ok(y)
        })?;
        self.site.set(next.get());
        Ok(y)
    }

    /// A pass on another tape, whose next dropout is the next of this one.
    fn at_this_site(&self, tape: &Tape) -> Self {
        Self { tape: tape.clone(), site: self.site.clone(), ..*self }
    }

    /// What the next dropout with probability `p` does; `None` where nothing is dropped.
    pub(crate) fn next_dropout(&self, p: f32) -> Option<Dropout> {
        let site = self.site.replace(self.site.get() + 1);
        let (seed, step) = self.dropout?;
        (p > 0.0).then_some(Dropout { p, key: Key { seed, step, site } })
    }
}
