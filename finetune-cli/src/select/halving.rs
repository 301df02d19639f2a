//! Successive halving: short real training of the best candidates, in rungs.
//!
//! ```text
//! n_1 = K, n_(i+1) = ceil(n_i / 2), until at most 2 are left: R rungs
//! S_R = S steps, S_i = S / 2^(R - i)
//! rung i trains the n_i that are left up to step S_i, and measures them
//! ```
//!
//! A candidate trains by one schedule of S steps, and each rung goes on from the weights, moments and step of the one
//! before. S is the whole recipe, or the share of it that the time allows, the same for all candidates; the recipes
//! differ in steps where long sentences are in pieces, of which one tokenizer makes more than another. Source:
//! Jamieson & Talwalkar, 2016, <https://arxiv.org/abs/1502.07943>; unlike there, what a rung has trained is kept.

/// The fewest steps of the last rung, unless the whole recipe has fewer: in a shorter schedule a candidate is measured
/// while it warms up, and the ranking gets worse than that of the estimates (the test bed, `sts15`, 42 steps).
pub const FEWEST_STEPS: u64 = 100;

/// Who trains how far.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// Steps of the whole recipe for each candidate.
    pub recipe: Vec<u64>,
    /// For each rung, how many candidates train in it, and the step that each of all reaches if it does.
    pub rungs: Vec<(usize, Vec<u64>)>,
}

/// What a plan has to reckon with.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Seconds of all steps of the recipe, of the slowest candidate.
    pub recipe_seconds: f64,
    /// Seconds of loading, measuring and saving in a rung, of the slowest candidate.
    pub rung_seconds: f64,
    /// Seconds that are left.
    pub seconds: f64,
}

/// The candidates in each rung.
pub fn contenders(count: usize) -> Vec<usize> {
    let mut counts = vec![count];
    while let Some(&n) = counts.last().filter(|&&n| n > 2) {
        counts.push(n.div_ceil(2));
    }
    counts
}

impl Plan {
    /// The longest plan within the limits for candidates whose recipes have so many steps.
    ///
    /// # Errors
    /// When the time is too short for [`FEWEST_STEPS`]: the seconds that the shortest plan takes.
    pub fn new(recipe: &[u64], limits: Limits) -> Result<Self, f64> {
        let counts = contenders(recipe.len());
        let overhead = counts.iter().sum::<usize>() as f64 * limits.rung_seconds;
        // The work of all candidates together, in recipes.
        let shares = counts.iter().enumerate().map(|(i, &n)| {
            let before = if i == 0 { 0.0 } else { share(i - 1, counts.len()) };
            n as f64 * (share(i, counts.len()) - before)
        });
        let work = shares.sum::<f64>() * limits.recipe_seconds;
        let least = |&steps: &u64| FEWEST_STEPS.min(steps) as f64 / steps as f64;
        let least = recipe.iter().map(least).fold(0.0, f64::max);
        let affordable = (limits.seconds - overhead) / work;
        if affordable < least {
            return Err(overhead + least * work);
        }
        let part = affordable.min(1.0);
        let reached = |i| {
            let step = |&all: &u64| ((all as f64 * part * share(i, counts.len())) as u64).max(1);
            recipe.iter().map(step).collect()
        };
        let rungs = counts.iter().enumerate().map(|(i, &n)| (n, reached(i)));
        let mut rungs: Vec<(usize, Vec<u64>)> = rungs.collect();
        // Of few steps not every rung has one of its own.
        rungs.dedup_by(|(_, steps), (_, before)| steps == before);
        Ok(Self { recipe: recipe.to_vec(), rungs })
    }

    /// The step that a candidate, by its place, reaches in each rung; the last one is its S.
    pub fn steps_of(&self, candidate: usize) -> Vec<u64> {
        self.rungs.iter().map(|(_, steps)| steps[candidate]).collect()
    }

    /// Whether this is a plan for so many candidates; a damaged file may hold one that is for none.
    pub fn is_for(&self, count: usize) -> bool {
        let whole = self.rungs.iter().all(|(_, steps)| steps.len() == count);
        !self.rungs.is_empty() && self.recipe.len() == count && whole
    }

    /// Steps of all candidates together, those with the most of them in each rung.
    pub fn all_steps(&self) -> u64 {
        let mut before = 0;
        let mut all = 0;
        for (n, steps) in &self.rungs {
            let most = steps.iter().copied().max().unwrap_or(0);
            all += *n as u64 * most.saturating_sub(before);
            before = most;
        }
        all
    }
}

/// What was measured of a candidate, and what had been estimated.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Which candidate it is; several are the same one, trained in several ways.
    pub candidate: usize,
    /// The figure, such that more is better.
    pub figure: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The score that it had without training.
    pub estimate: f64,
}

/// The places of candidates, best first, by the rule of one standard error: among those whose figures are that close
/// to the highest, which some hundred rows can't tell apart, the estimate decides; then the same with the rest. Among
/// close ones a candidate that has no place yet goes before the second place of another, and of one candidate the
/// highest figure comes first.
///
/// Source: Breiman et al., *Classification and regression trees*, 1984, section 3.4.3, who choose the simplest of such.
pub fn order(measured: &[Measured]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..measured.len()).collect();
    let mut order = Vec::with_capacity(left.len());
    let figures =
        |&a: &usize, &b: &usize| measured[a].figure.total_cmp(&measured[b].figure).then(b.cmp(&a));
    let estimates = |a: &usize, b: &usize| {
        measured[*a].estimate.total_cmp(&measured[*b].estimate).then_with(|| figures(a, b))
    };
    while let Some(highest) = left.iter().copied().max_by(figures) {
        let bound = measured[highest].figure - measured[highest].standard_error;
        let close = left.iter().copied().filter(|&i| measured[i].figure >= bound);
        let places = |i: usize| {
            let same = |&&other: &&usize| measured[other].candidate == measured[i].candidate;
            order.iter().filter(same).count()
        };
        let rarest = |a: &usize, b: &usize| places(*b).cmp(&places(*a));
        let next = close.max_by(|a, b| rarest(a, b).then_with(|| estimates(a, b)));
        let next = next.unwrap_or(highest);
        left.retain(|&i| i != next);
        order.push(next);
    }
    order
}

