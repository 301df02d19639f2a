//! The BERT encoder: embeddings, then a stack of transformer layers.
//!
//! ```text
//! x_t    = LayerNorm(word[id_t] + position[place of t] + type[type_t]), dropped out
//! h      = layer_L( ... layer_1(x))
//! ```
//!
//! Shapes: `[T]` ids `-> [T, H]`. In the rest of the [`Family`](crate::Family) there may be no types, x may be mapped
//! from a width E to H (`x We^T + be`), and places may be counted from another number than 0.
//!
//! Source: Devlin et al., 2018, <https://arxiv.org/abs/1810.04805>.

use autograd::{Param, Var};
use nn::{
    Dropout, Embedding, Initializer, LayerConfig, LayerNorm, Linear, Module, Pass, TransformerLayer,
};
use tensor::{CuSeqLens, Pooling, Tensor};

use crate::{Batch, Config, Error, Result};

/// Sums of three embeddings, normalized.
#[derive(Clone, Debug)]
struct Embeddings {
    word: Embedding,
    position: Embedding,
    token_type: Option<Embedding>,
    layer_norm: LayerNorm,
    dropout: Dropout,
    /// From E to H, where they differ.
    project: Option<Linear>,
    /// The padding token that positions are counted behind.
    padding: Option<u32>,
}

impl Embeddings {
    fn new(name: &str, config: &Config, init: &Initializer) -> Self {
        let (h, e) = (config.hidden_size, config.embedding_size);
        let table =
            |part: &str, rows| Embedding::new(&format!("{name}.{part}_embeddings"), rows, e, init);
        let norm = format!("{name}.LayerNorm");
        let project = || Linear::new(&format!("{name}_project"), e, h, init);
        let types = config.type_vocab_size;
        Self {
            word: table("word", config.vocab_size),
            position: table("position", config.max_position_embeddings),
            token_type: (types > 0).then(|| table("token_type", types)),
            layer_norm: LayerNorm::new(&norm, e, config.layer_norm_eps, init),
            dropout: Dropout::new(config.hidden_dropout_prob),
            project: (e != h).then(project),
            padding: config.padding_before_positions(),
        }
    }

    fn forward(&self, pass: &Pass, batch: &Batch) -> Result<Var> {
        let words = self.word.forward(pass, &batch.ids)?;
        let mut sum = self.position.add_to(pass, &words, &self.positions(batch)?)?;
        if let Some(table) = &self.token_type {
            sum = table.add_to(pass, &sum, &types(table, batch)?)?;
        }
        let x = self.dropout.forward(pass, &self.layer_norm.forward(pass, &sum)?)?;
        let x = pass.hidden(&x)?;
        match &self.project {
            Some(project) => Ok(project.forward(pass, &x)?),
            None => Ok(x),
        }
    }

    /// The row of each token in the table of positions, `[T]`.
    fn positions(&self, batch: &Batch) -> Result<Tensor> {
        match self.padding {
            None => Ok(batch.positions.clone()),
            Some(padding) => positions_behind(padding, batch),
        }
    }

    fn params(&self) -> Vec<Param> {
        let mut params = Vec::new();
        for table in [&self.word, &self.position].into_iter().chain(&self.token_type) {
            params.extend(table.params());
        }
        params.extend(self.layer_norm.params());
        params.extend(self.project.iter().flat_map(Module::params));
        params
    }
}

/// A BERT encoder without a head.
#[derive(Clone, Debug)]
pub struct Encoder {
    embeddings: Embeddings,
    layers: Vec<TransformerLayer>,
    max_length: usize,
}

impl Encoder {
    /// An encoder with fresh parameters under the names of a checkpoint (`bert.embeddings...`).
    pub fn new(config: &Config, init: &Initializer) -> Self {
        let layer_config = layer_config(config);
        let layer =
            |i| TransformerLayer::new(&format!("bert.encoder.layer.{i}"), &layer_config, init);
        Self {
            embeddings: Embeddings::new("bert.embeddings", config, init),
            layers: (0..config.num_hidden_layers).map(layer).collect(),
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
        self.layers.iter_mut().flat_map(TransformerLayer::linears_mut)
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
        let Some(last) = last else { return Ok(x) };
        Ok(last.forward(pass, &x, &batch.seqlens)?)
    }

    /// The last hidden state of the first token of each sequence, `[B, H]`, in the precision of the pass: the
    /// rows that a classifier reads of [`forward`](Self::forward), without the work on the others.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn first_states(&self, pass: &Pass, batch: &Batch) -> Result<Var> {
        let one_each = CuSeqLens::from_lens(&vec![1; batch.seqlens.batch()])?;
        let first = |x: &Var| Ok(x.pool(Pooling::First, &batch.seqlens)?);
        self.forward_queries(pass, batch, &one_each, first)
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
        let states =
            self.forward_queries(pass, batch, &lens, |x| Ok(x.select(&indices(&rows)?)?))?;
        if rows.len() == positions.len() {
            return Ok(states);
        }
        let place = |p| rows.binary_search(p).expect("every position is a query") as u32;
        Ok(states.select(&indices(&positions.iter().map(place).collect::<Vec<_>>())?)?)
    }

