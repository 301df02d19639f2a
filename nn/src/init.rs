//! First values of parameters.
//!
//! ```text
//! truncated normal   N(0, std^2), drawn again beyond 2 std               BERT: std = 0.02
//! normal             N(0, std^2)                                         fresh heads in transformers: std = 0.02
//! Xavier             variance 2 / (fan_in + fan_out)                     keeps tanh layers in range
//! Kaiming            variance 2 / fan_in                                 keeps ReLU layers in range
//! PyTorch's          uniform, variance 1 / (3 fan_in)                    of its linear layers, and of LoRA
//! ```
//!
//! Each parameter has a random stream of its own, chosen by seed and name: adding a layer changes no other.
//! A uniform law on [-a, a] has variance a^2 / 3.
//!
//! Sources: Devlin et al., *BERT*, 2018, <https://arxiv.org/abs/1810.04805>; Glorot and Bengio, 2010,
//! <https://proceedings.mlr.press/v9/glorot10a.html>; He et al., 2015, <https://arxiv.org/abs/1502.01852>.

use autograd::Param;
use tensor::{Tensor, philox::Rng};

/// A law for the entries of a weight `[fan_out, fan_in]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zero, for weights that are loaded afterwards: costs no time and no memory until then.
    Zeros,
    /// Normal with this standard deviation, cut off at twice that.
    TruncatedNormal {
        /// The standard deviation before the tails are cut off.
        std: f64,
    },
    /// Normal with this standard deviation.
    Normal {
        /// The standard deviation.
        std: f64,
    },
    /// Glorot and Bengio's uniform law.
    XavierUniform,
    /// Glorot and Bengio's variance, normal.
    XavierNormal,
    /// He et al.'s variance, uniform.
    KaimingUniform,
    /// He et al.'s variance, normal.
    KaimingNormal,
    /// Uniform on [-1 / sqrt(fan_in), 1 / sqrt(fan_in)]: He et al.'s law for a leaky ReLU of slope sqrt(5), which is
    /// how PyTorch begins a linear layer.
    PyTorchUniform,
}

/// Makes parameters with their first values.
#[derive(Clone, Copy, Debug)]
pub struct Initializer {
    /// The law of weights.
    pub init: Init,
    /// Chooses the random streams.
    pub seed: u64,
}

impl Initializer {
    /// BERT's: truncated normal with standard deviation `std` (0.02 in all published checkpoints).
    pub fn bert(std: f64, seed: u64) -> Self {
        Self { init: Init::TruncatedNormal { std }, seed }
    }

    /// That of heads which transformers puts on a pretrained encoder: normal with standard deviation `std`.
    pub fn normal(std: f64, seed: u64) -> Self {
        Self { init: Init::Normal { std }, seed }
    }

    /// For parameters that a checkpoint will overwrite.
    pub fn zeros() -> Self {
        Self { init: Init::Zeros, seed: 0 }
    }

    /// A weight by the law; `shape` is `[fan_out, fan_in]`, or `[V, H]` for an embedding table.
    pub fn weight(&self, name: impl Into<String>, shape: &[usize]) -> Param {
        let name = name.into();
        let value = sample(self.init, shape, &mut Rng::new(self.seed, stream(&name)));
        Param::new(name, value)
    }

    /// A bias, or LayerNorm's b: zeros.
    pub fn zeroed(&self, name: impl Into<String>, shape: &[usize]) -> Param {
        Param::new(name, Tensor::zeros(shape))
    }

    /// LayerNorm's w: ones.
    pub fn ones(&self, name: impl Into<String>, shape: &[usize]) -> Param {
        Param::new(name, Tensor::full(1.0, shape))
    }
}

/// Values of `shape` by the law `init`; fan_in is the last axis, fan_out the one before (1 if there is none).
pub fn sample(init: Init, shape: &[usize], rng: &mut Rng) -> Tensor {
    let fan_in = shape.last().copied().unwrap_or(1) as f64;
    let fan_out = shape.iter().rev().nth(1).copied().unwrap_or(1) as f64;
    let (xavier, kaiming) = (2.0 / (fan_in + fan_out), 2.0 / fan_in);
    match init {
        Init::Zeros => Tensor::zeros(shape),
        Init::TruncatedNormal { std } => fill(shape, || std * truncated_normal(rng)),
        Init::Normal { std } => fill(shape, || std * rng.normal()),
        Init::XavierUniform => fill(shape, || uniform(rng, xavier)),
        Init::XavierNormal => fill(shape, || xavier.sqrt() * rng.normal()),
        Init::KaimingUniform => fill(shape, || uniform(rng, kaiming)),
        Init::KaimingNormal => fill(shape, || kaiming.sqrt() * rng.normal()),
        Init::PyTorchUniform => fill(shape, || uniform(rng, 1.0 / (3.0 * fan_in))),
    }
}

fn fill(shape: &[usize], mut next: impl FnMut() -> f64) -> Tensor {
    let mut tensor = Tensor::zeros(shape);
    let values = tensor.make_mut().expect("zeros are f32");
    values.fill_with(|| next() as f32);
    tensor
}

fn truncated_normal(rng: &mut Rng) -> f64 {
    loop {
        let x = rng.normal();
        if x.abs() <= 2.0 {
            return x;
        }
    }
}

fn uniform(rng: &mut Rng, variance: f64) -> f64 {
    (3.0 * variance).sqrt() * (2.0 * rng.uniform() - 1.0)
}

/// FNV-1a of the name: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn stream(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
