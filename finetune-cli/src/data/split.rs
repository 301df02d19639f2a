//! A validation part of the training data, where there is no validation file; a sample of it.
//!
//! Each class keeps its share in both parts. Class c of n_c rows gives floor(f n_c) rows to validation, and the
//! rows still missing to round(f n) go to the classes with the largest remainders f n_c - floor(f n_c) (Hare's
//! method). The last row of a class always stays in training. The test file is never looked at.

use tensor::philox::Rng;

use super::dataset::Labels;
use super::error::{Error, Result};

/// Keeps the generator of the split apart from those that shuffle and initialize under the same seed
/// (`b"split"` as a number).
const STREAM: u64 = 0x73_70_6C_69_74;

/// Rows for training and rows for validation, `round(fraction * rows)` of them where the classes allow it;
/// both ascending, together all rows. The same seed gives the same split.
///
/// Scores, multi-label rows and tagged words are drawn without regard to the labels.
///
/// # Errors
/// When `fraction` is not in (0, 1), or one side would be empty.
pub fn stratified(labels: &Labels, fraction: f64, seed: u64) -> Result<(Vec<usize>, Vec<usize>)> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::Fraction { fraction });
    }
    let mut rng = Rng::new(seed, STREAM);
    let mut groups = groups(labels);
    let rows = groups.iter().map(Vec::len).sum();
    let mut taken = vec![false; rows];
    let total = (fraction * rows as f64).round() as usize;
    let counts = shares(&groups, fraction, total, 1);
    for (group, count) in groups.iter_mut().zip(counts) {
        rng.shuffle(group);
        group[..count].iter().for_each(|&row| taken[row] = true);
    }
    let (validation, train): (Vec<usize>, Vec<usize>) = (0..rows).partition(|&row| taken[row]);
    if train.is_empty() || validation.is_empty() {
        return Err(Error::EmptySplit { fraction, rows });
    }
    Ok((train, validation))
}

/// So many rows, ascending, each class with its share; all if there are no more. The same seed gives the same rows. As
/// nothing is held out, a class may give its last row, too.
pub fn sample(labels: &Labels, count: usize, seed: u64) -> Vec<usize> {
    let mut rng = Rng::new(seed, STREAM);
    let mut groups = groups(labels);
    let rows: usize = groups.iter().map(Vec::len).sum();
    if count >= rows {
        return (0..rows).collect();
    }
    let counts = shares(&groups, count as f64 / rows as f64, count, 0);
    let mut drawn = Vec::with_capacity(count);
    for (group, count) in groups.iter_mut().zip(counts) {
        rng.shuffle(group);
        drawn.extend(&group[..count]);
    }
    drawn.sort_unstable();
    drawn
}

/// The rows of each class, or all rows as one group.
fn groups(labels: &Labels) -> Vec<Vec<usize>> {
    match labels {
        Labels::Absent => vec![],
        Labels::Multi(labels) => vec![(0..labels.len()).collect()],
        Labels::Score(labels) => vec![(0..labels.len()).collect()],
        Labels::Tags(labels) => vec![(0..labels.len()).collect()],
        Labels::Class(labels) => {
            let classes = labels.iter().max().map_or(0, |&last| last as usize + 1);
            let mut groups = vec![Vec::new(); classes];
            labels.iter().enumerate().for_each(|(row, &class)| groups[class as usize].push(row));
            groups
        }
    }
}

/// How many rows of each group are drawn, `total` if the groups can give as many: each keeps so many of its own.
fn shares(groups: &[Vec<usize>], fraction: f64, total: usize, kept: usize) -> Vec<usize> {
    let exact: Vec<f64> = groups.iter().map(|group| fraction * group.len() as f64).collect();
    let most = groups.iter().map(|group| group.len().saturating_sub(kept));
    let mut counts: Vec<usize> =
        exact.iter().zip(most).map(|(share, most)| (share.floor() as usize).min(most)).collect();
    let remainder = |i: usize| exact[i].fract();
    let may_give = |&i: &usize| remainder(i) > 0.0 && groups[i].len() > counts[i] + kept;
    let mut order: Vec<usize> = (0..groups.len()).filter(may_give).collect();
    // A stable sort: equal remainders go by size, then by class.
    order.sort_by(|&a, &b| {
        remainder(b).total_cmp(&remainder(a)).then(groups[b].len().cmp(&groups[a].len()))
    });
    let left = total.saturating_sub(counts.iter().sum());
    order.into_iter().take(left).for_each(|i| counts[i] += 1);
    counts
}
