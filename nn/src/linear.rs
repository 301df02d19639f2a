//! The affine layer.

use autograd::{Param, Result, Var, ops};

use crate::{Initializer, Lora, LoraConfig, Module, Pass, to_device};

/// y = x w^T + b, and what an [adapter](Lora) adds, if it has one.
///
/// Shapes: x `[.., I]`, w `[O, I]`, b `[O]`, y `[.., O]`. Parameters: `NAME.weight`, `NAME.bias` if there is one, then
/// those of the adapter.
#[derive(Clone, Debug)]
pub struct Linear {
    /// w, `[O, I]`.
    pub weight: Param,
    /// b, `[O]`; none where nothing is added.
    pub bias: Option<Param>,
    adapter: Option<Lora>,
}

impl Linear {
    /// A layer from `inputs` to `outputs`: w by the initialiser's law, b zero.
    pub fn new(name: &str, inputs: usize, outputs: usize, init: &Initializer) -> Self {
        Self {
            weight: init.weight(format!("{name}.weight"), &[outputs, inputs]),
            bias: Some(init.zeroed(format!("{name}.bias"), &[outputs])),
            adapter: None,
        }
    }

    /// The same layer, without b if `bias` is false.
    pub fn with_bias(mut self, bias: bool) -> Self {
        self.bias = self.bias.filter(|_| bias);
        self
    }

    /// NAME, as it was given.
    pub fn name(&self) -> &str {
        self.weight.name().strip_suffix(".weight").expect("named by new")
    }

    /// Gives it a fresh adapter, by `seed`, where w is; w and b are for the caller to freeze.
    ///
    /// # Errors
    /// When a GPU is full.
    ///
    /// # Panics
    /// As [`Lora::new`].
    pub fn adapt(&mut self, config: &LoraConfig, seed: u64) -> Result<()> {
        let shape = self.weight.shape();
        let adapter = Lora::new(self.name(), [shape[0], shape[1]], config, seed);
        to_device(&adapter.params(), &self.weight.device())?;
        self.adapter = Some(adapter);
        Ok(())
    }

    /// Whether it has an adapter.
    pub fn is_adapted(&self) -> bool {
        self.adapter.is_some()
    }

    /// Adds the adapter to a weight of its own, and has none then; whoever shares the old weight keeps it.
    ///
    /// # Errors
    /// When a GPU is full.
    pub fn merge(&mut self) -> Result<()> {
        let Some(adapter) = self.adapter.take() else { return Ok(()) };
        self.weight = Param::new(self.weight.name(), adapter.merged(&self.weight.value())?);
        Ok(())
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// When the last axis of `x` is not I.
    pub fn forward(&self, pass: &Pass, x: &Var) -> Result<Var> {
        let (w, b) = self.vars(pass);
        match &self.adapter {
            Some(adapter) => adapter.forward(pass, x, (&w, b.as_ref())),
            None => ops::linear(x, &w, b.as_ref()),
        }
    }

    /// w and b as variables of the pass.
    pub(crate) fn vars(&self, pass: &Pass) -> (Var, Option<Var>) {
        (pass.param(&self.weight), self.bias.as_ref().map(|b| pass.param(b)))
    }
}

impl Module for Linear {
    fn params(&self) -> Vec<Param> {
        let own = [&self.weight].into_iter().chain(&self.bias).cloned();
        own.chain(self.adapter.iter().flat_map(Module::params)).collect()
    }
}
