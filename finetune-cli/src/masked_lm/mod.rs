//! Masked-language modelling: a model learns from plain text by guessing words that were hidden from it.
//!
//! ```text
//! texts -> tokens -> sequences on disk     corpus
//! 15 % of the tokens hidden                masking
//! a step                                   trainer
//! how well it knows other text             held_out, perplexity
//! ```
//!
//! Source: Devlin et al., 2018, <https://arxiv.org/abs/1810.04805>, section 3.1, without its second objective, the
//! next sentence, which Liu et al., 2019, <https://arxiv.org/abs/1907.11692>, found to do no good.

pub mod corpus;
pub mod held_out;
pub mod masking;
pub mod perplexity;
pub mod trainer;
