//! From many estimates to one score with an interval.
//!
//! ```text
//! rank_r(c)   rank of candidate c by rater r, 0 (worst) to 100 (best), equal values share the mean
//! score(c)    sum_r w_r rank_r(c) / sum_r w_r
//! ```
//!
//! A rater is one of six estimators at one of three places ([`ROLES`]). The interval and the ties come from
//! [`REPLICATES`] replicates of the whole ranking. Each draws, with replacement, folds of the sample, roles, and
//! estimators by their weights: so the interval holds both the chance of the sample and the disagreement of the
//! raters, and all candidates share each draw. The value of a rater in a replicate is the mean over the drawn folds
//! of v - (K - 1) sqrt(K / (K - 1)) (v_without_k - their mean): jackknife pseudo-values without the correction of the
//! bias, which is that of fewer rows and alike for all (Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993,
//! chapter 11).
//!
//! The weights were fixed before any result was seen: the probe counts twice, because it measures the figure that
//! is asked for; LogME, H-score and neighbours once; TransRate and NLEEP half, because they depend on constants
//! that no data decides on (the distortion; the number of components).

use tensor::philox::Rng;

use crate::select::summary::{Evidence, Score};

/// The places at which candidates are rated: the state that a new head begins with (last layer, first token), the
/// layer and pooling with the highest LogME, and the mean of all layers.
pub const ROLES: [&str; 3] = ["head", "best", "mean"];

/// Estimators and their weights.
pub const WEIGHTS: [(&str, f64); 6] = [
    ("probe", 2.0),
    ("logme", 1.0),
    ("h_score", 1.0),
    ("knn", 1.0),
    ("transrate", 0.5),
    ("nleep", 0.5),
];

/// Rankings that are drawn: the ends of a 90 % interval are then known to about one in a hundred.
pub const REPLICATES: usize = 1000;
/// The share of replicates in the interval.
pub const LEVEL: f64 = 0.9;
/// The random stream of the draws (`b"fusion"` as a number).
const STREAM: u64 = 0x66_75_73_69_6F_6E;

/// The values of one rater for one candidate.
#[derive(Clone, Debug, Default)]
struct Rating {
    value: f64,
    /// One a fold; none where the value is not known.
    pseudo: Vec<f64>,
}

/// The ratings of all candidates, and the replicates of their scores.
pub struct Fusion {
    scores: Vec<f64>,
    /// By replicate, then by candidate.
    replicates: Vec<Vec<f64>>,
}

impl Fusion {
    /// Ranks the candidates. The same evidence gives the same scores, in any order of the candidates.
    pub fn new(candidates: &[&Evidence], seed: u64) -> Self {
        let raters = raters(candidates);
        let all: Vec<f64> = raters.iter().map(|rater| rater.weight).collect();
        let ranks: Vec<Vec<f64>> = raters.iter().map(|rater| rater.ranks(None)).collect();
        let scores = fuse(&ranks, &all, candidates.len());
        let mut rng = Rng::new(seed, STREAM);
        let folds = raters.iter().flat_map(|r| &r.ratings).map(|r| r.pseudo.len()).max();
        let replicates = (0..REPLICATES)
            .map(|_| replicate(&raters, folds.unwrap_or(0), candidates.len(), &mut rng));
        Self { scores, replicates: replicates.collect() }
    }

    /// The score of each candidate, in the order in which they were given.
    pub fn scores(&self) -> Vec<Score> {
        let best = (0..self.scores.len())
            .reduce(|a, b| if self.scores[b] > self.scores[a] { b } else { a });
        let score = |(c, &value): (usize, &f64)| {
            let mut drawn: Vec<f64> = self.replicates.iter().map(|r| r[c]).collect();
            drawn.sort_by(f64::total_cmp);
            let at = |share: f64| drawn[((drawn.len() - 1) as f64 * share).round() as usize];
            let (low, high) = (at((1.0 - LEVEL) / 2.0), at((1.0 + LEVEL) / 2.0));
            let tied_with_best = best.is_some_and(|best| c == best || !self.is_behind(c, best));
            Score { value, low: low.min(value), high: high.max(value), tied_with_best }
        };
        self.scores.iter().enumerate().map(score).collect()
    }

    /// The share of replicates in which `a` scores above `b`; equal scores count half.
    pub fn confidence(&self, a: usize, b: usize) -> f64 {
        let wins = self.replicates.iter().map(|r| match r[a].total_cmp(&r[b]) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        });
        wins.sum::<f64>() / REPLICATES as f64
    }

    /// Whether the replicates tell that `c` ranks below `best`.
    fn is_behind(&self, c: usize, best: usize) -> bool {
        self.confidence(best, c) > (1.0 + LEVEL) / 2.0
    }
}

/// An estimator at a place, with its ratings of all candidates.
struct Rater {
    estimator: usize,
    role: usize,
    weight: f64,
    ratings: Vec<Rating>,
}

