//! Multi-head self-attention over a ragged batch.

use autograd::ops::{self, Attention};
use autograd::{Param, Result, Var};
use tensor::{CuSeqLens, DType};

use crate::{Dropout, Initializer, LayerConfig, Linear, Module, Pass, RelativePosition};

/// Each token gathers values from the tokens of its own sequence, weighted by how its query meets their
/// keys, in N subspaces at once.
///
/// ```text
/// q, k, v = x Wq^T + bq, ...            N heads of D = H / N columns each
/// o       = softmax(q k^T / sqrt(D)) v  per sequence and head, with dropout on the probabilities
/// ```
///
/// Scores may also depend on the distance of two tokens ([`RelativePosition`]): a bias is added, or queries and keys
/// meet vectors, which the maps of queries and keys are applied to as well:
///
/// ```text
/// a, b    = e Wk^T + bk, e Wq^T + bq    the key and the query of each distance, from its vector e
/// s_ij    = (q_i . k_j + q_i . a_(j - i) + k_j . b_(j - i)) / sqrt(3 D)
/// ```
///
/// Shapes: x and o `[T, H]`. Parameters: `NAME.{query,key,value}.{weight,bias}`. The projection behind it
/// belongs to the [transformer layer](crate::TransformerLayer).
///
/// Source: Vaswani et al., 2017, <https://arxiv.org/abs/1706.03762>, section 3.2; with vectors: He et al., 2020,
/// <https://arxiv.org/abs/2006.03654>, section 3.1, where maps are shared (`share_att_key`).
#[derive(Clone, Debug)]
pub struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    heads: usize,
    dropout: Dropout,
    relative_position: Option<RelativePosition>,
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
            relative_position: None,
        }
    }

    /// How scores depend on the distance of tokens; what it takes belongs to the encoder.
    pub(crate) fn set_relative_position(&mut self, position: Option<&RelativePosition>) {
        self.relative_position = position.cloned();
    }

    /// Whether they do.
    pub(crate) fn has_relative_position(&self) -> bool {
        self.relative_position.is_some()
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
    /// When the variables do not have the rows of their offsets, H is no multiple of N, or scores depend on
    /// distances and not all tokens ask.
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
        match &self.relative_position {
            None => ops::attention(attention, &q, &k, &v, None),
            Some(RelativePosition::Bias(bias)) => {
                ops::attention(attention, &q, &k, &v, Some(&bias.forward(pass)?))
            }
            Some(RelativePosition::Vectors(vectors)) => {
                let longest = key_lens.lens().max().unwrap_or(1);
                let [a, b] = self.map_vectors(pass, &vectors.forward(pass, longest)?)?;
                ops::disentangled_attention(attention, [&q, &k, &v], [&a, &b])
            }
        }
    }

    /// The key and the query of each distance, `[2R + 1, H]`, as [`ops::disentangled_attention`] takes them.
    fn map_vectors(&self, pass: &Pass, vectors: &Var) -> Result<[Var; 2]> {
        let wide = |x: Var| match x.value().dtype() {
            DType::BF16 => x.to_dtype(DType::F32),
            _ => Ok(x),
        };
        Ok([wide(self.key.forward(pass, vectors)?)?, wide(self.query.forward(pass, vectors)?)?])
    }
}

impl Module for SelfAttention {
    fn params(&self) -> Vec<Param> {
        [&self.query, &self.key, &self.value].iter().flat_map(|l| l.params()).collect()
    }
}
