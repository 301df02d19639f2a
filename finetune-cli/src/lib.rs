//! Under construction.
#![forbid(unsafe_code)]

pub mod data;
pub mod metrics;
