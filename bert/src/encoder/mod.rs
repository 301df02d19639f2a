//! The encoder: embeddings, then a stack of transformer layers.
//!
//! ```text
//! BERT         x_t = LayerNorm(word[id_t] + position[place of t] + type[type_t]), dropped out
//!              h   = layer_L( ... layer_1(x))
//! ModernBERT   x_t = LayerNorm(word[id_t]), dropped out
//!              h   = LayerNorm(layer_L( ... layer_1(x)))
//! ```
//!
//! Shapes: `[T]` ids `-> [T, H]`. In the rest of the [`Family`](crate::Family) there may be no types, x may be mapped
//! from a width E to H (`x We^T + be`), and places may be counted from another number than 0.
//!
//! Sources: Devlin et al., 2018, <https://arxiv.org/abs/1810.04805>; Warner et al., 2024,
//! <https://arxiv.org/abs/2412.13663>.

mod embeddings;
mod layer;

use autograd::{Param, Var};
use nn::{Initializer, LayerNorm, Linear, Module, Pass, RelativePosition};
use tensor::{CuSeqLens, Pooling, Tensor};

use self::embeddings::Embeddings;
use self::layer::Layer;
use crate::{Batch, Config, Error, Result};

/// An encoder without a head.
#[derive(Clone, Debug)]
pub struct Encoder {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    /// In the scores of all layers, which share it.
    relative_position: Option<RelativePosition>,
    /// Behind pre-norm layers, which leave their sum as it is.
    final_norm: Option<LayerNorm>,
    max_length: usize,
}

impl Encoder {
    /// An encoder with fresh parameters under the names of a checkpoint (`bert.embeddings...`).
    pub fn new(config: &Config, init: &Initializer) -> Self {
        let relative_position = config.relative_position(init);
        Self {
            embeddings: Embeddings::new("bert.embeddings", config, init),
            layers: Layer::all(config, relative_position.as_ref(), init),
            relative_position,
            final_norm: config
                .is_modern()
                .then(|| config.layer_norm("bert.final_norm", config.hidden_size, init)),
            max_length: config.max_length(),
        }
    }

    /// L, the number of layers.
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// The table of the words, `[V, E]`: the one parameter of which a batch reads few rows.
    pub fn word_embeddings(&self) -> &Param {
        &self.embeddings.word.weight
    }

