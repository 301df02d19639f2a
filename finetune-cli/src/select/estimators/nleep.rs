//! NLEEP: how well clusters of the states predict the labels.
//!
//! ```text
//! states -> principal components [d, N] -> mixture of Gaussians -> responsibilities r [Z, N]
//! P(y, z) = 1/n sum_i r_zi [y_i = y]        P(y | z) = P(y, z) / sum_y P(y, z)
//! LEEP = 1/n sum_i ln sum_z P(y_i | z) r_zi
//! ```
//!
//! Components: as few as hold 80 % of the variance, at most 32. Clusters: 5 for each class, label or bin, at most 64
//! and at most N / 5; diagonal covariances, because the components are uncorrelated. The means begin with k-means++ under
//! a fixed seed. Scores are put into 5 bins between quantiles. Several labels: the mean over those that vary,
//! of two classes each. In [-H(y), 0]; states that do not vary have one cluster, hence -H(y), H the entropy. NaN
//! where the truth doesn't vary.
//!
//! Without a fold, LEEP of the remaining rows' responsibilities; components and mixture stay those of all rows.
//!
//! Sources: Li et al., *Ranking neural checkpoints*, CVPR 2021, <https://arxiv.org/abs/2011.11200>; Nguyen et al.,
//! *LEEP*, ICML 2020, <https://arxiv.org/abs/2002.12462>.

use tensor::philox::Rng;

use crate::select::linalg::{Eigen, Matrix, View, inner_products, transpose_times};

use super::mixture::{Mixture, spread_out};
use super::moments::add_scaled;
use super::partition::Partition;
use super::sample::{Kind, Rows};
use super::statistics::mean;

/// Share of the variance that the components hold.
const VARIANCE: f64 = 0.8;
/// Components at most, which bounds the cost of a round.
const COMPONENTS: usize = 32;
/// Clusters per class.
const CLUSTERS: usize = 5;
/// Clusters at most, likewise.
const MOST: usize = 64;
/// Rows per cluster at least, so that a cluster is not a row.
const ROWS: usize = 5;
/// A variance this small beside the mean square is rounding of the sums.
const ROUNDING: f64 = 1e-13;
/// `b"nleep"` as a number, seed and stream alike.
const SEED: u64 = 0x6E_6C_65_65_70;

/// Responsibilities and the truth they are compared with.
pub(super) struct Nleep<'a> {
    rows: &'a Rows,
    partitions: Vec<Partition>,
    responsibilities: Matrix,
}

impl<'a> Nleep<'a> {
    pub fn new(rows: &'a Rows) -> Self {
        let points = principal_components(rows);
        let partitions = rows.partitions();
        let groups = if rows.kind == Kind::Multi { partitions.len() } else { partitions[0].count };
        let clusters = (CLUSTERS * groups).min(MOST).min(rows.count() / ROWS).max(1);
        let chosen = spread_out(points.view(), clusters, &mut Rng::new(SEED, SEED));
        let mixture = Mixture::fit(points.view(), points.gather(&chosen));
        let (_, responsibilities) = mixture.responsibilities(points.view());
        Self { rows, partitions, responsibilities }
    }

    /// The value over the rows that are kept.
    pub fn value(&self, left_out: Option<usize>) -> f64 {
        let kept = self.rows.kept(left_out);
        let responsibilities = self.responsibilities.gather(&kept);
        let scores = self.partitions.iter().filter_map(|partition| {
            let truth: Vec<usize> = kept.iter().map(|&row| partition.groups[row]).collect();
            let varies = truth.iter().any(|&y| y != truth[0]);
            varies.then(|| leep(responsibilities.view(), &truth, partition.count))
        });
        mean(&scores.collect::<Vec<_>>())
    }
}

/// LEEP of responsibilities `[Z, n]`, whose columns sum to 1, and n classes below `count`; NaN for no rows.
///
/// # Panics
/// When a class is out of range or their number isn't n.
pub fn leep(responsibilities: View, truth: &[usize], count: usize) -> f64 {
    assert_eq!(responsibilities.cols(), truth.len(), "a class per column");
    let clusters = responsibilities.rows();
    let mut joint = Matrix::zeros(clusters, count);
    let mut all = vec![f64::MIN_POSITIVE; clusters];
    for (row, &class) in truth.iter().enumerate() {
        add_scaled(joint.column_mut(class), 1.0, responsibilities.column(row));
        add_scaled(&mut all, 1.0, responsibilities.column(row));
    }
    let ln = |(row, &class): (usize, &usize)| {
        let terms = joint.column(class).iter().zip(&all).zip(responsibilities.column(row));
        terms.map(|((joint, all), r)| joint / all * r).sum::<f64>().ln()
    };
    mean(&truth.iter().enumerate().map(ln).collect::<Vec<_>>())
}

/// The states along the directions that hold most variance, `[d, N]`; one row of zeros when nothing varies.
fn principal_components(rows: &Rows) -> Matrix {
    let centred = centred(rows);
    let dual = rows.count() < rows.states.rows();
    let matrix = if dual { inner_products(centred.view()) } else { rows.whole.scatter() };
    let total = matrix.trace();
    let eigen = Eigen::new(&matrix).filter(|_| total > ROUNDING * rows.whole.squares.trace());
    let Some(eigen) = eigen else { return Matrix::zeros(1, rows.count()) };
    let chosen = leading(&eigen.values, total);
    if dual {
        return from_products(&eigen, &chosen);
    }
    transpose_times(eigen.vectors.gather(&chosen).view(), centred.view())
}

/// From the eigenvectors of the rows' products with one another, which are the coordinates but for their length.
fn from_products(eigen: &Eigen, chosen: &[usize]) -> Matrix {
    let mut points = Matrix::zeros(chosen.len(), eigen.values.len());
    for (i, &component) in chosen.iter().enumerate() {
        let length = eigen.values[component].max(0.0).sqrt();
        let coordinates = eigen.vectors.column(component).iter().enumerate();
        coordinates.for_each(|(row, x)| points[(i, row)] = length * x);
    }
    points
}

fn centred(rows: &Rows) -> Matrix {
    let mean = rows.whole.mean();
    let mut centred = rows.states.clone();
    (0..rows.count()).for_each(|row| add_scaled(centred.column_mut(row), -1.0, &mean));
    centred
}

/// The places of the largest of ascending values that make up the share of the total, largest first.
fn leading(values: &[f64], total: f64) -> Vec<usize> {
    let mut held = 0.0;
    let mut chosen = Vec::new();
    for place in (0..values.len()).rev().take(COMPONENTS) {
        chosen.push(place);
        held += values[place];
        if held >= VARIANCE * total {
            break;
        }
    }
    chosen
}
