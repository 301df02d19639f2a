//! What can be wrong with a sample.

/// A result whose error is about a sample.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a sample can't be estimated on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No labels.
    #[error("estimators: the rows have no labels; name a file with a label column")]
    Unlabelled,
    /// No rows, no states or no outputs.
    #[error("estimators: expected rows, states and outputs, got none of one of them")]
    Empty,
    /// Lengths that do not fit together.
    #[error(
        "estimators: expected states of {folds} rows of {width}, {folds} labels and {folds} groups, \
         got {states} numbers, {labels} labels and {groups} groups"
    )]
    Shape {
        /// Numbers that there are.
        states: usize,
        /// D.
        width: usize,
        /// Labels that there are.
        labels: usize,
        /// Groups that there are.
        groups: usize,
        /// Rows, by the folds.
        folds: usize,
    },
    /// A fold out of range.
    #[error("estimators: expected folds below {count}, got {fold} for row {row}")]
    Fold {
        /// The row, from 0.
        row: usize,
        /// Its fold.
        fold: usize,
        /// How many there are.
        count: usize,
    },
    /// A state that is infinite or NaN.
    #[error("estimators: expected finite states, got another one in row {row}")]
    NotFinite {
        /// The row, from 0.
        row: usize,
    },
    /// A class out of range, or a score that is not finite.
    #[error(
        "estimators: expected labels below {outputs} or finite scores, got {class} in row {row}"
    )]
    Label {
        /// The row, from 0.
        row: usize,
        /// The class or score.
        class: f64,
        /// How many classes there are.
        outputs: usize,
    },
}