    /// The linear maps of all layers: those that LoRA may adapt.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.layers.iter_mut().flat_map(Layer::linears_mut)
    }

    /// Adds what adapters learned to weights of its own, and has no adapters then; a clone that shares the weights
    /// keeps both.
    ///
    /// # Errors
    /// When a GPU is full.
    pub fn merge(&mut self) -> Result<()> {
        Ok(self.linears_mut().try_for_each(Linear::merge)?)
    }

    /// The last hidden states, `[T, H]`, in the precision of the pass.
    ///
    /// # Errors
    /// When a sequence is longer than [`Config::max_length`], or an id is not in its table.
    pub fn forward(&self, pass: &Pass, batch: &Batch) -> Result<Var> {
        self.check_lengths(batch)?;
        let (x, last) = self.below_last(pass, batch)?;
        let Some(last) = last else { return self.finish(pass, &x) };
        self.finish(pass, &last.forward(pass, &x, &batch.seqlens)?)
    }

    /// The last hidden state of the first token of each sequence, `[B, H]`, in the precision of the pass: the
    /// rows that a classifier reads of [`forward`](Self::forward), without the work on the others.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn first_states(&self, pass: &Pass, batch: &Batch) -> Result<Var> {
        let one_each = CuSeqLens::from_lens(&vec![1; batch.seqlens.batch()])?;
        let first = |x: &Var| x.pool(Pooling::First, &batch.seqlens);
        self.forward_rows(pass, batch, (first, &one_each))
    }

    /// The last hidden states of some tokens, `[M, H]`, in the precision of the pass: rows `positions` (`[M]`) of
    /// [`forward`](Self::forward), without the work of the last layer on the others.
    ///
    /// # Errors
    /// As [`Encoder::forward`]; when there are no positions, they do not ascend, or one is not below T.
    pub fn states_at(&self, pass: &Pass, batch: &Batch, positions: &[u32]) -> Result<Var> {
        check_positions(positions, batch.seqlens.total())?;
        let (rows, lens) = query_rows(positions, &batch.seqlens);
        let lens = CuSeqLens::from_lens(&lens)?;
        let chosen = indices(&rows)?;
        let states = self.forward_rows(pass, batch, (|x: &Var| x.select(&chosen), &lens))?;
        if rows.len() == positions.len() {
            return Ok(states);
        }
        let place = |p| rows.binary_search(p).expect("every position is a query") as u32;
        Ok(states.select(&indices(&positions.iter().map(place).collect::<Vec<_>>())?)?)
    }

    /// The rows of the last hidden states that `pick` takes of a matrix `[T, H]`, `lens` of each sequence.
    fn forward_rows(
        &self,
        pass: &Pass,
        batch: &Batch,
        (pick, lens): (impl Fn(&Var) -> autograd::Result<Var>, &CuSeqLens),
    ) -> Result<Var> {
        self.check_lengths(batch)?;
        let (x, last) = self.below_last(pass, batch)?;
        let Some(last) = last else { return self.finish(pass, &pick(&x)?) };
        self.finish(pass, &last.forward_rows(pass, &x, &batch.seqlens, (pick, lens))?)
    }

    /// The hidden states before the first layer and after each one, as the last ones of an encoder that ends there:
    /// L + 1 times `[T, H]`.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn hidden_states(&self, pass: &Pass, batch: &Batch) -> Result<Vec<Var>> {
        self.check_lengths(batch)?;
        let mut x = self.embedded(pass, batch)?;
        let mut states = vec![self.finish(pass, &x)?];
        for layer in &self.layers {
            x = layer.forward(pass, &x, &batch.seqlens)?;
            states.push(self.finish(pass, &x)?);
        }
        Ok(states)
    }

    /// The input of the first layer: that of pre-norm layers stays f32.
    fn embedded(&self, pass: &Pass, batch: &Batch) -> Result<Var> {
        let x = self.embeddings.forward(pass, batch)?;
        match self.final_norm {
            Some(_) => Ok(x),
            None => Ok(pass.hidden(&x)?),
        }
    }

    /// From rows behind the last layer to hidden states.
    fn finish(&self, pass: &Pass, x: &Var) -> Result<Var> {
        match &self.final_norm {
            Some(norm) => Ok(norm.forward_hidden(pass, x)?),
            None => Ok(x.clone()),
        }
    }

    /// The last layer and its input. Each layer below is a [section](Pass::section) of the pass; the last is none,
    /// because the backward begins with it: it would be computed again when nothing has been freed yet.
    fn below_last(&self, pass: &Pass, batch: &Batch) -> Result<(Var, Option<&Layer>)> {
        let mut x = self.embedded(pass, batch)?;
        let Some((last, layers)) = self.layers.split_last() else { return Ok((x, None)) };
        for layer in layers {
            let (own, seqlens) = (layer.clone(), batch.seqlens.clone());
            let forward = move |pass: &Pass, x: &Var| own.forward(pass, x, &seqlens);
            let params = [layer.params(), self.shared_params()].concat();
            x = pass.section(&params, &x, forward)?;
        }
        Ok((x, Some(last)))
    }

    /// Those that layers have in common.
    fn shared_params(&self) -> Vec<Param> {
        self.relative_position.iter().flat_map(Module::params).collect()
    }

    fn check_lengths(&self, batch: &Batch) -> Result<()> {
        let longest = batch.seqlens.lens().max().unwrap_or(0);
        match longest <= self.max_length {
            true => Ok(()),
            false => Err(Error::TooLong { length: longest, limit: self.max_length }),
        }
    }
}

impl Module for Encoder {
    fn params(&self) -> Vec<Param> {
        let layers = self.layers.iter().flat_map(Module::params);
        let params = self.embeddings.params().into_iter().chain(self.shared_params());
        params.chain(layers).chain(self.final_norm.iter().flat_map(Module::params)).collect()
    }
}

fn check_positions(positions: &[u32], limit: usize) -> Result<()> {
    let none = "expected at least one, got none; leave out a batch without one";
    let Some(&last) = positions.last() else { return Err(Error::Positions(none.to_owned())) };
    if let Some(pair) = positions.windows(2).find(|pair| pair[0] >= pair[1]) {
        let message = format!("expected ascending rows, got {} behind {}", pair[1], pair[0]);
        return Err(Error::Positions(message));
    }
    match (last as usize) < limit {
        true => Ok(()),
        false => {
            Err(Error::Positions(format!("expected rows of a batch of {limit} tokens, got {last}")))
        }
    }
}

/// The queries of the last layer, ascending rows, and how many of them each sequence has: the positions, and the
/// first token of a sequence without one, because attention wants a query of each.
fn query_rows(positions: &[u32], seqlens: &CuSeqLens) -> (Vec<u32>, Vec<usize>) {
    let (mut rows, mut lens, mut rest) = (Vec::new(), Vec::new(), positions);
    for i in 0..seqlens.batch() {
        let range = seqlens.range(i);
        let (own, behind) = rest.split_at(rest.partition_point(|&p| (p as usize) < range.end));
        match own.is_empty() {
            true => rows.push(range.start as u32),
            false => rows.extend_from_slice(own),
        }
        lens.push(own.len().max(1));
        rest = behind;
    }
    (rows, lens)
}

/// Rows as a tensor, `[M]`.
fn indices(rows: &[u32]) -> Result<Tensor> {
    Ok(Tensor::from_vec(rows.to_vec(), &[rows.len()])?)
}
