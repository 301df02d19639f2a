//! Schedules against transformers.

use optim::{Schedule, ScheduleKind, Warmup};

#[track_caller]
fn assert_close(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    assert!(
        got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-14),
        "got {got:?}, expected {want:?}"
    );
}

/// transformers 5.23, peak 2e-5, `lr_end` 1e-7 and 1e-6, that is 0.005 and 0.05 of the peak:
///
/// ```python
/// o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-5)
/// for s in [
///     get_constant_schedule_with_warmup(o, 10),
///     get_linear_schedule_with_warmup(o, 10, 100),
///     get_cosine_schedule_with_warmup(o, 10, 100),
///     get_polynomial_decay_schedule_with_warmup(o, 10, 100, lr_end=1e-7),
///     get_polynomial_decay_schedule_with_warmup(o, 10, 100, lr_end=1e-6, power=2.0),
/// ]:
///     print([s.lr_lambdas[0](i) for i in [0, 1, 5, 9, 10, 11, 37, 55, 99, 100]])
/// ```
///
/// (Each on an optimizer of its own.) The first five values are the warm-up, the same for all.
#[test]
fn equals_transformers() {
    let cases = [
        (ScheduleKind::Constant, [1.0; 5]),
        (ScheduleKind::Linear, [0.9888888888888889, 0.7, 0.5, 0.011111111111111112, 0.0]),
        (
            ScheduleKind::Cosine,
            [0.9996954135095479, 0.7938926261462366, 0.5, 0.00030458649045211894, 0.0],
        ),
        (
            ScheduleKind::Polynomial { power: 1.0, end: 0.005 },
            [0.9889444444444445, 0.7015, 0.5025000000000001, 0.016055555555555517, 0.005],
        ),
        (
            ScheduleKind::Polynomial { power: 2.0, end: 0.05 },
            [0.9790061728395063, 0.5155, 0.2875, 0.05011728395061728, 0.05],
        ),
    ];
    for (kind, after) in cases {
        let schedule = Schedule { kind, warmup: 10, total: 100 };
        let got = [0, 1, 5, 9, 10, 11, 37, 55, 99, 100].map(|step| schedule.factor(step));
        let want: Vec<f64> = [0.0, 0.1, 0.5, 0.9, 1.0].into_iter().chain(after).collect();
        assert_close(&got, &want);
    }
}

/// `get_linear_schedule_with_warmup(o, 0, 7)`, and the degenerate `(o, 10, 10)` and `(o, 10, 5)`, of
/// transformers 5.23: once the end is reached the rate is that of the end.
#[test]
fn without_a_warm_up_and_without_an_end() {
    let linear = |warmup, total| Schedule { kind: ScheduleKind::Linear, warmup, total };
    let short = [0, 1, 5, 7, 8].map(|step| linear(0, 7).factor(step));
    assert_close(&short, &[1.0, 0.8571428571428571, 0.2857142857142857, 0.0, 0.0]);
    for total in [10, 5] {
        let got = [0, 4, 5, 9, 10, 11].map(|step| linear(10, total).factor(step));
        assert_eq!(got, [0.0, 0.4, 0.5, 0.9, 0.0, 0.0]);
    }
    assert_eq!(linear(0, 0).factor(0), 0.0);
}

#[test]
fn stays_at_the_end() {
    let end = |kind| Schedule { kind, warmup: 2, total: 10 }.factor(10_000);
    assert_eq!(end(ScheduleKind::Constant), 1.0);
    assert_eq!(end(ScheduleKind::Linear), 0.0);
    // transformers' cosine would rise again.
    assert_eq!(end(ScheduleKind::Cosine), 0.0);
    assert_eq!(end(ScheduleKind::Polynomial { power: 3.0, end: 0.1 }), 0.1);
}

/// transformers 5.23: `TrainingArguments.get_warmup_steps(SimpleNamespace(warmup_steps=r), n)`.
#[test]
fn a_share_of_the_steps_is_rounded_up_as_in_transformers() {
    let totals = [1, 3, 7, 10, 30, 100, 101, 1250];
    let cases = [
        (0.1, [1, 1, 1, 1, 3, 10, 11, 125]),
        (0.06, [1, 1, 1, 1, 2, 6, 7, 75]),
        (0.3, [1, 1, 3, 3, 9, 30, 31, 375]),
        (0.0, [0; 8]),
    ];
    for (ratio, want) in cases {
        assert_eq!(totals.map(|total| Warmup::Ratio(ratio).steps(total)), want, "{ratio}");
    }
    assert_eq!(Warmup::Steps(17).steps(5), 17);
}
