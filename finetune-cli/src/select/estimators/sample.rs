//! What estimators read: pooled states, their truth and the folds, checked and made ready once.
//!
//! Rows are put in the order of their folds, so that a fold is a run of columns of `[D, N]`; the value of no estimator
//! depends on the order, but for ties among neighbours. Truth is `[C, N]` targets: one-hot classes, labels as 0
//! and 1, or the score.

use std::ops::Range;

use crate::data::Labels;
use crate::select::linalg::Matrix;

use super::error::{Error, Result};
use super::moments::Moments;
use super::partition::Partition;

/// N pooled states of width D with their truth, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// `[N, D]`.
    pub states: &'a [f32],
    /// D.
    pub width: usize,
    /// The truth of each row.
    pub labels: &'a Labels,
    /// C: classes, labels, or 1 for scores.
    pub outputs: usize,
    /// The fold of each row, below `fold_count`; see [`folds`](super::folds).
    pub folds: &'a [usize],
    /// K.
    pub fold_count: usize,
    /// What each row is a part of, by any number; rows of one group are in one fold. A text that is a row has a group
    /// of its own, the words of a sentence share one.
    pub groups: &'a [usize],
}

/// What kind of truth the targets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One class per row: one-hot columns.
    Class,
    /// Any number of labels per row: columns of 0 and 1.
    Multi,
    /// A score per row: one column.
    Score,
}

/// A checked sample in f64, its rows in the order of their folds.
pub(super) struct Rows {
    pub kind: Kind,
    /// `[D, N]`.
    pub states: Matrix,
    /// `[C, N]`.
    pub targets: Matrix,
    /// The columns of each fold.
    pub folds: Vec<Range<usize>>,
    /// The group of each column.
    pub groups: Vec<usize>,
    /// The sums over each fold.
    pub parts: Vec<Moments>,
    /// The sums over all rows.
    pub whole: Moments,
}

impl Sample<'_> {
    fn rows(&self) -> Result<usize> {
        let rows = self.folds.len();
        let labels = match self.labels {
            Labels::Absent | Labels::Tags(_) => return Err(Error::Unlabelled),
            Labels::Class(labels) => labels.len(),
            Labels::Multi(labels) => labels.len(),
            Labels::Score(scores) => scores.len(),
        };
        if rows == 0 || self.width == 0 || self.outputs == 0 {
            return Err(Error::Empty);
        }
        let (states, width, groups) = (self.states.len(), self.width, self.groups.len());
        if labels != rows || groups != rows || states != rows * width {
            return Err(Error::Shape { states, width, labels, groups, folds: rows });
        }
        Ok(rows)
    }

    fn check(&self) -> Result<usize> {
        let rows = self.rows()?;
        let (count, outputs) = (self.fold_count, self.outputs);
        if let Some(row) = (0..rows).find(|&row| self.folds[row] >= count) {
            return Err(Error::Fold { row, fold: self.folds[row], count });
        }
        let mut states = self.states.chunks(self.width);
        if let Some(row) = states.position(|state| !state.iter().all(|x| x.is_finite())) {
            return Err(Error::NotFinite { row });
        }
        match (0..rows).find_map(|row| Some((row, self.bad_label(row)?))) {
            Some((row, class)) => Err(Error::Label { row, class, outputs }),
            None => Ok(rows),
        }
    }

    /// What is wrong with the truth of a row: a class that's out of range, or a score that's not finite.
    fn bad_label(&self, row: usize) -> Option<f64> {
        let outside = |&&class: &&u32| class as usize >= self.outputs;
        match self.labels {
            Labels::Absent | Labels::Tags(_) => None,
            Labels::Class(labels) => Some(&labels[row]).filter(outside).copied().map(f64::from),
            Labels::Multi(labels) => labels[row].iter().find(outside).copied().map(f64::from),
            Labels::Score(scores) => Some(f64::from(scores[row])).filter(|x| !x.is_finite()),
        }
    }

    fn kind(&self) -> Kind {
        match self.labels {
            Labels::Multi(_) => Kind::Multi,
            Labels::Score(_) => Kind::Score,
            Labels::Class(_) | Labels::Tags(_) | Labels::Absent => Kind::Class,
        }
    }

    /// `[C, N]` targets of these rows.
    fn targets(&self, order: &[usize]) -> Matrix {
        let outputs = if self.kind() == Kind::Score { 1 } else { self.outputs };
        let mut targets = Matrix::zeros(outputs, order.len());
        for (column, &row) in order.iter().enumerate() {
            let target = targets.column_mut(column);
            match self.labels {
                Labels::Absent | Labels::Tags(_) => {}
                Labels::Class(labels) => target[labels[row] as usize] = 1.0,
                Labels::Multi(labels) => labels[row].iter().for_each(|&c| target[c as usize] = 1.0),
                Labels::Score(scores) => target[0] = f64::from(scores[row]),
            }
        }
        targets
    }
}

