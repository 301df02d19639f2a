//! What a selection found, as `select.json` holds it and `report.html` shows it.
//!
//! Numbers that have no value (a correlation with a constant, a measurement that was not made) are `null`.

use serde::{Deserialize, Serialize};

/// A whole selection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// The layout of this file; 1.
    pub version: u32,
    /// The data and what is to be learned from it.
    pub task: TaskSummary,
    /// The candidates, best first; those that could not be scored come last.
    pub candidates: Vec<Candidate>,
    /// The command that trains the first one, as typed in a shell; none if there is no first one.
    pub command: Option<String>,
    /// Where the time went.
    pub timing: Timing,
}

impl Summary {
    /// Of each candidate, whether it is one of those that the data can't tell from the highest score; that one is, too,
    /// if there are others.
    pub fn tied(&self) -> Vec<bool> {
        let score =
            |c: &Candidate| c.score.filter(|score| c.is_ranked() && score.value.is_finite());
        let scores: Vec<Option<Score>> = self.candidates.iter().map(score).collect();
        let highest = scores.iter().flatten().map(|s| s.value).fold(f64::NEG_INFINITY, f64::max);
        let tied = |score: Score| score.tied_with_best || score.value == highest;
        let tied: Vec<bool> = scores.into_iter().map(|score| score.is_some_and(tied)).collect();
        let alone = tied.iter().filter(|&&tied| tied).count() < 2;
        tied.into_iter().map(|tied| tied && !alone).collect()
    }
}

/// The data and the task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskSummary {
    /// The training file.
    pub train: String,
    /// `single_label_classification`, `multi_label_classification`, `regression` or `token_classification`.
    pub problem_type: String,
    /// The labels; none for regression.
    pub labels: Vec<String>,
    /// The name of the figure that verification measures: `accuracy`, `f1_micro`, `pearson`, `f1`.
    pub metric: String,
    /// Rows to train on.
    pub train_rows: usize,
    /// Rows held out for verification.
    pub validation_rows: usize,
    /// Rows of the training data that were scored.
    pub sampled_rows: usize,
    /// Words of these rows that were scored, where words have labels.
    pub sampled_words: Option<usize>,
    /// Epochs of the full recipe, for which time and memory are projected.
    pub epochs: u32,
    /// Sequences in a training step, of all its batches together.
    pub batch_size: usize,
    /// The peak learning rates of the fine-tuning; of several, each candidate was to be tried with all.
    #[serde(default)]
    pub learning_rates: Vec<f64>,
    /// Sequences are cut to so many tokens.
    pub max_length: usize,
    /// The rank of the adapters that are trained in place of the encoder; none without LoRA.
    #[serde(default)]
    pub lora_rank: Option<usize>,
    /// What one should know of the sample, a sentence each.
    #[serde(default)]
    pub remarks: Vec<String>,
}

/// Seconds by what was done.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Timing {
    /// Scoring all candidates, as far as this call did it.
    pub scoring_seconds: f64,
    /// Fine-tuning the best of them for a while.
    pub verification_seconds: f64,
}

/// How far a candidate came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Fine-tuned for a while and measured on validation data.
    Verified,
    /// Scored by estimates.
    Scored,
    /// Not run: over a limit; the remarks say which.
    Skipped,
    /// Not usable; the remarks say why.
    Failed,
}

/// One starting point.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// The folder as it was typed, with `[:N]` behind it if only the first N layers are meant.
    pub name: String,
    /// The folder.
    pub path: String,
    /// The first layers that are used; all if none.
    pub truncate: Option<usize>,
    /// How far it came.
    pub status: Status,
    /// The estimate, 0 to 100: how high it ranks among the candidates.
    pub score: Option<Score>,
    /// What fine-tuning showed, at the best of its learning rates.
    pub verified: Option<Verified>,
    /// What it showed at the others, best first.
    #[serde(default)]
    pub other_rates: Vec<Verified>,
    /// Everything that was measured without fine-tuning.
    pub evidence: Option<Evidence>,
    /// What one should know, a sentence each.
    pub remarks: Vec<String>,
}

impl Candidate {
    /// Whether it has a place in the ranking.
    pub fn is_ranked(&self) -> bool {
        matches!(self.status, Status::Verified | Status::Scored)
    }
}

/// A fused score and its interval.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Score {
    /// The weighted mean of the ranks by all estimators, 0 (last) to 100 (first).
    pub value: f64,
    /// The lower end of the 90 % interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Whether the data can't tell it from the best one, or it is that one.
    pub tied_with_best: bool,
}

