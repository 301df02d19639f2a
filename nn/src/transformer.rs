//! The encoder layer.

use autograd::{Param, Result, Var, ops};
use tensor::{Activation, CuSeqLens};

use crate::{
    Dropout, Initializer, LayerNorm, Linear, Module, Pass, RelativePosition, SelfAttention,
};

/// Sizes and rates of a transformer layer.
#[derive(Clone, Copy, Debug)]
pub struct LayerConfig {
    /// H.
    pub hidden: usize,
    /// N, a divisor of H.
    pub heads: usize,
    /// F, the width of the feed-forward block.
    pub intermediate: usize,
    /// Between the two halves of the feed-forward block.
    pub activation: Activation,
    /// In both LayerNorms.
    pub layer_norm_eps: f64,
    /// Dropout of what attention adds to the residual stream.
    pub attention_output_dropout: f32,
    /// Dropout of what the feed-forward block adds to it.
    pub output_dropout: f32,
    /// Dropout of the attention probabilities.
    pub attention_dropout: f32,
}

/// One layer of a post-norm transformer encoder.
///
/// ```text
/// a = LayerNorm(x + dropout(attention(x) Wo^T + bo))
/// y = LayerNorm(a + dropout(f(a W1^T + b1) W2^T + b2))
/// ```
///
/// Shapes: x and y `[T, H]`, inside the feed-forward block `[T, F]`. Parameters carry BERT's names below
/// NAME: `attention.self.*`, `attention.output.{dense,LayerNorm}.*`, `intermediate.dense.*`,
/// `output.{dense,LayerNorm}.*`.
///
/// Source: Vaswani et al., 2017, <https://arxiv.org/abs/1706.03762>, section 3.1; Devlin et al., 2018.
#[derive(Clone, Debug)]
pub struct TransformerLayer {
    attention: SelfAttention,
    attention_output: Residual,
    intermediate: Linear,
    activation: Activation,
    output: Residual,
}

impl TransformerLayer {
    /// A layer with fresh parameters.
    ///
    /// # Panics
    /// When a dropout probability is not in [0, 1).
    pub fn new(name: &str, config: &LayerConfig, init: &Initializer) -> Self {
        let (h, f) = (config.hidden, config.intermediate);
        let residual = |part: &str, width, dropout| {
            Residual::new(
                &format!("{name}.{part}"),
                [width, h],
                (config.layer_norm_eps, dropout),
                init,
            )
        };
        Self {
            attention: SelfAttention::new(&format!("{name}.attention.self"), config, init),
            attention_output: residual("attention.output", h, config.attention_output_dropout),
            intermediate: Linear::new(&format!("{name}.intermediate.dense"), h, f, init),
            activation: config.activation,
            output: residual("output", f, config.output_dropout),
        }
    }

    /// The same layer with scores that depend on the distance of tokens; what it takes is no parameter of the layer.
    pub fn with_relative_position(mut self, position: Option<&RelativePosition>) -> Self {
        self.attention.set_relative_position(position);
        self
    }

    /// Its six linear maps, in the order of their parameters: to give them adapters, or to merge these.
    pub fn linears_mut(&mut self) -> [&mut Linear; 6] {
        let [query, key, value] = self.attention.linears_mut();
        let (attended, first) = (&mut self.attention_output.dense, &mut self.intermediate);
        [query, key, value, attended, first, &mut self.output.dense]
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// When `x` is not `[T, H]` for the batch's T.
    pub fn forward(&self, pass: &Pass, x: &Var, batch: &CuSeqLens) -> Result<Var> {
        self.forward_queries(pass, (x, batch), (x, batch))
    }

    /// The outputs of some tokens, the queries, each among all tokens of its sequence: queries `[Tq, H]`, at least
    /// one of each sequence, and x `[T, H]`, with the offsets of either `-> [Tq, H]`. Keys and values are those of all
    /// tokens; everything else is computed for the queries alone. Of rows of x it makes these rows of
    /// [`forward`](Self::forward): for a head that reads no others of its last layer.
    ///
    /// # Errors
    /// When the variables do not have the rows of their offsets, or a sequence has no query.
    pub fn forward_queries(
        &self,
        pass: &Pass,
        (queries, query_lens): (&Var, &CuSeqLens),
        x: (&Var, &CuSeqLens),
    ) -> Result<Var> {
        let attended = self.attention.forward_queries(pass, (queries, query_lens), x)?;
        self.after_attention(pass, &attended, queries)
    }

    /// The rows of [`forward`](Self::forward) that `pick` takes of a matrix `[T, H]`, `lens` of each sequence, without
    /// what can be left out of the work on others: scores that depend on distances ask for all queries.
    ///
    /// # Errors
    /// As [`forward_queries`](Self::forward_queries), and those of `pick`.
    pub fn forward_rows(
        &self,
        pass: &Pass,
        x: &Var,
        batch: &CuSeqLens,
        (pick, lens): (impl Fn(&Var) -> Result<Var>, &CuSeqLens),
    ) -> Result<Var> {
        let picked = pick(x)?;
        match self.attention.has_relative_position() {
            false => self.forward_queries(pass, (&picked, lens), (x, batch)),
            true => {
                let attended = pick(&self.attention.forward(pass, x, batch)?)?;
                self.after_attention(pass, &attended, &picked)
            }
        }
    }

    fn after_attention(&self, pass: &Pass, attended: &Var, x: &Var) -> Result<Var> {
        let update = self.attention_output.dense.forward(pass, attended)?;
        let a = self.attention_output.add_norm(pass, &update, x)?;
        let update = self.feed_forward(pass, &a)?;
        self.output.add_norm(pass, &update, &a)
    }

    /// f(a W1^T + b1) W2^T + b2, in one where neither map has an adapter.
    fn feed_forward(&self, pass: &Pass, a: &Var) -> Result<Var> {
        let maps = [&self.intermediate, &self.output.dense];
        if maps.iter().any(|map| map.is_adapted()) {
            let z = self.intermediate.forward(pass, a)?;
            return self.output.dense.forward(pass, &z.activation(self.activation)?);
        }
        let [first, second] = maps.map(|map| {
            let (w, b) = map.vars(pass);
            [w, b.expect("the maps of this layer have biases")]
        });
        ops::feed_forward(self.activation, a, first.each_ref(), second.each_ref())
    }
}

impl Module for TransformerLayer {
    fn params(&self) -> Vec<Param> {
        let mut params = self.attention.params();
        params.extend(self.attention_output.params());
        params.extend(self.intermediate.params());
        params.extend(self.output.params());
        params
    }
}

/// y = LayerNorm(residual + dropout(x W^T + b)): the end of both halves of a layer.
#[derive(Clone, Debug)]
struct Residual {
    dense: Linear,
    dropout: Dropout,
    layer_norm: LayerNorm,
}

impl Residual {
    /// From width I to H, with the epsilon of LayerNorm and the rate of dropout.
    fn new(name: &str, [i, h]: [usize; 2], (eps, rate): (f64, f32), init: &Initializer) -> Self {
        Self {
            dense: Linear::new(&format!("{name}.dense"), i, h, init),
            dropout: Dropout::new(rate),
            layer_norm: LayerNorm::new(&format!("{name}.LayerNorm"), h, eps, init),
        }
    }

    /// What follows the linear map.
    fn add_norm(&self, pass: &Pass, update: &Var, residual: &Var) -> Result<Var> {
        self.layer_norm.add(pass, [update, residual], self.dropout.draw(pass))
    }

    fn params(&self) -> Vec<Param> {
        let mut params = self.dense.params();
        params.extend(self.layer_norm.params());
        params
    }
}
