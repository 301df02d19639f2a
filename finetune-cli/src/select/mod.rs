//! Choosing a pretrained encoder before any of them is fine-tuned.
//!
//! ```text
//! estimators     pooled states and labels to numbers that rank encoders
//! linalg         the dense linear algebra below them, in f64
//! ```

pub mod estimators;
pub mod linalg;