/// The share of S that rung `i` of `rungs` reaches.
fn share(i: usize, rungs: usize) -> f64 {
    0.5f64.powi((rungs - 1 - i) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { recipe_seconds: 100.0, rung_seconds: 2.0, seconds: 1e9 };

    #[test]
    fn half_goes_on_until_two_are_left() {
        assert_eq!(contenders(1), [1]);
        assert_eq!(contenders(2), [2]);
        assert_eq!(contenders(3), [3, 2]);
        assert_eq!(contenders(9), [9, 5, 3, 2]);
    }

    #[test]
    fn with_time_enough_the_last_rung_is_the_whole_recipe() {
        let plan = Plan::new(&[100; 3], LIMITS).expect("time enough");
        assert_eq!(plan.rungs, [(3, vec![50; 3]), (2, vec![100; 3])]);
        assert_eq!((plan.steps_of(2), plan.all_steps()), (vec![50, 100], 250));
        assert_eq!(Plan::new(&[100], LIMITS).expect("time enough").rungs, [(1, vec![100])]);
    }

    #[test]
    fn each_trains_the_same_share_of_its_own_recipe() {
        let plan = Plan::new(&[100, 300, 200], LIMITS).expect("time enough");
        assert_eq!([0, 1, 2].map(|i| plan.steps_of(i)), [[50, 100], [150, 300], [100, 200]]);
        // Half of the recipe fits, and is no less than 100 steps of any.
        let limits = Limits { recipe_seconds: 300.0, seconds: 10.0 + 2.5 * 150.0, ..LIMITS };
        let plan = Plan::new(&[200, 300, 200], limits).expect("time enough");
        assert_eq!([0, 1, 2].map(|i| plan.steps_of(i)), [[50, 100], [75, 150], [50, 100]]);
        let needed = Plan::new(&[150, 300, 200], limits).expect_err("75 steps are too few");
        assert!((needed - (10.0 + 2.5 * 200.0)).abs() < 1e-9, "{needed}");
        assert!(plan.is_for(3) && !plan.is_for(2));
    }

    #[test]
    fn a_short_time_shortens_the_rungs() {
        // Five rung visits of 2 s, then 2.5 S steps of 1 s.
        let limits = Limits { recipe_seconds: 1000.0, seconds: 510.0, ..LIMITS };
        let plan = Plan::new(&[1000; 3], limits).expect("time enough");
        assert_eq!(plan.rungs, [(3, vec![100; 3]), (2, vec![200; 3])]);
        assert!(plan.all_steps() as f64 + 10.0 <= 510.0);
    }

    #[test]
    fn too_short_a_time_is_an_error_that_says_what_fits() {
        let limits = Limits { recipe_seconds: 1000.0, seconds: 200.0, ..LIMITS };
        let needed = Plan::new(&[1000; 3], limits).expect_err("too short");
        assert_eq!(needed, 10.0 + 2.5 * 100.0);
        let plan =
            Plan::new(&[1000; 3], Limits { seconds: needed, ..limits }).expect("time enough");
        assert_eq!(plan.steps_of(0).last(), Some(&FEWEST_STEPS));
    }

    #[test]
    fn what_was_measured_decides_unless_it_is_too_close() {
        let all = |errors: f64| -> Vec<Measured> {
            let of = |(candidate, (figure, estimate))| Measured {
                candidate,
                figure,
                standard_error: errors,
                estimate,
            };
            let all = [(0.80, 90.0), (0.81, 70.0), (0.70, 95.0), (0.69, 99.0)];
            all.into_iter().enumerate().map(of).collect()
        };
        assert_eq!(order(&all(0.0)), [1, 0, 2, 3]);
        assert_eq!(order(&all(0.02)), [0, 1, 3, 2]);
        assert_eq!(order(&all(1.0)), [3, 2, 0, 1]);
        let failed = Measured { figure: f64::NEG_INFINITY, estimate: 100.0, ..all(0.0)[0] };
        assert_eq!(order(&[failed, all(0.02)[0]]), [1, 0]);
        assert!(order(&[]).is_empty());
    }

    /// Two candidates with three learning rates each.
    #[test]
    fn the_rates_of_one_candidate_leave_room_for_another() {
        let of = |(candidate, figure): (usize, f64)| Measured {
            candidate,
            figure,
            standard_error: 0.02,
            estimate: [90.0, 70.0][candidate],
        };
        let close = [(0, 0.80), (0, 0.81), (0, 0.79), (1, 0.80), (1, 0.795), (1, 0.60)].map(of);
        assert_eq!(order(&close), [1, 3, 0, 4, 2, 5]);
        let apart = [(0, 0.90), (0, 0.91), (1, 0.70)].map(of);
        assert_eq!(order(&apart), [1, 0, 2]);
    }

    #[test]
    fn a_recipe_of_few_steps_is_run_as_it_is() {
        let plan = Plan::new(&[3; 3], LIMITS).expect("time enough");
        assert_eq!(plan.rungs, [(3, vec![1; 3]), (2, vec![3; 3])]);
        let plan = Plan::new(&[1; 5], LIMITS).expect("time enough");
        assert_eq!(plan.rungs, [(5, vec![1; 5])]);
    }
}
