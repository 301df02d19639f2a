//! Losses: scalars to be made small.
//!
//! | problem | loss | logits | targets |
//! |---|---|---|---|
//! | one of C classes | [`cross_entropy`] | `[B, C]` | `[B]`, u32 |
//! | the same, classes weighted, labels smoothed | [`weighted_cross_entropy`] | `[B, C]` | `[B]`, u32 |
//! | any of C labels | [`bce_with_logits`] | `[B, C]` | `[B, C]`, 0 or 1 |
//! | a number | [`mse`] | `[B, 1]` | `[B, 1]` |
//!
//! All are means over the batch, as in transformers; the weighted one is the mean in which an example counts as much as
//! its class, as in PyTorch.

pub use autograd::ops::{Weighting, bce_with_logits, cross_entropy, mse, weighted_cross_entropy};
