//! The encoder layer of ModernBERT.

use autograd::ops::{self, Attention};
use autograd::{Param, Result, Var};
use tensor::{Activation, CuSeqLens, RotaryTable};

use crate::dropout::drop_units;
use crate::{Dropout, Init, Initializer, LayerNorm, Linear, Module, Pass};

/// Sizes, rates and kind of a pre-norm layer.
#[derive(Clone, Debug)]
pub struct PreNormConfig {
    /// H.
    pub hidden: usize,
    /// N, a divisor of H.
    pub heads: usize,
    /// F, the width of the feed-forward block.
    pub intermediate: usize,
    /// Of the gated half of the feed-forward block.
    pub activation: Activation,
    /// In both LayerNorms.
    pub norm_eps: f64,
    /// Whether the LayerNorms have biases.
    pub norm_bias: bool,
    /// Whether the maps of attention have biases.
    pub attention_bias: bool,
    /// Whether the maps of the feed-forward block have biases.
    pub mlp_bias: bool,
    /// Dropout of the attention probabilities, and of what attention adds to the residual stream.
    pub attention_dropout: f32,
    /// Dropout within the feed-forward block.
    pub mlp_dropout: f32,
    /// How far from its own place a token sees others; everywhere if `None`.
    pub window: Option<usize>,
    /// By which queries and keys are turned.
    pub rotary: RotaryTable,
    /// Whether attention reads a normalized x. The first layer's does not: embeddings are normalized already.
    pub norms_attention: bool,
    /// Layers of the encoder: weights that write to the residual stream begin smaller by sqrt(2 L).
    pub depth: usize,
}

/// One layer of a pre-norm transformer encoder with rotary positions and a gated feed-forward block.
///
/// ```text
/// a = x + dropout(attention(LayerNorm(x) Wqkv^T) Wo^T)
/// y = a + dropout(f(u) * g) Wo'^T          u, g = the halves of LayerNorm(a) Wi^T
/// ```
///
/// Shapes: x and y `[T, H]`, inside the feed-forward block `[T, 2 F]` and `[T, F]`. The residual stream, x, a and y,
/// is f32 in both precisions: it is never normalized itself, and small additions to large values would be lost in
/// bf16. Parameters carry ModernBERT's names below NAME: `attn_norm.*`, `attn.{Wqkv,Wo}.*`, `mlp_norm.*`,
/// `mlp.{Wi,Wo}.*`; which of them have biases is the configuration's.
///
/// Sources: Warner et al., 2024, *ModernBERT*, <https://arxiv.org/abs/2412.13663>; Xiong et al., 2020, *On Layer
/// Normalization in the Transformer Architecture*, <https://arxiv.org/abs/2002.04745>.
#[derive(Clone, Debug)]
pub struct PreNormLayer {
    attention_norm: Option<LayerNorm>,
    attention: RotaryAttention,
    attention_output: Linear,
    attention_output_dropout: Dropout,
    mlp_norm: LayerNorm,
    mlp: GatedFeedForward,
}

impl PreNormLayer {
    /// A layer with fresh parameters.
    ///
    /// # Panics
    /// When a dropout probability is not in [0, 1).
    pub fn new(name: &str, config: &PreNormConfig, init: &Initializer) -> Self {
        let h = config.hidden;
        let norm = |part: &str| {
            let name = format!("{name}.{part}");
            LayerNorm::new(&name, h, config.norm_eps, init).with_bias(config.norm_bias)
        };
        let output = Linear::new(&format!("{name}.attn.Wo"), h, h, &of_outputs(init, config.depth));
        Self {
            attention_norm: config.norms_attention.then(|| norm("attn_norm")),
            attention: RotaryAttention::new(&format!("{name}.attn"), config, init),
            attention_output: output.with_bias(config.attention_bias),
            attention_output_dropout: Dropout::new(config.attention_dropout),
            mlp_norm: norm("mlp_norm"),
            mlp: GatedFeedForward::new(&format!("{name}.mlp"), config, init),
        }
    }

