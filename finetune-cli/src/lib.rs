//! Fine-tuning pretrained encoders: what the `finetune` binary does, as a library.
//!
//! ```text
//! args, flags         flags as typed, and their limits
//! config_file         flags from a TOML file
//! bundled             the model and the data that are part of the program
//! data, metrics       files to examples with labels; predictions to figures
//! hub                 models by name: the Hugging Face cache
//! classifier          the model of a task
//! folder              a model folder: configuration, tokenizer, weights
//! trained             how the data of its training were read
//! batches             examples to shuffled, ragged batches
//! loss                what a training of a classifier goes down
//! optimization        a step of any training: schedule, clipping, update
//! trainer             the training loop of a classifier, evaluation
//! predictions         logits to answers
//! progress            the line that says how far it is
//! page, report        what pages are made of; that of a training or an evaluation
//! masked_lm           masked-language modelling on plain text
//! select              choosing a starting point: estimates, costs, ranking
//! flops, memory       what a model costs
//! cgroup              what a container may take
//! run                 the output folder: complete, or not there
//! commands            train, adapt, pretrain, select, evaluate, predict, inspect, bench, completions
//! ```
#![forbid(unsafe_code)]

pub mod args;
pub mod batches;
pub mod bundled;
pub mod cgroup;
pub mod classifier;
pub mod commands;
pub mod config_file;
pub mod data;
pub mod flags;
pub mod flops;
pub mod folder;
pub mod hub;
pub mod loss;
pub mod masked_lm;
pub mod memory;
pub mod metrics;
pub mod optimization;
pub mod page;
pub mod predictions;
pub mod progress;
pub mod report;
pub mod run;
pub mod select;
pub mod trained;
pub mod trainer;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
