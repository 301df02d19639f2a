//! TransRate: how much shorter states are to code when their class is known.
//!
//! ```text
//! TrR = R(Z) - mean_c R(Z_c)       R(Z) = 1/2 ln det(I + Z^T Z / (n e)),   e = 1e-4
//! ```
//!
//! Z [n, D] are the states less the mean of all, Z_c those of class c: as in the authors' code, where the factor of
//! the published formula is D / (n e^2) and the mean is weighted by rows. Classes without rows are left out.
//! Scores are put into 5 bins between quantiles, which are those of all rows also where a fold is left out.
//! Several labels: the mean over those that vary, of two classes each. NaN where the truth doesn't vary.
//!
//! ln det comes from Z^T Z [D, D] or Z Z^T [n, n], whichever is smaller; without a fold's rows the first is a
//! difference of sums, the second a part of the matrix.
//!
//! Source: Huang et al., *Frustratingly easy transferability estimation*, ICML 2022,
//! <https://arxiv.org/abs/2106.09362>.

use crate::select::linalg::{Cholesky, Matrix, inner_products, transpose_times};

use super::moments::{Moments, dot};
use super::partition::Partition;
use super::sample::{Kind, Rows};
use super::statistics::mean;

/// The distortion that is allowed, e.
const DISTORTION: f64 = 1e-4;

/// Rows of one group, ready for the rate of any part of them.
enum Group {
    /// Sums over those of each fold.
    Sums(Vec<Moments>),
    /// Their products with one another, for groups with fewer rows than states.
    Products { rows: Vec<usize>, states: Matrix, products: Matrix },
}

/// TransRate of all rows and without each fold.
pub(super) struct TransRate<'a> {
    rows: &'a Rows,
    all: Group,
    partitions: Vec<(Partition, Vec<Group>)>,
}

impl<'a> TransRate<'a> {
    pub fn new(rows: &'a Rows) -> Self {
        let everything: Vec<usize> = (0..rows.count()).collect();
        let all = if rows.count() < rows.states.rows() {
            Group::products(rows, everything.clone())
        } else {
            Group::Sums(rows.parts.clone())
        };
        let groups = |partition: Partition| {
            let members = partition.members(&everything);
            (partition, members.into_iter().map(|members| Group::new(rows, members)).collect())
        };
        Self { rows, all, partitions: rows.partitions().into_iter().map(groups).collect() }
    }

    /// The value over the rows that are kept.
    pub fn value(&self, left_out: Option<usize>) -> f64 {
        let centre = self.rows.moments(left_out).mean();
        let rate = |group: &Group| group.rate(self.rows, left_out, &centre);
        let known = self.partitions.iter().map(|(_, groups)| {
            let rates: Vec<f64> = groups.iter().filter_map(rate).collect();
            (rates.len() > 1 || self.rows.kind != Kind::Multi).then(|| mean(&rates))
        });
        let known: Vec<f64> = known.flatten().collect();
        rate(&self.all).unwrap_or(f64::NAN) - mean(&known)
    }
}

impl Group {
    fn new(rows: &Rows, members: Vec<usize>) -> Self {
        if members.len() < rows.states.rows() {
            return Self::products(rows, members);
        }
        let fold = |range: &std::ops::Range<usize>| {
            let inside: Vec<usize> =
                members.iter().copied().filter(|m| range.contains(m)).collect();
            let mut sums = Moments::new(rows.states.rows(), rows.targets.rows());
            let (states, targets) = (rows.states.gather(&inside), rows.targets.gather(&inside));
            sums.add_columns(states.view(), targets.view());
            sums
        };
        Self::Sums(rows.folds.iter().map(fold).collect())
    }

    fn products(rows: &Rows, members: Vec<usize>) -> Self {
        let states = rows.states.gather(&members);
        let products = inner_products(states.view());
        Self::Products { rows: members, states, products }
    }

    /// The rate of the rows that are kept, less the centre; `None` without any.
    fn rate(&self, rows: &Rows, left_out: Option<usize>, centre: &[f64]) -> Option<f64> {
        match self {
            Self::Sums(parts) => rate_of_sums(parts, left_out, centre),
            Self::Products { rows: members, states, products } => {
                let out = left_out.map_or(0..0, |fold| rows.folds[fold].clone());
                let kept = (0..members.len()).filter(|&i| !out.contains(&members[i]));
                let kept: Vec<usize> = kept.collect();
                let column = Matrix::from_columns(centre.len(), centre.to_vec());
                let along = transpose_times(states.view(), column.view());
                rate_of_products(products, &kept, along.data(), dot(centre, centre))
            }
        }
    }
}

/// From `sum x x^T`, less what the centre c takes off: `- s c^T - c s^T + n c c^T`.
fn rate_of_sums(parts: &[Moments], left_out: Option<usize>, centre: &[f64]) -> Option<f64> {
    let mut kept = parts.iter().enumerate().filter(|(fold, _)| Some(*fold) != left_out);
    let mut sums = kept.next()?.1.clone();
    kept.for_each(|(_, part)| sums.merge(part));
    let Moments { rows, states, squares: mut scatter, .. } = sums;
    scatter.add_outer(-1.0, &states, centre);
    scatter.add_outer(-1.0, centre, &states);
    scatter.add_outer(rows, centre, centre);
    rate(scatter, rows)
}

/// From `x_i x_j`, less what the centre c takes off: `- x_i c - x_j c + c c`.
fn rate_of_products(all: &Matrix, kept: &[usize], along: &[f64], square: f64) -> Option<f64> {
    let mut products = Matrix::zeros(kept.len(), kept.len());
    for (j, &right) in kept.iter().enumerate() {
        let (from, to) = (all.column(right), products.column_mut(j));
        for (to, &left) in to[j..].iter_mut().zip(&kept[j..]) {
            *to = from[left] - along[left] - along[right] + square;
        }
    }
    rate(products, kept.len() as f64)
}

/// `1/2 ln det(I + A / (n e))`; `None` for n = 0.
fn rate(mut scatter: Matrix, rows: f64) -> Option<f64> {
    if rows < 0.5 {
        return None;
    }
    scatter.scale_and_shift(1.0 / (rows * DISTORTION), 1.0);
    Some(Cholesky::new(&scatter).map_or(f64::NAN, |factor| factor.ln_det() / 2.0))
}
