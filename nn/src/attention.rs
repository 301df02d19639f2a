//! Multi-head self-attention over a ragged batch.

use autograd::ops::{self, Attention};
use autograd::{Param, Result, Var};
use tensor::CuSeqLens;

use crate::{Dropout, Initializer, LayerConfig, Linear, Module, Pass, RelativeBias};

/// Each token gathers values from the tokens of its own sequence, weighted by how its query meets their
/// keys, in N subspaces at once.
///
/// ```text
/// q, k, v = x Wq^T + bq, ...            N heads of D = H / N columns each
/// o       = softmax(q k^T / sqrt(D)) v  per sequence and head, with dropout on the probabilities
/// ```
///
/// A [relative bias](RelativeBias), where there is one, is added to the scores.
///
/// Shapes: x and o `[T, H]`. Parameters: `NAME.{query,key,value}.{weight,bias}`. The projection behind it
/// belongs to the [transformer layer](crate::TransformerLayer).
///
/// Source: Vaswani et al., 2017, <https://arxiv.org/abs/1706.03762>, section 3.2.
#[derive(Clone, Debug)]
pub struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    heads: usize,
    dropout: Dropout,
    relative_bias: Option<RelativeBias>,
}

impl SelfAttention {
    /// With the sizes, heads and attention dropout of `config`.
    ///
    /// # Panics
    /// When the attention dropout is not in [0, 1).
    pub fn new(name: &str, config: &LayerConfig, init: &Initializer) -> Self {
        let linear =
            |part: &str| Linear::new(&format!("{name}.{part}"), config.hidden, config.hidden, init);
        Self {
            query: linear("query"),
            key: linear("key"),
            value: linear("value"),
            heads: config.heads,
            dropout: Dropout::new(config.attention_dropout),
            relative_bias: None,
        }
    }

    /// What is added to scores by the distance of tokens, a parameter that belongs to the encoder.
    pub(crate) fn set_relative_bias(&mut self, bias: Option<&RelativeBias>) {
        self.relative_bias = bias.cloned();
    }

    /// Whether there is such.
    pub(crate) fn has_relative_bias(&self) -> bool {
        self.relative_bias.is_some()
    }

    /// Its linear maps: of the queries, keys and values.
    pub(crate) fn linears_mut(&mut self) -> [&mut Linear; 3] {
        [&mut self.query, &mut self.key, &mut self.value]
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// When `x` is not `[T, H]` for the batch's T, or H no multiple of N.
    pub fn forward(&self, pass: &Pass, x: &Var, batch: &CuSeqLens) -> Result<Var> {
        self.forward_queries(pass, (x, batch), (x, batch))
    }

    /// What some tokens, the queries, gather from all tokens of their sequence: queries `[Tq, H]` and x `[T, H]`, with
    /// the offsets of either `-> [Tq, H]`.
    ///
    /// # Errors
    /// When the variables do not have the rows of their offsets, H is no multiple of N, or there is a relative bias and
    /// not all tokens ask.
    pub fn forward_queries(
        &self,
        pass: &Pass,
        (queries, query_lens): (&Var, &CuSeqLens),
        (x, key_lens): (&Var, &CuSeqLens),
    ) -> Result<Var> {
        let q = self.query.forward(pass, queries)?;
        let k = self.key.forward(pass, x)?;
        let v = self.value.forward(pass, x)?;
        let attention = Attention {
            queries: query_lens.clone(),
            keys: key_lens.clone(),
            heads: self.heads,
            dropout: self.dropout.draw(pass),
            window: None,
        };
        let bias = self.relative_bias.as_ref().map(|bias| bias.forward(pass)).transpose()?;
        ops::attention(attention, &q, &k, &v, bias.as_ref())
    }
}

impl Module for SelfAttention {
    fn params(&self) -> Vec<Param> {
        [&self.query, &self.key, &self.value].iter().flat_map(|l| l.params()).collect()
    }
}
