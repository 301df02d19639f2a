//! Sigmoid and binary cross-entropy in one, the mean over all elements; for labels that do not exclude
//! each other.
//!
//! ```text
//! forward    loss = mean of  max(x, 0) - x t + ln(1 + exp(-|x|))
//! backward   dx   = dloss / n (sigmoid(x) - t)
//! ```
//!
//! Shapes: logits x and targets t of the same n elements -> one number. The forward equals
//! -t ln sigmoid(x) - (1 - t) ln(1 - sigmoid(x)); in this form no exponential overflows, and the loss of an
//! element that is right by far keeps its relative precision. Targets are in [0, 1], not only 0 and 1.
//!
//! Source: Cox, *The regression analysis of binary sequences*, 1958; the stable form as in
//! <https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html>.
//! Above: `tensor/src/ops/bce_with_logits.rs`.

mod cpu;
pub mod cuda;
pub mod reference;

pub use cpu::{backward, forward};
