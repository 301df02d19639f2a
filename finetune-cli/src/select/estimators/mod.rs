//! Transferability estimators: what pooled states of an encoder tell about labels, without fine-tuning it.
//!
//! ```text
//! h_score     spread between classes over spread of the states       [0, C - 1]; labels, scores [0, 1]
//! log_me      evidence of a linear map, per row                      any
//! knn         accuracy of the 5 nearest of other texts               [0, 1]; scores [-1, 1]
//! probe       ln p of a linear model on rows it has not seen         below 0; scores [-1, 1]
//! transrate   code length that knowing the class saves               any
//! nleep       ln p of the label, given the cluster                   below 0
//! ```
//!
//! Higher is better for all; the numbers of two estimators are not comparable. A value is finite, or NaN: always where
//! the truth of the rows doesn't vary, and where an estimator says so. [`profile`] runs the three that cost
//! least, [`estimate`] all six, each also without each fold: the spread of these K values tells how much the
//! choice of rows matters (jackknife, Quenouille 1956). The bins of scores, the mixture of `nleep` and the models
//! of `probe` are those of all rows also without a fold; everything else is computed again.

mod error;
mod features;
mod h_score;
mod knn;
mod log_me;
mod logistic;
pub mod mixture;
mod moments;
mod nleep;
mod partition;
mod probe;
mod sample;
mod statistics;
mod trans_rate;

pub use error::{Error, Result};
pub use h_score::h_score;
pub use log_me::log_me;
pub use moments::Moments;
pub use nleep::leep;
pub use partition::folds;
pub use probe::Probe;
pub use sample::{Kind, Sample};

use knn::Neighbours;
use nleep::Nleep;
use sample::Rows;
use trans_rate::TransRate;

/// An estimator; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Estimator {
    /// Shrunk H-score.
    HScore,
    /// Log evidence.
    LogMe,
    /// Nearest neighbours.
    Knn,
    /// Cross-validated linear probe.
    Probe,
    /// Coding rate.
    TransRate,
    /// Clusters.
    Nleep,
}

impl Estimator {
    /// All, in the order in which [`estimate`] gives them.
    pub const ALL: [Self; 6] =
        [Self::HScore, Self::LogMe, Self::Knn, Self::Probe, Self::TransRate, Self::Nleep];

    /// The name in figures and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::HScore => "h_score",
            Self::LogMe => "logme",
            Self::Knn => "knn",
            Self::Probe => "probe",
            Self::TransRate => "transrate",
            Self::Nleep => "nleep",
        }
    }
}

/// What one estimator says.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Over all rows.
    pub value: f64,
    /// Without the rows of each fold, `[K]`.
    pub without: Vec<f64>,
}

/// The estimators that are cheap enough for every layer; see [`Estimator`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// [`Estimator::HScore`].
    pub h_score: f64,
    /// [`Estimator::LogMe`].
    pub log_me: f64,
    /// [`Estimator::Knn`].
    pub knn: f64,
}

/// The cheap estimators over all rows.
///
/// # Errors
/// When the sample has no rows or labels, its lengths do not fit together, a class, label or fold is out of range, or a
/// state or score is not finite.
pub fn profile(sample: &Sample) -> Result<Profile> {
    let rows = Rows::whole(sample)?;
    if !rows.varies(None) {
        return Ok(Profile { h_score: f64::NAN, log_me: f64::NAN, knn: f64::NAN });
    }
    Ok(Profile {
        h_score: h_score(&rows.whole, rows.kind),
        log_me: log_me::of_rows(&rows, None),
        knn: Neighbours::new(&rows).value(&rows, None),
    })
}

/// All estimators over all rows and without each fold, in the order of [`Estimator::ALL`].
///
/// # Errors
/// As [`profile`].
pub fn estimate(sample: &Sample) -> Result<Vec<(Estimator, Estimate)>> {
    let rows = Rows::new(sample)?;
    let of = |estimator| (estimator, jackknife(&rows, estimator));
    Ok(Estimator::ALL.map(of).into())
}

/// The rows under the models of the linear probe, whose accuracy is a figure people know.
///
/// # Errors
/// As [`profile`].
pub fn probe(sample: &Sample) -> Result<Probe> {
    Ok(Probe::new(&Rows::new(sample)?))
}

fn jackknife(rows: &Rows, estimator: Estimator) -> Estimate {
    let value: Box<dyn Fn(Option<usize>) -> f64> = match estimator {
        Estimator::HScore => Box::new(|out| h_score(&rows.moments(out), rows.kind)),
        Estimator::LogMe => Box::new(|out| log_me::of_rows(rows, out)),
        Estimator::Knn => {
            let neighbours = Neighbours::new(rows);
            Box::new(move |out| neighbours.value(rows, out))
        }
        Estimator::Probe => {
            let probe = Probe::new(rows);
            Box::new(move |out| probe.value(rows, out))
        }
        Estimator::TransRate => {
            let rate = TransRate::new(rows);
            Box::new(move |out| rate.value(out))
        }
        Estimator::Nleep => {
            let clusters = Nleep::new(rows);
            Box::new(move |out| clusters.value(out))
        }
    };
    let known = |out| if rows.varies(out) { value(out) } else { f64::NAN };
    Estimate {
        value: known(None),
        without: (0..rows.folds.len()).map(|k| known(Some(k))).collect(),
    }
}
