//! Held-out nearest neighbours: how well the 5 closest rows of other groups tell the truth of a row.
//!
//! ```text
//! d(i, j)^2 = |x_i|^2 + |x_j|^2 - 2 x_i x_j            Euclidean, on the states as they are
//! ```
//!
//! Classes: the share of rows whose class has the most votes; among classes with equally many, that of the closest
//! neighbour. Labels: the micro F1 of the labels that more than half of the neighbours have (0 when there are neither
//! labels nor predictions). Scores: Pearson's correlation of the score with the mean of the neighbours'. Among equally
//! distant rows those of an earlier fold come first, then earlier rows. NaN where all rows are of one group, or a side
//! of the correlation is constant.
//!
//! A text is a group by itself: its row is left out when it is asked about. The words of a sentence are one group. Their
//! states know of one another: the next word of an entity is close and has its label in any encoder, and the words of a
//! new text have no such neighbours.
//!
//! Each row keeps its 5 closest of every fold; those of any union of folds are among them, so one pass over the
//! distances answers for every fold that is left out. Memory: N K 5 neighbours; products by blocks of rows.
//!
//! Source: Cover, Hart, *Nearest neighbor pattern classification*, 1967; as an estimator: Puigcerver et al.,
//! *Scalable transfer learning with expert models*, 2021, <https://arxiv.org/abs/2009.13239>.

use crate::select::linalg::transpose_times;

use super::moments::dot;
use super::sample::{Kind, Rows};
use super::statistics::pearson;

/// Neighbours that vote.
const NEIGHBOURS: usize = 5;
/// Rows whose products with all others are held at a time.
const BLOCK: usize = 128;

/// A squared distance and a row.
type Neighbour = (f64, usize);

/// The closest rows of other groups of every row.
pub(super) struct Neighbours {
    /// For each row and fold: at most [`NEIGHBOURS`], closest first.
    lists: Vec<Vec<Vec<Neighbour>>>,
}

impl Neighbours {
    pub fn new(rows: &Rows) -> Self {
        let squares: Vec<f64> = (0..rows.count())
            .map(|row| dot(rows.states.column(row), rows.states.column(row)))
            .collect();
        let mut lists = Vec::with_capacity(rows.count());
        for start in (0..rows.count()).step_by(BLOCK) {
            let block = rows.states.columns(start..(start + BLOCK).min(rows.count()));
            let products = transpose_times(rows.states.view(), block);
            for query in 0..products.cols() {
                lists.push(closest(rows, &squares, products.column(query), start + query));
            }
        }
        Self { lists }
    }

    /// The closest rows outside a fold.
    fn of(&self, row: usize, left_out: Option<usize>) -> Vec<Neighbour> {
        let folds = self.lists[row].iter().enumerate();
        let kept = folds.filter(|(fold, _)| Some(*fold) != left_out);
        let mut all: Vec<Neighbour> = kept.flat_map(|(_, list)| list).copied().collect();
        // Stable: equal distances stay in the order of folds and rows.
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all.truncate(NEIGHBOURS);
        all
    }

    /// The value over the rows that are kept.
    pub fn value(&self, rows: &Rows, left_out: Option<usize>) -> f64 {
        let kept = rows.kept(left_out);
        let mut pairs = kept.windows(2);
        if pairs.all(|pair| rows.groups[pair[0]] == rows.groups[pair[1]]) {
            return f64::NAN;
        }
        let voters = kept.iter().map(|&row| (row, self.of(row, left_out)));
        match rows.kind {
            Kind::Class => accuracy(rows, voters),
            Kind::Multi => micro_f1(rows, voters),
            Kind::Score => correlation(rows, voters),
        }
    }
}

/// The closest rows of each fold to row `query`, whose products with all rows are given; none of its own group.
fn closest(rows: &Rows, squares: &[f64], products: &[f64], query: usize) -> Vec<Vec<Neighbour>> {
    let fold = |range: &std::ops::Range<usize>| {
        let mut list: Vec<Neighbour> = Vec::with_capacity(NEIGHBOURS + 1);
        let mut limit = f64::INFINITY;
        for row in range.clone() {
            // The square of the query itself is the same for all.
            let distance = squares[row] - 2.0 * products[row];
            if distance < limit && rows.groups[row] != rows.groups[query] {
                let place = list.partition_point(|&(other, _)| other <= distance);
                list.insert(place, (distance, row));
                list.truncate(NEIGHBOURS);
                limit = list.get(NEIGHBOURS - 1).map_or(f64::INFINITY, |last| last.0);
            }
        }
        list
    };
    rows.folds.iter().map(fold).collect()
}

fn accuracy(rows: &Rows, voters: impl Iterator<Item = (usize, Vec<Neighbour>)>) -> f64 {
    let classes = rows.classes();
    let (mut right, mut all) = (0, 0);
    for (row, voters) in voters {
        let votes: Vec<usize> = voters.iter().map(|voter| classes[voter.1]).collect();
        right += usize::from(majority(&votes) == classes[row]);
        all += 1;
    }
    f64::from(right as u32) / f64::from(all)
}

/// The most frequent class; of several, the one that comes first.
fn majority(votes: &[usize]) -> usize {
    let count = |class| votes.iter().filter(|&&other| other == class).count();
    let most = votes.iter().map(|&class| count(class)).max().unwrap_or(0);
    *votes.iter().find(|&&class| count(class) == most).expect("at least one neighbour")
}

fn micro_f1(rows: &Rows, voters: impl Iterator<Item = (usize, Vec<Neighbour>)>) -> f64 {
    let (mut both, mut either) = (0.0, 0.0);
    for (row, voters) in voters {
        for c in 0..rows.targets.rows() {
            let votes: f64 = voters.iter().map(|voter| rows.targets[(c, voter.1)]).sum();
            let guess = if 2.0 * votes > voters.len() as f64 { 1.0 } else { 0.0 };
            both += 2.0 * guess * rows.targets[(c, row)];
            either += guess + rows.targets[(c, row)];
        }
    }
    if either == 0.0 { 0.0 } else { both / either }
}

fn correlation(rows: &Rows, voters: impl Iterator<Item = (usize, Vec<Neighbour>)>) -> f64 {
    let mean = |(row, voters): (usize, Vec<Neighbour>)| {
        let sum: f64 = voters.iter().map(|voter| rows.targets[(0, voter.1)]).sum();
        (sum / voters.len() as f64, rows.targets[(0, row)])
    };
    let (guesses, truth): (Vec<f64>, Vec<f64>) = voters.map(mean).unzip();
    pearson(&guesses, &truth)
}
