//! Losses: scalars to be made small.
//!
//! | problem | loss | logits | targets |
//! |---|---|---|---|
//! | one of C classes | [`cross_entropy`] | `[B, C]` | `[B]`, u32 |
//! | any of C labels | [`bce_with_logits`] | `[B, C]` | `[B, C]`, 0 or 1 |
//! | a number | [`mse`] | `[B, 1]` | `[B, 1]` |
//!
//! All are means over the batch, as in transformers.

pub use autograd::ops::{bce_with_logits, cross_entropy, mse};
