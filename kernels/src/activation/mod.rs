//! Activation functions.
//!
//! ```text
//! gelu        y = x P(x)                        dx = dy (P(x) + x p(x))
//! gelu tanh   y = x s(2 u), u = c (x + k x^3)   dx = dy (s(2 u) + x s'(2 u) 2 c (1 + 3 k x^2))
//! relu        y = max(x, 0)                     dx = dy if x > 0, else 0
//! tanh        y = tanh x                        dx = dy (1 - y^2) = dy 4 s'(2 x)
//! sigmoid     y = s(x) = 1 / (1 + e^-x)         dx = dy s(x) s(-x)
//! ```
//!
//! P and p are the distribution function and the density of the standard normal, P(x) = (1 + erf(x / sqrt 2)) / 2;
//! c = sqrt(2 / pi), k = 0.044715; s(2 u) is the (1 + tanh u) / 2 of the paper. Shapes: `[n] -> [n]`; the backward
//! computes the derivative from x again.
//!
//! Numerics: GELU is within 1e-6, relative to its value in both tails, where `1 + erf` has no digits left; GELU-tanh
//! within 1e-6 absolute. At -inf both are 0, their limit; NaN gives NaN.
//!
//! Source: Hendrycks and Gimpel, *Gaussian Error Linear Units*, 2016, <https://arxiv.org/abs/1606.08415>.
//! Above: `tensor/src/ops/activation.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{backward, backward_and_value, forward};
pub(crate) use cpu::{gradient_and_value, value};

/// sqrt(2 / pi), of the tanh form of GELU.
const GELU_C: f64 = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
/// The weight of x^3 in the tanh form of GELU: fitted in the paper.
const GELU_K: f64 = 0.044_715;

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x P(X <= x) for a standard normal X: the exact form, by erf.
    Gelu,
    /// The form of GELU that replaces erf by tanh.
    GeluTanh,
    /// max(x, 0); the derivative at 0 is 0.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e^-x)
    Sigmoid,
}

impl Activation {
    /// Every activation.
    pub const ALL: [Self; 5] = [Self::Gelu, Self::GeluTanh, Self::Relu, Self::Tanh, Self::Sigmoid];

    /// The activation of that name in a Hugging Face `config.json`; `None` for a name not known.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "gelu" => Some(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Some(Self::GeluTanh),
            "relu" => Some(Self::Relu),
            "tanh" => Some(Self::Tanh),
            "sigmoid" => Some(Self::Sigmoid),
            _ => None,
        }
    }

    /// A name that [`Activation::from_name`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_pytorch_tanh",
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
        }
    }
}
