//! The fused score: ranks, intervals and ties.

use finetune::select::fusion::{Fusion, ROLES, WEIGHTS, ranks};
use finetune::select::summary::{Cost, Estimated, Evidence, Fit, Objective, Place, Score};

/// Evidence in which rater (estimator, role) of a fold says `value(estimator, fold)`.
fn evidence(value: impl Fn(usize, Option<usize>) -> Option<f64>) -> Evidence {
    let place = Place { layer: None, pooling: "mean".to_owned() };
    let estimates = ROLES.iter().flat_map(|role| {
        WEIGHTS.iter().enumerate().map(|(e, (name, _))| Estimated {
            role: role.to_string(),
            place: place.clone(),
            estimator: name.to_string(),
            value: value(e, None),
            without: (0..5).map(|fold| value(e, Some(fold))).collect(),
        })
    });
    Evidence {
        fit: Fit {
            tokens_per_word: 1.0,
            whole_words: 1.0,
            unknown_rate: 0.0,
            truncation_rate: 0.0,
            mean_tokens: 9.0,
            lowercases: true,
            uppercase_words: 0.0,
            pseudo_perplexity: None,
        },
        objective: Objective {
            kind: "unknown".to_owned(),
            heads: Vec::new(),
            labels: Vec::new(),
            head_used: false,
            head_metric: None,
        },
        unused: None,
        cost: Cost {
            parameters: 1,
            layers: 1,
            hidden: 1,
            epoch_flops: 1.0,
            seconds_per_example: None,
            step_memory: None,
            projected_seconds: None,
            projected_memory: 1,
        },
        layers: Vec::new(),
        best_layer: place.clone(),
        estimates: estimates.collect(),
    }
}

fn scores(all: &[Evidence]) -> Vec<Score> {
    Fusion::new(&all.iter().collect::<Vec<_>>(), 0).scores()
}

#[test]
fn ranks_share_the_mean_of_ties() {
    assert_eq!(ranks(&[3.0, 1.0, 2.0]), [100.0, 0.0, 50.0]);
    assert_eq!(ranks(&[1.0, 1.0, 5.0]), [25.0, 25.0, 100.0]);
    assert_eq!(ranks(&[f64::NEG_INFINITY, 0.0]), [0.0, 100.0]);
    assert_eq!(ranks(&[7.0]), [100.0]);
    assert!(ranks(&[]).is_empty());
}

#[test]
fn where_all_agree_the_interval_is_a_point() {
    let all = [0.0, 1.0, 2.0].map(|v| evidence(|_, _| Some(v)));
    let scores = scores(&all);
    for (score, want) in scores.iter().zip([0.0, 50.0, 100.0]) {
        assert!((score.value - want).abs() < 1e-9, "{score:?}");
        assert!((score.high - score.low).abs() < 1e-9, "{score:?}");
    }
    assert_eq!(scores.iter().map(|s| s.tied_with_best).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn estimators_that_disagree_widen_the_interval() {
    // The probe, of weight 2 in 6, prefers the first; the rest the second.
    let of = |sign: f64| evidence(move |e, _| Some(if e == 0 { sign } else { -sign }));
    let scores = scores(&[of(1.0), of(-1.0)]);
    assert!((scores[0].value - 100.0 / 3.0).abs() < 1e-9, "{scores:?}");
    assert!(scores[0].low < 10.0 && scores[0].high > 60.0, "{scores:?}");
    assert!(scores[0].tied_with_best && scores[1].tied_with_best);
}

#[test]
fn folds_that_disagree_widen_the_interval() {
    // Without a fold the value jumps to either side: the sample does not tell.
    let noisy = |shift: f64| {
        evidence(move |_, fold| Some(fold.map_or(0.0, |k| (k as f64 - 2.0) * shift) + shift * 0.1))
    };
    let scores = scores(&[noisy(1.0), noisy(-1.0)]);
    assert!((scores[0].value - 100.0).abs() < 1e-9);
    assert!(scores[0].low < 1.0 && scores[1].tied_with_best, "{scores:?}");
}

#[test]
fn what_has_no_value_ranks_last() {
    let scores = scores(&[evidence(|_, _| None), evidence(|_, _| Some(-5.0))]);
    assert_eq!((scores[0].value, scores[1].value.round()), (0.0, 100.0));
    let nothing = [evidence(|_, _| None), evidence(|_, _| None)];
    assert!(self::scores(&nothing).iter().all(|s| s.value == 50.0 && s.tied_with_best));
}

#[test]
fn the_order_of_candidates_changes_nothing() {
    let of =
        |c: usize| evidence(move |e, fold| Some(((c * 7 + e * 3 + fold.unwrap_or(9)) % 11) as f64));
    let (forward, backward): (Vec<_>, Vec<_>) =
        ((0..6).map(of).collect(), (0..6).rev().map(of).collect());
    let (a, b) = (scores(&forward), scores(&backward));
    for (a, b) in a.iter().zip(b.iter().rev()) {
        assert!((a.value - b.value).abs() < 1e-9 && (a.low - b.low).abs() < 1e-9, "{a:?} {b:?}");
    }
    assert_eq!(scores(&forward[..1])[0].value, 100.0);
    assert!(scores(&[]).is_empty());
}
