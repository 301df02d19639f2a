//! The binary from end to end: train, evaluate, predict, inspect, bench, and what it refuses.

mod accumulation;
mod bad_flags;
mod bad_input;
mod bench;
mod bundled;
mod completions;
mod damaged_checkpoints;
mod family;
mod inference;
mod lora;
mod losses;
mod masked_lm;
mod model_card;
mod output;
#[path = "../page/mod.rs"]
mod page;
mod report;
mod resuming;
mod selection;
mod selection_rates;
mod selection_upsets;
mod support;
mod training;
mod words;
