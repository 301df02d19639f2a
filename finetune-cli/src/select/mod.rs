//! Choosing a starting point.

pub mod estimators;
mod linalg;
pub mod report;
pub mod summary;
