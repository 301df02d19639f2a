//! The binary from end to end: train, evaluate, predict, inspect, and what it refuses.

mod bad_flags;
mod bad_input;
mod inference;
mod output;
mod support;
mod training;
