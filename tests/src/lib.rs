//! What the tests over the whole stack share: golden values and the project's own source.
//!
//! The tests themselves are in `tests/tests`, one file a question: are the derivatives right
//! (`gradients`), do values agree with PyTorch (`golden_ops`, `golden_bert`, `golden_training`) and with a
//! real checkpoint (`golden_minilm`), do the layers keep to their places (`layering`).
#![forbid(unsafe_code)]

pub mod card;
pub mod golden;
pub mod source;

/// The folder of the workspace.
pub fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package in a workspace")
}