impl Rater {
    /// The ranks of all candidates: on the whole sample, or on the drawn folds.
    fn ranks(&self, folds: Option<&[usize]>) -> Vec<f64> {
        let value = |rating: &Rating| match folds {
            Some(folds) if !rating.pseudo.is_empty() => {
                folds.iter().map(|&f| rating.pseudo[f % rating.pseudo.len()]).sum::<f64>()
            }
            // A rating that is the same whatever the folds; comparable with sums over the folds.
            Some(folds) => rating.value * folds.len() as f64,
            None => rating.value,
        };
        ranks(&self.ratings.iter().map(value).collect::<Vec<f64>>())
    }
}

/// All raters that can tell candidates apart.
fn raters(candidates: &[&Evidence]) -> Vec<Rater> {
    let mut raters = Vec::new();
    for (role, role_name) in ROLES.iter().enumerate() {
        for (estimator, &(name, weight)) in WEIGHTS.iter().enumerate() {
            let ratings: Vec<Rating> =
                candidates.iter().map(|c| rating(c, role_name, name)).collect();
            if ratings.iter().any(|rating| rating.value > f64::NEG_INFINITY) {
                raters.push(Rater { estimator, role, weight, ratings });
            }
        }
    }
    raters
}

/// What has no value ranks last.
fn rating(evidence: &Evidence, role: &str, estimator: &str) -> Rating {
    let found = evidence.estimates.iter().find(|e| e.role == role && e.estimator == estimator);
    let Some(value) = found.and_then(|e| e.value) else {
        return Rating { value: f64::NEG_INFINITY, pseudo: Vec::new() };
    };
    let without = found.map_or(&[][..], |e| &e.without);
    if without.len() < 2 {
        return Rating { value, pseudo: Vec::new() };
    }
    let known: Vec<f64> = without.iter().map(|v| v.unwrap_or(value)).collect();
    let (k, mean) = (known.len() as f64, known.iter().sum::<f64>() / known.len() as f64);
    // The root makes the variance of a bootstrapped mean that of the jackknife.
    let spread = (k - 1.0) * (k / (k - 1.0)).sqrt();
    let pseudo = known.iter().map(|v| value - spread * (v - mean));
    Rating { value, pseudo: pseudo.collect() }
}

/// One draw of the whole ranking.
fn replicate(raters: &[Rater], folds: usize, candidates: usize, rng: &mut Rng) -> Vec<f64> {
    let draw = |rng: &mut Rng, n: usize| rng.below(n as u64) as usize;
    let folds: Vec<usize> = (0..folds).map(|_| draw(rng, folds)).collect();
    let mut roles = [0.0; ROLES.len()];
    (0..ROLES.len()).for_each(|_| roles[draw(rng, ROLES.len())] += 1.0);
    let mut estimators = [0.0; WEIGHTS.len()];
    (0..WEIGHTS.len()).for_each(|_| estimators[weighted(rng)] += 1.0);
    let weights: Vec<f64> =
        raters.iter().map(|rater| roles[rater.role] * estimators[rater.estimator]).collect();
    let ranks = raters.iter().zip(&weights).map(|(rater, &weight)| match weight {
        0.0 => Vec::new(),
        _ => rater.ranks(Some(&folds)),
    });
    fuse(&ranks.collect::<Vec<_>>(), &weights, candidates)
}

/// An estimator, drawn by its weight.
fn weighted(rng: &mut Rng) -> usize {
    /// Weights are whole numbers of halves.
    const HALVES: f64 = 2.0;
    let total: f64 = WEIGHTS.iter().map(|(_, weight)| weight * HALVES).sum();
    let mut drawn = rng.below(total as u64) as f64;
    let position = WEIGHTS.iter().position(|(_, weight)| {
        drawn -= weight * HALVES;
        drawn < 0.0
    });
    position.expect("below the total")
}

/// The weighted mean of the ranks of each candidate; 50 where no rater has a weight.
fn fuse(ranks: &[Vec<f64>], weights: &[f64], candidates: usize) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    if total == 0.0 {
        return vec![50.0; candidates];
    }
    let mut scores: Vec<f64> = vec![0.0; candidates];
    for (ranks, weight) in ranks.iter().zip(weights) {
        scores.iter_mut().zip(ranks).for_each(|(score, rank)| *score += weight * rank);
    }
    scores.into_iter().map(|score| score / total).collect()
}

/// Ranks from 0 (least) to 100 (greatest); equal values share the mean of theirs. A single value ranks 100.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![100.0; values.len()];
    let (mut before, last) = (0, values.len().saturating_sub(1).max(1) as f64);
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = before as f64 + (tied.len() - 1) as f64 / 2.0;
        if values.len() > 1 {
            tied.iter().for_each(|&c| ranks[c] = 100.0 * rank / last);
        }
        before += tied.len();
    }
    ranks
}
