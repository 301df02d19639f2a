//! The sum of the embeddings of words, and of places and types where a model has them.

use autograd::{Param, Var};
use nn::{Dropout, Embedding, Initializer, LayerNorm, Linear, Module, Pass};
use tensor::Tensor;

use crate::{Batch, Config, Result};

/// Sums of embeddings, normalized.
#[derive(Clone, Debug)]
pub(super) struct Embeddings {
    pub(super) word: Embedding,
    position: Option<Embedding>,
    token_type: Option<Embedding>,
    layer_norm: LayerNorm,
    dropout: Dropout,
    /// From E to H, where they differ.
    project: Option<Linear>,
    /// The padding token that positions are counted behind.
    padding: Option<u32>,
}

impl Embeddings {
    pub(super) fn new(name: &str, config: &Config, init: &Initializer) -> Self {
        let (h, e) = (config.hidden_size, config.embedding_size);
        let table =
            |part: &str, rows| Embedding::new(&format!("{name}.{part}_embeddings"), rows, e, init);
        let norm = format!("{name}.LayerNorm");
        let project = || Linear::new(&format!("{name}_project"), e, h, init);
        let (types, positions) = (config.type_vocab_size, config.max_position_embeddings);
        Self {
            word: table("word", config.vocab_size),
            position: config.has_position_table().then(|| table("position", positions)),
            token_type: (types > 0).then(|| table("token_type", types)),
            layer_norm: config.layer_norm(&norm, e, init),
            dropout: Dropout::new(config.embedding_dropout()),
            project: (e != h).then(project),
            padding: config.padding_before_positions(),
        }
    }

    /// `[T, H]`: in the precision of the pass where they are mapped to that width, else in f32.
    pub(super) fn forward(&self, pass: &Pass, batch: &Batch) -> Result<Var> {
        let mut sum = self.word.forward(pass, &batch.ids)?;
        if let Some(table) = &self.position {
            sum = table.add_to(pass, &sum, &self.positions(batch)?)?;
        }
        if let Some(table) = &self.token_type {
            sum = table.add_to(pass, &sum, &types(table, batch)?)?;
        }
        let x = self.dropout.forward(pass, &self.layer_norm.forward(pass, &sum)?)?;
        match &self.project {
            Some(project) => Ok(project.forward(pass, &pass.hidden(&x)?)?),
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

    pub(super) fn params(&self) -> Vec<Param> {
        let mut params = Vec::new();
        let tables = [&self.word].into_iter().chain(&self.position).chain(&self.token_type);
        for table in tables {
            params.extend(table.params());
        }
        params.extend(self.layer_norm.params());
        params.extend(self.project.iter().flat_map(Module::params));
        params
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
