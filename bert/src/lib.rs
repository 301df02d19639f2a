//! BERT and its family in the layout of Hugging Face: a folder in, a model out, and back.
//!
//! [`Config`] reads `config.json`, [`Checkpoint`] the weights, [`Tokenizer`] turns text into ids and
//! [`save_pretrained`] writes a folder that transformers opens.
#![forbid(unsafe_code)]

mod adapter;
mod batch;
mod checkpoint;
mod classifier;
mod config;
mod encoder;
mod error;
mod family;
mod fields;
mod files;
mod known_keys;
mod labels;
mod lora;
mod masked_lm;
mod names;
mod pickle;
mod save;
mod shapes;
mod token_classifier;
mod tokenizer;
mod transform;
mod weight_files;

pub use adapter::Adapter;
pub use batch::Batch;
pub use checkpoint::{Checkpoint, LoadReport, StoredTensor};
pub use classifier::{SequenceClassifier, Targets, loss};
pub use config::{Config, Deberta, Modern, ProblemType};
pub use encoder::Encoder;
pub use error::{Error, Mismatch, Result};
pub use family::Family;
pub use files::read_text;
pub use labels::MOST_LABELS;
pub use lora::Adaptation;
pub use masked_lm::MaskedLm;
pub use save::{SavedDType, save_pretrained};
pub use token_classifier::TokenClassifier;
pub use tokenizer::{Encoding, Tokenizer, VocabularyLimits, WordPieceTrainer};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
