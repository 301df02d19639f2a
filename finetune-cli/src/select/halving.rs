//! Successive halving: short real training of the best candidates, in rungs.
//!
//! ```text
//! n_1 = K, n_(i+1) = ceil(n_i / 2), until at most 2 are left: R rungs
//! S_R = S steps, S_i = S / 2^(R - i)
//! rung i trains the n_i that are left up to step S_i, and measures them
//! ```
//!
//! Every candidate trains by one schedule of S steps, and each rung goes on from the weights, moments and step of the
//! one before. S is the whole recipe, or what the time allows. Source: Jamieson & Talwalkar, 2016,
//! <https://arxiv.org/abs/1502.07943>; unlike there, what a rung has trained is kept.

/// The fewest steps of the last rung, unless the whole recipe has fewer: in a shorter schedule a candidate is measured
/// while it warms up, and the ranking gets worse than that of the estimates (the test bed, `sts15`, 42 steps).
pub const FEWEST_STEPS: u64 = 100;

/// Who trains how far.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// For each rung, the candidates that train in it and the step that they reach.
    pub rungs: Vec<(usize, u64)>,
}

/// What a plan has to reckon with.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Steps of the whole recipe.
    pub steps: u64,
    /// Seconds of a step, of the slowest candidate.
    pub step_seconds: f64,
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
    /// The longest plan for `count` candidates within the limits.
    ///
    /// # Errors
    /// When the time is too short for [`FEWEST_STEPS`]: the seconds that the shortest plan takes.
    pub fn new(count: usize, limits: Limits) -> Result<Self, f64> {
        let counts = contenders(count);
        let overhead = counts.iter().sum::<usize>() as f64 * limits.rung_seconds;
        // Steps of all candidates together, as a multiple of S.
        let shares = counts.iter().enumerate().map(|(i, &n)| {
            let before = if i == 0 { 0.0 } else { share(i - 1, counts.len()) };
            n as f64 * (share(i, counts.len()) - before)
        });
        let work = shares.sum::<f64>() * limits.step_seconds;
        let least = FEWEST_STEPS.min(limits.steps) as f64;
        let affordable = (limits.seconds - overhead) / work;
        if affordable < least {
            return Err(overhead + least * work);
        }
        let steps = affordable.min(limits.steps as f64);
        let reached = |i| ((steps * share(i, counts.len())).floor() as u64).max(1);
        let rungs = counts.iter().enumerate().map(|(i, &n)| (n, reached(i)));
        let mut rungs: Vec<(usize, u64)> = rungs.collect();
        // Of few steps not every rung has one of its own.
        rungs.dedup_by_key(|&mut (_, steps)| steps);
        Ok(Self { rungs })
    }

    /// S.
    pub fn steps(&self) -> u64 {
        self.rungs.last().map_or(0, |&(_, steps)| steps)
    }

    /// Steps of all candidates together.
    pub fn all_steps(&self) -> u64 {
        let mut before = 0;
        let mut all = 0;
        for &(n, steps) in &self.rungs {
            all += n as u64 * (steps - before);
            before = steps;
        }
        all
    }
}

/// What was measured of a candidate, and what had been estimated.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// The figure, such that more is better.
    pub figure: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The score that it had without training.
    pub estimate: f64,
}

/// The places of candidates, best first, by the rule of one standard error: among those whose figures are that close
/// to the highest, which some hundred rows can't tell apart, the estimate decides; then the same with the rest.
///
/// Source: Breiman et al., *Classification and regression trees*, 1984, section 3.4.3, who choose the simplest of such.
pub fn order(measured: &[Measured]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..measured.len()).collect();
    let mut order = Vec::with_capacity(left.len());
    let by = |key: fn(&Measured) -> f64| {
        move |&a: &usize, &b: &usize| {
            key(&measured[a]).total_cmp(&key(&measured[b])).then(b.cmp(&a))
        }
    };
    while let Some(highest) = left.iter().copied().max_by(by(|m| m.figure)) {
        let bound = measured[highest].figure - measured[highest].standard_error;
        let close = left.iter().copied().filter(|&i| measured[i].figure >= bound);
        let next = close.max_by(by(|m| m.estimate)).unwrap_or(highest);
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

    const LIMITS: Limits =
        Limits { steps: 100, step_seconds: 1.0, rung_seconds: 2.0, seconds: 1e9 };

    #[test]
    fn half_goes_on_until_two_are_left() {
        assert_eq!(contenders(1), [1]);
        assert_eq!(contenders(2), [2]);
        assert_eq!(contenders(3), [3, 2]);
        assert_eq!(contenders(9), [9, 5, 3, 2]);
    }

    #[test]
    fn with_time_enough_the_last_rung_is_the_whole_recipe() {
        let plan = Plan::new(3, LIMITS).expect("time enough");
        assert_eq!(plan.rungs, [(3, 50), (2, 100)]);
        assert_eq!((plan.steps(), plan.all_steps()), (100, 250));
        assert_eq!(Plan::new(1, LIMITS).expect("time enough").rungs, [(1, 100)]);
    }

    #[test]
    fn a_short_time_shortens_the_rungs() {
        // Five rung visits of 2 s, then 2.5 S steps of 1 s.
        let plan = Plan::new(3, Limits { steps: 1000, seconds: 510.0, ..LIMITS });
        let plan = plan.expect("time enough");
        assert_eq!(plan.rungs, [(3, 100), (2, 200)]);
        assert!(plan.all_steps() as f64 + 10.0 <= 510.0);
    }

    #[test]
    fn too_short_a_time_is_an_error_that_says_what_fits() {
        let limits = Limits { steps: 1000, seconds: 200.0, ..LIMITS };
        let needed = Plan::new(3, limits).expect_err("too short");
        assert_eq!(needed, 10.0 + 2.5 * 100.0);
        let plan = Plan::new(3, Limits { seconds: needed, ..limits }).expect("time enough");
        assert_eq!(plan.steps(), FEWEST_STEPS);
    }

    #[test]
    fn what_was_measured_decides_unless_it_is_too_close() {
        let all = |errors: f64| -> Vec<Measured> {
            let of = |(figure, estimate)| Measured { figure, standard_error: errors, estimate };
            [(0.80, 90.0), (0.81, 70.0), (0.70, 95.0), (0.69, 99.0)].map(of).to_vec()
        };
        assert_eq!(order(&all(0.0)), [1, 0, 2, 3]);
        assert_eq!(order(&all(0.02)), [0, 1, 3, 2]);
        assert_eq!(order(&all(1.0)), [3, 2, 0, 1]);
        let failed = Measured { figure: f64::NEG_INFINITY, standard_error: 0.0, estimate: 100.0 };
        assert_eq!(order(&[failed, all(0.02)[0]]), [1, 0]);
        assert!(order(&[]).is_empty());
    }

    #[test]
    fn a_recipe_of_few_steps_is_run_as_it_is() {
        let plan = Plan::new(3, Limits { steps: 3, ..LIMITS }).expect("time enough");
        assert_eq!(plan.rungs, [(3, 1), (2, 3)]);
        let plan = Plan::new(5, Limits { steps: 1, ..LIMITS }).expect("time enough");
        assert_eq!(plan.rungs, [(5, 1)]);
    }
}