    /// Its four linear maps, in the order of their parameters: to give them adapters, or to merge these.
    pub fn linears_mut(&mut self) -> [&mut Linear; 4] {
        let GatedFeedForward { input, output, .. } = &mut self.mlp;
        [&mut self.attention.qkv, &mut self.attention_output, input, output]
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// When `x` is not `[T, H]` for the batch's T.
    pub fn forward(&self, pass: &Pass, x: &Var, batch: &CuSeqLens) -> Result<Var> {
        self.forward_rows(pass, x, batch, |x| Ok(x.clone()))
    }

    /// The rows of [`forward`](Self::forward) that `pick` takes of a matrix `[T, H]`, without the work on others that
    /// comes behind attention: for a head that reads no others of its last layer.
    ///
    /// # Errors
    /// When `x` is not `[T, H]` for the batch's T, and those of `pick`.
    pub fn forward_rows(
        &self,
        pass: &Pass,
        x: &Var,
        batch: &CuSeqLens,
        pick: impl Fn(&Var) -> Result<Var>,
    ) -> Result<Var> {
        let normed = match &self.attention_norm {
            Some(norm) => norm.forward_hidden(pass, x)?,
            None => pass.hidden(x)?,
        };
        let attended = pick(&self.attention.forward(pass, &normed, batch)?)?;
        let update = self.attention_output.forward(pass, &attended)?;
        let dropout = self.attention_output_dropout.draw(pass);
        let a = ops::residual(&pick(x)?, &update, dropout)?;
        let normed = self.mlp_norm.forward_hidden(pass, &a)?;
        ops::residual(&a, &self.mlp.forward(pass, &normed)?, None)
    }
}

impl Module for PreNormLayer {
    fn params(&self) -> Vec<Param> {
        let mut params: Vec<Param> = self.attention_norm.iter().flat_map(Module::params).collect();
        params.extend(self.attention.qkv.params());
        params.extend(self.attention_output.params());
        params.extend(self.mlp_norm.params());
        params.extend(self.mlp.input.params());
        params.extend(self.mlp.output.params());
        params
    }
}

/// Self-attention of which queries, keys and values come from one product, and queries and keys are turned by an angle
/// that grows with their place: so their product depends on how far they are apart.
///
/// Source: Su et al., 2021, *RoFormer*, <https://arxiv.org/abs/2104.09864>.
#[derive(Clone, Debug)]
struct RotaryAttention {
    qkv: Linear,
    heads: usize,
    window: Option<usize>,
    rotary: RotaryTable,
    dropout: Dropout,
}

impl RotaryAttention {
    fn new(name: &str, config: &PreNormConfig, init: &Initializer) -> Self {
        let qkv = Linear::new(&format!("{name}.Wqkv"), config.hidden, 3 * config.hidden, init);
        Self {
            qkv: qkv.with_bias(config.attention_bias),
            heads: config.heads,
            window: config.window,
            rotary: config.rotary.clone(),
            dropout: Dropout::new(config.attention_dropout),
        }
    }

    /// `[T, H] -> [T, H]`.
    fn forward(&self, pass: &Pass, x: &Var, batch: &CuSeqLens) -> Result<Var> {
        let qkv = self.qkv.forward(pass, x)?;
        let dropout = self.dropout.draw(pass);
        let settings = Attention::of_all(batch, self.heads, dropout).with_window(self.window);
        ops::rotary_attention(settings, &self.rotary, &qkv)
    }
}

/// y = dropout(f(u) * g) Wo^T, where u and g are the halves of x Wi^T: x and y `[T, H]`.
///
/// Source: Shazeer, 2020, *GLU Variants Improve Transformer*, <https://arxiv.org/abs/2002.05202>.
#[derive(Clone, Debug)]
struct GatedFeedForward {
    input: Linear,
    activation: Activation,
    dropout: Dropout,
    output: Linear,
}

impl GatedFeedForward {
    fn new(name: &str, config: &PreNormConfig, init: &Initializer) -> Self {
        let (h, f) = (config.hidden, config.intermediate);
        let input = Linear::new(&format!("{name}.Wi"), h, 2 * f, init);
        let output = Linear::new(&format!("{name}.Wo"), f, h, &of_outputs(init, config.depth));
        Self {
            input: input.with_bias(config.mlp_bias),
            activation: config.activation,
            dropout: Dropout::new(config.mlp_dropout),
            output: output.with_bias(config.mlp_bias),
        }
    }

    /// In one where nothing is dropped and neither map has an adapter.
    fn forward(&self, pass: &Pass, x: &Var) -> Result<Var> {
        let adapted = [&self.input, &self.output].iter().any(|map| map.is_adapted());
        let dropout = self.dropout.draw(pass);
        if adapted || dropout.is_some() {
            let z = self.input.forward(pass, x)?.gated(self.activation)?;
            return self.output.forward(pass, &drop_units(dropout, &z)?);
        }
        let [(w, b), (v, c)] = [&self.input, &self.output].map(|map| map.vars(pass));
        ops::gated_feed_forward(self.activation, x, (&w, b.as_ref()), (&v, c.as_ref()))
    }
}

/// The law of weights that write to the residual stream, to which 2 L maps add.
fn of_outputs(init: &Initializer, depth: usize) -> Initializer {
    match init.init {
        Init::TruncatedNormal { std } => {
            let std = std / (2.0 * depth as f64).sqrt();
            Initializer { init: Init::TruncatedNormal { std }, ..*init }
        }
        _ => *init,
    }
}