impl Rows {
    /// # Errors
    /// As [`estimate`](super::estimate).
    pub fn new(sample: &Sample) -> Result<Self> {
        let folds = sample.fold_count;
        Self::split(sample, |order| {
            let at = |fold| order.partition_point(|&row| sample.folds[row] < fold);
            (0..folds).map(|k| at(k)..at(k + 1)).collect()
        })
    }

    /// As one fold, in the same order: for values of all rows alone.
    ///
    /// # Errors
    /// As [`estimate`](super::estimate).
    pub fn whole(sample: &Sample) -> Result<Self> {
        Self::split(sample, |order| std::iter::once(0..order.len()).collect())
    }

    fn split(sample: &Sample, cut: impl Fn(&[usize]) -> Vec<Range<usize>>) -> Result<Self> {
        let rows = sample.check()?;
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by_key(|&row| sample.folds[row]);
        let state = |&row: &usize| &sample.states[row * sample.width..(row + 1) * sample.width];
        let mut states = Vec::with_capacity(sample.states.len());
        order.iter().for_each(|row| states.extend(state(row).iter().map(|&x| f64::from(x))));
        let states = Matrix::from_columns(sample.width, states);
        let targets = sample.targets(&order);
        let (folds, groups) = (cut(&order), order.iter().map(|&row| sample.groups[row]).collect());
        let parts: Vec<Moments> = folds.iter().map(|f| sums(&states, &targets, f)).collect();
        let mut whole = Moments::new(states.rows(), targets.rows());
        parts.iter().for_each(|part| whole.merge(part));
        Ok(Self { kind: sample.kind(), states, targets, folds, groups, parts, whole })
    }

    /// N.
    pub fn count(&self) -> usize {
        self.states.cols()
    }

    /// All rows, without those of a fold.
    pub fn kept(&self, left_out: Option<usize>) -> Vec<usize> {
        let out = left_out.map_or(0..0, |fold| self.folds[fold].clone());
        (0..self.count()).filter(|row| !out.contains(row)).collect()
    }

    /// The sums over all rows, without those of a fold.
    pub fn moments(&self, left_out: Option<usize>) -> Moments {
        left_out.map_or_else(|| self.whole.clone(), |fold| self.whole.minus(&self.parts[fold]))
    }

    /// Whether the truth of the rows that are kept takes more than one value.
    pub fn varies(&self, left_out: Option<usize>) -> bool {
        let kept = self.kept(left_out);
        let first = kept.first().map(|&row| self.targets.column(row));
        kept.iter().any(|&row| Some(self.targets.column(row)) != first)
    }

    /// The class of each row. For scores and labels, use [`Rows::partitions`].
    pub fn classes(&self) -> Vec<usize> {
        let class = |row| self.targets.column(row).iter().position(|&y| y > 0.0).unwrap_or(0);
        (0..self.count()).map(class).collect()
    }

    /// One value of target `c` for each row.
    pub fn target(&self, c: usize) -> Vec<f64> {
        (0..self.count()).map(|row| self.targets[(c, row)]).collect()
    }

    /// The truth as partitions of the rows: the classes, each label against its absence, or bins of the score.
    pub fn partitions(&self) -> Vec<Partition> {
        match self.kind {
            Kind::Class => vec![Partition::new(self.classes(), self.targets.rows())],
            Kind::Multi => (0..self.targets.rows())
                .map(|c| Partition::new(self.target(c).iter().map(|&y| y as usize).collect(), 2))
                .collect(),
            Kind::Score => vec![Partition::quantiles(&self.target(0))],
        }
    }
}

fn sums(states: &Matrix, targets: &Matrix, fold: &Range<usize>) -> Moments {
    let mut sums = Moments::new(states.rows(), targets.rows());
    sums.add_columns(states.columns(fold.clone()), targets.columns(fold.clone()));
    sums
}

/// The targets that take both values: all that have rows for classes, those that vary for labels, the score.
pub(super) fn live(moments: &Moments, kind: Kind) -> Vec<usize> {
    let alive = |&c: &usize| match kind {
        Kind::Class => moments.targets[c] > 0.5,
        Kind::Multi => moments.targets[c] > 0.5 && moments.targets[c] < moments.rows - 0.5,
        Kind::Score => true,
    };
    (0..moments.targets.len()).filter(alive).collect()
}
