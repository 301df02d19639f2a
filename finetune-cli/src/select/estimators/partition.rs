//! Rows in groups: classes, a label and its absence, or bins of a score; and rows in folds.

use tensor::philox::Rng;

use crate::data::Labels;

/// Bins of a score: enough to tell low from high, few enough to hold rows each.
const BINS: usize = 5;

/// Keeps the generator of the folds apart from the others under the same seed (`b"folds"` as a number).
const STREAM: u64 = 0x66_6F_6C_64_73;

/// The group of each row, below `count`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Partition {
    pub groups: Vec<usize>,
    pub count: usize,
}

impl Partition {
    pub fn new(groups: Vec<usize>, count: usize) -> Self {
        Self { groups, count }
    }

    /// Bins between the quantiles 1/5 .. 4/5, which are interpolated as NumPy does; a score on an edge belongs
    /// to the bin above it.
    pub fn quantiles(scores: &[f64]) -> Self {
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        let edges: Vec<f64> =
            (1..BINS).map(|i| quantile(&sorted, i as f64 / BINS as f64)).collect();
        let bin = |score: &f64| edges.iter().filter(|&edge| edge <= score).count();
        Self::new(scores.iter().map(bin).collect(), BINS)
    }

    /// The rows of each group among `rows`.
    pub fn members(&self, rows: &[usize]) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.count];
        rows.iter().for_each(|&row| members[self.groups[row]].push(row));
        members
    }
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// The fold of each row, below `count`: folds of equal size, give or take one row, in which each class has its
/// share, give or take one row. The same seed gives the same folds.
///
/// Scores are stratified too: of `count` rows that follow one another in order, each fold gets one.
/// Multi-label rows are dealt without regard to their labels.
///
/// # Panics
/// When `count` is 0.
pub fn folds(labels: &Labels, count: usize, seed: u64) -> Vec<usize> {
    assert!(count > 0, "at least one fold");
    let mut rng = Rng::new(seed, STREAM);
    let strata = strata(labels, count);
    let mut folds = vec![0; strata.iter().map(Vec::len).sum()];
    // Dealing goes on where the last stratum stopped, so that folds are of one size.
    let mut next = 0;
    for mut stratum in strata {
        rng.shuffle(&mut stratum);
        for row in stratum {
            folds[row] = next % count;
            next += 1;
        }
    }
    folds
}

/// Rows that are to be spread over the folds.
fn strata(labels: &Labels, count: usize) -> Vec<Vec<usize>> {
    match labels {
        Labels::Absent => vec![],
        Labels::Multi(labels) => vec![(0..labels.len()).collect()],
        Labels::Tags(labels) => vec![(0..labels.len()).collect()],
        Labels::Class(labels) => {
            let classes = labels.iter().max().map_or(0, |&last| last as usize + 1);
            let labels = labels.iter().map(|&class| class as usize).collect::<Vec<_>>();
            let rows: Vec<usize> = (0..labels.len()).collect();
            Partition::new(labels, classes).members(&rows)
        }
        Labels::Score(scores) => {
            let mut rows: Vec<usize> = (0..scores.len()).collect();
            rows.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            rows.chunks(count).map(<[usize]>::to_vec).collect()
        }
    }
}
