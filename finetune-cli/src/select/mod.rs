//! Choosing a starting point: what `finetune select` knows, without its command.
//!
//! ```text
//! candidates            which checkpoints are meant
//! fit, perplexity       does the pretraining fit the text?
//! objective             what was it trained for?
//! cost                  what would it cost?
//! points                what of a sample is looked at: texts, or words
//! states, estimators    how well do its layers separate the labels?
//! score                 all of this for one candidate: its evidence
//! fusion                one score with an interval out of all evidence
//! halving               short real training of the best
//! cache, summary, report    what stays on disk
//! ```

pub mod cache;
pub mod candidates;
pub mod cost;
pub mod estimators;
pub mod fit;
pub mod fusion;
pub mod halving;
pub mod linalg;
pub mod objective;
pub mod perplexity;
pub mod points;
pub mod report;
pub mod score;
pub mod states;
pub mod summary;
