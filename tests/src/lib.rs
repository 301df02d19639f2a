//! What the tests over the whole stack share: golden values, a GPU, and the project's own source.
//!
//! The tests themselves are in `tests/tests`, one file a question: are the derivatives right
//! (`gradients`), do values agree with PyTorch and transformers (`golden_*`, of which `golden_minilm` wants a real
//! checkpoint), does a batch equal its members and learn what it should (`encoder`, `masked_lm`, `bf16`), does a GPU
//! compute the same (`devices`), do its kernels compile (`kernel_resources`), do the layers keep to their places
//! (`layering`).
#![forbid(unsafe_code)]

pub mod compare;
pub mod golden;
pub mod gpu;
pub mod small;
pub mod source;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder of the workspace: `$FINETUNE_ROOT` where the tests were built elsewhere.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    let here = || Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package in a workspace");
    ROOT.get_or_init(|| {
        std::env::var_os("FINETUNE_ROOT").map_or_else(|| here().into(), PathBuf::from)
    })
}

/// Set where the tools of NVIDIA and a C++ compiler are installed: what would be skipped without them fails there.
pub const EXPECT_TOOLS: &str = "TESTS_EXPECT_TOOLS";

/// Says that a test is skipped, and why.
///
/// # Panics
/// When the tools were promised.
pub fn skip_without_tools(reason: &str) {
    assert!(std::env::var_os(EXPECT_TOOLS).is_none(), "{EXPECT_TOOLS} is set, but {reason}");
    eprintln!("skipped: {reason}");
}
