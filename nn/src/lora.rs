//! A product of two thin matrices beside a frozen weight: low-rank adaptation.
//!
//! ```text
//! forward    y = x W^T + b + (alpha / r) dropout(x) A^T B^T        A [r, I], B [O, r]
//! merged     y = x (W + (alpha / r) B A)^T + b                     the same without dropout
//! ```
//!
//! A change of rank r of a weight `[O, I]` has r (O + I) numbers in place of O I, and so have its gradient and the
//! optimizer's moments. W itself stays as it is. B begins at zero, so that training begins with the model that was
//! there; A must not, or neither would have a gradient. Dividing alpha by r keeps the size of a step about the same
//! when another rank is tried.
//!
//! Names are those of the Python package `peft`: `NAME.lora_A.weight` and `NAME.lora_B.weight` beside `NAME.weight`.
//!
//! Source: Hu et al., 2021, <https://arxiv.org/abs/2106.09685>, section 4.1.

use autograd::{Param, Result, Var, ops};
use tensor::{Device, Tensor};

use crate::{Dropout, Init, Initializer, Module, Pass};

/// What all adapters of a model have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoraConfig {
    /// r, from 1.
    pub rank: usize,
    /// The product is multiplied by alpha / r.
    pub alpha: f64,
    /// The share of the inputs of A that is dropped in training, from 0 to below 1.
    pub dropout: f32,
}

/// The adapter of a [`Linear`](crate::Linear). Parameters: `NAME.lora_A.weight` `[r, I]`, `NAME.lora_B.weight`
/// `[O, r]`.
#[derive(Clone, Debug)]
pub struct Lora {
    a: Param,
    b: Param,
    scale: f64,
    dropout: Dropout,
}

impl Lora {
    /// One that changes nothing yet, beside the weight `[outputs, inputs]` of the layer `name`: A by PyTorch's law for
    /// linear layers and by `seed`, B zero.
    ///
    /// # Panics
    /// When the rank is 0, or the dropout is not in [0, 1).
    pub fn new(name: &str, [outputs, inputs]: [usize; 2], config: &LoraConfig, seed: u64) -> Self {
        let rank = config.rank;
        assert!(rank > 0, "{name}: an adapter has a rank from 1");
        let init = Initializer { init: Init::PyTorchUniform, seed };
        Self {
            a: init.weight(format!("{name}.lora_A.weight"), &[rank, inputs]),
            b: init.zeroed(format!("{name}.lora_B.weight"), &[outputs, rank]),
            scale: config.alpha / rank as f64,
            dropout: Dropout::new(config.dropout),
        }
    }

    /// x W^T + b with what this adds: x `[.., I] -> [.., O]`.
    pub(crate) fn forward(
        &self,
        pass: &Pass,
        x: &Var,
        affine: (&Var, Option<&Var>),
    ) -> Result<Var> {
        let z = self.dropout.forward(pass, x)?;
        // B is scaled and not the product: it has few elements, and is f32 where hidden states are bf16.
        let b = pass.param(&self.b).scale(self.scale)?;
        ops::adapted_linear(x, affine, &z, [&pass.param(&self.a), &b])
    }

    /// W + (alpha / r) B A, computed on the CPU, so that its bits do not depend on the device; it is where W is.
    pub(crate) fn merged(&self, weight: &Tensor) -> Result<Tensor> {
        let here = |tensor: Tensor| tensor.to_device(&Device::Cpu);
        let (a, b) = (here(self.a.value())?, here(self.b.value())?);
        let sum = here(weight.clone())?.add(&b.scale(self.scale)?.matmul(&a)?)?;
        Ok(sum.to_device(&weight.device())?)
    }
}

impl Module for Lora {
    fn params(&self) -> Vec<Param> {
        vec![self.a.clone(), self.b.clone()]
    }
}