    /// The last hidden states of the rows that `pick` takes of the last layer's input.
    fn forward_queries(
        &self,
        pass: &Pass,
        batch: &Batch,
        query_lens: &CuSeqLens,
        pick: impl FnOnce(&Var) -> Result<Var>,
    ) -> Result<Var> {
        self.check_lengths(batch)?;
        let (x, last) = self.below_last(pass, batch)?;
        let queries = pick(&x)?;
        let Some(last) = last else { return Ok(queries) };
        Ok(last.forward_queries(pass, (&queries, query_lens), (&x, &batch.seqlens))?)
    }

    /// The hidden states before the first layer and after each one: L + 1 times `[T, H]`.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn hidden_states(&self, pass: &Pass, batch: &Batch) -> Result<Vec<Var>> {
        self.check_lengths(batch)?;
        let mut states = vec![self.embeddings.forward(pass, batch)?];
        for layer in &self.layers {
            let next = layer.forward(pass, &states[states.len() - 1], &batch.seqlens)?;
            states.push(next);
        }
        Ok(states)
    }

    /// The last layer and its input. Each layer below is a [section](Pass::section) of the pass; the last is none,
    /// because the backward begins with it: it would be computed again when nothing has been freed yet.
    fn below_last(&self, pass: &Pass, batch: &Batch) -> Result<(Var, Option<&TransformerLayer>)> {
        let mut x = self.embeddings.forward(pass, batch)?;
        let Some((last, layers)) = self.layers.split_last() else { return Ok((x, None)) };
        for layer in layers {
            let (own, seqlens) = (layer.clone(), batch.seqlens.clone());
            let forward = move |pass: &Pass, x: &Var| own.forward(pass, x, &seqlens);
            x = pass.section(&layer.params(), &x, forward)?;
        }
        Ok((x, Some(last)))
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
        let layers = self.layers.iter().flat_map(|layer| layer.params());
        self.embeddings.params().into_iter().chain(layers).collect()
    }
}

fn layer_config(config: &Config) -> LayerConfig {
    LayerConfig {
        hidden: config.hidden_size,
        heads: config.num_attention_heads,
        intermediate: config.intermediate_size,
        activation: config.hidden_act,
        layer_norm_eps: config.layer_norm_eps,
        attention_output_dropout: match config.family.drops_attention_output() {
            true => config.hidden_dropout_prob,
            false => 0.0,
        },
        output_dropout: config.hidden_dropout_prob,
        attention_dropout: config.attention_probs_dropout_prob,
    }
}

/// The row of each token in the table of types, `[T]`. A model with one type has it for both texts of a pair, whatever
/// a tokenizer that was made for BERT says.
fn types(table: &Embedding, batch: &Batch) -> Result<Tensor> {
    match table.weight.shape()[0] {
        1 => Ok(Tensor::from_vec(vec![0u32; batch.seqlens.total()], batch.type_ids.shape())?),
        _ => Ok(batch.type_ids.clone()),
    }
}

/// Places counted from `padding` + 1 on in each sequence. A padding token within a text, where somebody wrote one, has
/// the place `padding` and is not counted, as in transformers' `create_position_ids_from_input_ids`.
fn positions_behind(padding: u32, batch: &Batch) -> Result<Tensor> {
    let ids = batch.ids.to_vec::<u32>()?;
    let mut positions = Vec::with_capacity(ids.len());
    for i in 0..batch.seqlens.batch() {
        let mut place = padding;
        for &id in &ids[batch.seqlens.range(i)] {
            place += u32::from(id != padding);
            positions.push(if id == padding { padding } else { place });
        }
    }
    Ok(Tensor::from_vec(positions, &[ids.len()])?)
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
