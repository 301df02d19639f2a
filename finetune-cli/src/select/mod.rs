//! Which pretrained encoder to start from: what a selection found, and how it is shown.

pub mod report;
pub mod summary;