/// What fine-tuning showed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verified {
    /// The peak learning rate.
    #[serde(default)]
    pub learning_rate: f64,
    /// The figure on validation data after the last rung.
    pub metric: f64,
    /// The stages of training, each continuing the one before.
    pub rungs: Vec<Rung>,
    /// Steps of the whole recipe: a sentence that is too long for this candidate's tokens is several rows.
    #[serde(default)]
    pub recipe_steps: u64,
}

/// The state after a stage of training.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Rung {
    /// Training steps so far.
    pub steps: u64,
    /// The figure on validation data.
    pub metric: Option<f64>,
    /// How much that figure would differ on other validation rows: the standard deviation over resampled ones.
    pub standard_error: Option<f64>,
    /// The loss on validation data.
    pub loss: Option<f64>,
    /// Seconds of training so far, without evaluation.
    pub seconds: f64,
}

/// What was measured of a candidate without fine-tuning.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// How its tokenizer and its pretraining meet the text.
    pub fit: Fit,
    /// What it was trained for.
    pub objective: Objective,
    /// Weights of an encoder in its files that the model does not use, if there are any.
    pub unused: Option<Unused>,
    /// What it costs.
    pub cost: Cost,
    /// Quick estimates for every layer and pooling.
    pub layers: Vec<LayerProfile>,
    /// The layer and pooling with the highest LogME.
    pub best_layer: Place,
    /// All estimators at the three places of [`ROLES`](super::fusion::ROLES).
    pub estimates: Vec<Estimated>,
}

/// Weights that a model does not use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unused {
    /// How many.
    pub count: usize,
    /// The name of the first.
    pub first: String,
}

/// How text and pretraining fit each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fit {
    /// Tokens per word, special ones apart; 1 is best.
    pub tokens_per_word: f64,
    /// The share of words that are one token.
    pub whole_words: f64,
    /// The share of tokens that are unknown.
    pub unknown_rate: f64,
    /// The share of sequences that were cut.
    pub truncation_rate: f64,
    /// Tokens of a sequence on average.
    pub mean_tokens: f64,
    /// Whether the tokenizer takes upper case for lower case.
    pub lowercases: bool,
    /// The share of words of the text that hold upper case.
    pub uppercase_words: f64,
    /// exp of the mean loss of masked tokens, if there is a masked-LM head.
    pub pseudo_perplexity: Option<f64>,
}

/// What a checkpoint was trained for, as far as it shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Objective {
    /// `masked_lm`, `replaced_token`, `contrastive`, `fine_tuned` or `unknown`.
    pub kind: String,
    /// Heads in the checkpoint: `classifier`, `replaced_token`, `masked_lm`, `next_sentence`, `pooler`.
    pub heads: Vec<String>,
    /// The labels of a fine-tuned head.
    pub labels: Vec<String>,
    /// Whether that head is for the labels of this task, and is used.
    pub head_used: bool,
    /// The figure that this head reaches on the sample without training.
    pub head_metric: Option<f64>,
}

/// What a candidate costs on this machine.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// Parameters of the encoder with the head for this task.
    pub parameters: u64,
    /// Layers.
    pub layers: usize,
    /// Width of the hidden states.
    pub hidden: usize,
    /// Floating-point operations of one epoch of training over all training rows.
    pub epoch_flops: f64,
    /// Seconds of a training step, per example, as measured.
    pub seconds_per_example: Option<f64>,
    /// Bytes: the peak of this process in measured training steps.
    pub step_memory: Option<u64>,
    /// Seconds of the full recipe.
    pub projected_seconds: Option<f64>,
    /// Bytes: the estimate for a step of sequences as long as the longest of the sample.
    pub projected_memory: u64,
}

/// A layer and a pooling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// 0 are the embeddings, L is the last layer; none is the mean of all.
    pub layer: Option<usize>,
    /// `first` or `mean`.
    pub pooling: String,
}

/// Quick estimates for one layer and pooling; higher is better.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayerProfile {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// H-score.
    pub h_score: Option<f64>,
    /// LogME.
    pub logme: Option<f64>,
    /// Leave-one-out nearest neighbours.
    pub knn: Option<f64>,
}

/// One estimator at one place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Estimated {
    /// Why there: `head`, `best` or `mean`; see [`ROLES`](super::fusion::ROLES).
    pub role: String,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// `h_score`, `logme`, `knn`, `probe`, `transrate` or `nleep`.
    pub estimator: String,
    /// The value on the whole sample; higher is better.
    pub value: Option<f64>,
    /// The value with each fold left out.
    pub without: Vec<Option<f64>>,
}
