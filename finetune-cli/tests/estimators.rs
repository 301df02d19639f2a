//! Estimators against NumPy and scikit-learn (`estimators/make_golden.py`), and what they must not depend on.

use finetune::data::Labels;
use finetune::select::estimators::mixture::{Mixture, spread_out};
use finetune::select::estimators::{
    Error, Estimate, Estimator, Kind, Moments, Sample, estimate, folds, h_score, leep, log_me,
    probe, profile,
};
use finetune::select::linalg::{
    Cholesky, Eigen, Matrix, Tridiagonal, View, inner_products, times, transpose_times,
};
use proptest::prelude::*;
use serde_json::Value;
use tensor::philox::Rng;

const GOLDEN: &str = include_str!("estimators/golden.json");

/// Relative to the value, or to 0.01 where it is smaller: a value near 0 is a difference of larger ones.
const TOLERANCE: f64 = 1e-6;

struct Case {
    states: Vec<f32>,
    width: usize,
    labels: Labels,
    outputs: usize,
    folds: Vec<usize>,
    groups: Vec<usize>,
}

impl Case {
    fn sample(&self) -> Sample<'_> {
        let Self { states, width, labels, outputs, folds, groups } = self;
        let fold_count = folds.iter().max().map_or(1, |last| last + 1).max(5);
        Sample { states, width: *width, labels, outputs: *outputs, folds, fold_count, groups }
    }

    fn estimate(&self) -> Vec<(Estimator, Estimate)> {
        estimate(&self.sample()).expect("a sample")
    }
}

fn golden() -> Value {
    serde_json::from_str(GOLDEN).expect("JSON")
}

/// Null is NaN.
fn numbers(value: &Value) -> Vec<f64> {
    let items = value.as_array().expect("numbers").iter();
    items.map(|item| item.as_f64().unwrap_or(f64::NAN)).collect()
}

fn indices(value: &Value) -> Vec<usize> {
    numbers(value).into_iter().map(|x| x as usize).collect()
}

fn case(value: &Value, scale: f64) -> Case {
    let number = |key: &str| value[key].as_u64().expect("a number") as usize;
    let labels = match value["kind"].as_str().expect("a kind") {
        "class" => Labels::Class(indices(&value["labels"]).iter().map(|&c| c as u32).collect()),
        "score" => Labels::Score(numbers(&value["labels"]).iter().map(|&y| y as f32).collect()),
        _ => {
            let rows = value["labels"].as_array().expect("rows").iter();
            let row = |row| indices(row).iter().map(|&c| c as u32).collect();
            Labels::Multi(rows.map(row).collect())
        }
    };
    let folds = indices(&value["folds"]);
    Case {
        states: numbers(&value["states"]).iter().map(|x| (x / scale) as f32).collect(),
        width: number("width"),
        labels,
        outputs: number("outputs"),
        groups: (0..folds.len()).collect(),
        folds,
    }
}

fn close(got: f64, want: f64) -> bool {
    got.is_nan() && want.is_nan() || (got - want).abs() <= TOLERANCE * want.abs().max(0.01)
}

#[track_caller]
fn assert_all(got: &[f64], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let same = got.iter().zip(want).all(|(&got, &want)| close(got, want));
    assert!(same, "{what}:\n got {got:?}\nwant {want:?}");
}

#[test]
fn values_and_jackknife_are_those_of_numpy_and_scikit_learn() {
    let golden = golden();
    let scale = golden["scale"].as_f64().expect("a number");
    for value in golden["cases"].as_array().expect("cases") {
        let case = case(value, scale);
        for (estimator, got) in case.estimate() {
            let want = &value["want"][estimator.name()];
            let what = format!("{}, {}", value["name"], estimator.name());
            let whole = want[0].as_f64().unwrap_or(f64::NAN);
            assert_all(&[got.value], &[whole], &what);
            assert_all(&got.without, &numbers(&want[1]), &format!("{what}, without folds"));
        }
        let accuracy = probe(&case.sample()).expect("a sample").accuracy();
        let want = value["accuracy"].as_f64().unwrap_or(f64::NAN);
        assert_all(&[accuracy], &[want], &format!("{}, accuracy", value["name"]));
    }
}

/// The accuracy of the five nearest neighbours of other groups among these rows, by its definition.
fn held_out_accuracy(case: &Case, rows: &[usize]) -> f64 {
    let Labels::Class(classes) = &case.labels else { panic!("classes") };
    let state = |row: usize| &case.states[row * case.width..(row + 1) * case.width];
    let distance = |a: usize, b: usize| {
        let differences = state(a).iter().zip(state(b)).map(|(a, b)| f64::from(*a) - f64::from(*b));
        differences.map(|d| d * d).sum::<f64>()
    };
    let is_right = |&&row: &&usize| {
        let mut others: Vec<usize> = rows.to_vec();
        others.retain(|&other| case.groups[other] != case.groups[row]);
        others.sort_by(|&a, &b| distance(row, a).total_cmp(&distance(row, b)));
        let votes: Vec<u32> = others.iter().take(5).map(|&other| classes[other]).collect();
        let count = |class: u32| votes.iter().filter(|&&vote| vote == class).count();
        let most = votes.iter().map(|&vote| count(vote)).max().expect("votes");
        votes.iter().find(|&&vote| count(vote) == most) == Some(&classes[row])
    };
    rows.iter().filter(is_right).count() as f64 / rows.len() as f64
}

/// Words of one sentence lie together and share a label, whatever it is: neighbours out of the sentence would tell it.
#[test]
fn neighbours_of_the_same_group_do_not_vote() {
    let mut rng = Rng::new(3, 3);
    let (rows, width, sentences) = (150, 3, 25);
    let centres: Vec<f64> = (0..sentences * width).map(|_| 4.0 * rng.normal()).collect();
    let of_sentence: Vec<u32> = (0..sentences).map(|_| rng.below(3) as u32).collect();
    let groups: Vec<usize> = (0..rows).map(|_| rng.below(sentences as u64) as usize).collect();
    let places = groups.iter().flat_map(|group| (0..width).map(move |i| group * width + i));
    let states = places.map(|place| (centres[place] + 0.1 * rng.normal()) as f32).collect();
    let labels = Labels::Class(groups.iter().map(|&group| of_sentence[group]).collect());
    let folds = groups.iter().map(|group| group % 5).collect();
    let mut case = Case { states, width, labels, outputs: 3, folds, groups };
    let knn = |case: &Case| case.estimate().swap_remove(2).1;
    let got = knn(&case);
    let kept = |out: Option<usize>| -> Vec<usize> {
        (0..rows).filter(|&row| Some(case.folds[row]) != out).collect()
    };
    assert_eq!(got.value, held_out_accuracy(&case, &kept(None)));
    let without: Vec<f64> =
        (0..5).map(|fold| held_out_accuracy(&case, &kept(Some(fold)))).collect();
    assert_eq!(got.without, without);
    assert_eq!(profile(&case.sample()).expect("a sample").knn, got.value);
    // Where only the row itself is left out, its sentence gives it away.
    case.groups = (0..rows).collect();
    assert!(knn(&case).value > got.value + 0.3, "{} {}", knn(&case).value, got.value);
    // Where there is one sentence, nobody is left to vote.
    case.groups = vec![7; rows];
    assert!(knn(&case).value.is_nan());
}

#[test]
fn the_profile_is_three_of_the_estimates() {
    let golden = golden();
    for value in golden["cases"].as_array().expect("cases") {
        let case = case(value, 64.0);
        let all = case.estimate();
        let cheap = profile(&case.sample()).expect("a sample");
        let want: Vec<f64> = all[..3].iter().map(|(_, estimate)| estimate.value).collect();
        assert_all(&[cheap.h_score, cheap.log_me, cheap.knn], &want, "profile");
    }
}

#[test]
fn the_mixture_is_that_of_scikit_learn() {
    let golden = &golden()["mixture"];
    let width = golden["width"].as_u64().expect("a number") as usize;
    let points = Matrix::from_columns(width, numbers(&golden["points"]));
    let means = points.gather(&indices(&golden["chosen"]));
    let mixture = Mixture::fit(points.view(), means);
    let (likelihood, responsibilities) = mixture.responsibilities(points.view());
    let want = golden["likelihood"].as_f64().expect("a number");
    assert_all(&[likelihood], &[want], "likelihood");
    assert_all(&mixture.weights, &numbers(&golden["weights"]), "weights");
    assert_all(mixture.means.data(), &numbers(&golden["means"]), "means");
    assert_all(mixture.variances.data(), &numbers(&golden["variances"]), "variances");
    let want = numbers(&golden["responsibilities"]);
    assert_all(responsibilities.data(), &want, "responsibilities");
}

#[test]
fn means_begin_apart() {
    // Three places, many rows each: three rows of different places, and no fourth.
    let points = Matrix::from_columns(1, (0..30).map(|i| f64::from(i % 3)).collect());
    let chosen = spread_out(points.view(), 4, &mut Rng::new(1, 1));
    let mut places: Vec<usize> = chosen.iter().map(|row| row % 3).collect();
    places.sort_unstable();
    assert_eq!(places, [0, 1, 2]);
}

#[test]
fn leep_by_hand() {
    // Clusters that are the classes, then one cluster for all.
    let sure = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0];
    assert_eq!(leep(View::new(2, &sure), &[0, 1, 1], 2), 0.0);
    let entropy = (1.0f64 / 3.0).ln() / 3.0 + (2.0f64 / 3.0).ln() * 2.0 / 3.0;
    assert!((leep(View::new(1, &[1.0; 3]), &[0, 1, 1], 2) - entropy).abs() < 1e-15);
}

fn random(rows: usize, width: usize, seed: u64) -> Matrix {
    let mut rng = Rng::new(seed, 0);
    Matrix::from_columns(width, (0..rows * width).map(|_| rng.normal()).collect())
}

#[test]
fn moments_add_up_and_come_apart() {
    let (rows, width) = (700, 5);
    let states: Vec<f32> = random(rows, width, 1).data().iter().map(|&x| x as f32).collect();
    let targets: Vec<f64> = (0..rows).map(|i| (i % 3) as f64).collect();
    let sums = |from: usize, to: usize| {
        let mut sums = Moments::new(width, 1);
        sums.add(&states[from * width..to * width], &targets[from..to]);
        sums
    };
    let whole = sums(0, rows);
    let mut parts = sums(0, 300);
    parts.merge(&sums(300, rows));
    let score = |sums: &Moments| [h_score(sums, Kind::Score), log_me(sums, Kind::Score)];
    assert_all(&score(&parts), &score(&whole), "merged");
    assert_all(&score(&whole.minus(&sums(300, rows))), &score(&sums(0, 300)), "taken apart");
}

#[test]
fn decompositions_give_the_matrix_back() {
    for n in [1, 2, 3, 7, 40] {
        let a = random(n + 3, n, 9);
        let mut matrix = Matrix::zeros(n, n);
        finetune::select::linalg::add_squares(&mut matrix, a.view());
        let b = random(2, n, 4);
        let mut full = matrix.clone();
        (0..n).for_each(|j| (0..j).for_each(|i| full[(i, j)] = matrix[(j, i)]));
        let shift = 0.3;
        let mut shifted = full.clone();
        shifted.scale_and_shift(1.0, shift);
        let factor = Cholesky::new(&shifted).expect("positive definite");
        let mut solved = b.clone();
        factor.solve(&mut solved);
        assert_all(times(shifted.view(), solved.view()).data(), b.data(), "A^-1 b");

        let eigen = Eigen::new(&matrix).expect("an end");
        let ln_det: f64 = eigen.values.iter().map(|s| (s + shift).ln()).sum();
        assert_all(&[factor.ln_det()], &[ln_det], "ln det");
        let unit = transpose_times(eigen.vectors.view(), eigen.vectors.view());
        let mut identity = Matrix::zeros(n, n);
        identity.scale_and_shift(1.0, 1.0);
        assert_all(unit.data(), identity.data(), "V^T V");

        let mut turned = b.clone();
        let three = Tridiagonal::new(matrix, &mut turned);
        let fit = three.shifted(shift);
        let trace: f64 = eigen.values.iter().map(|s| 1.0 / (s + shift)).sum();
        assert_all(&[fit.ln_det(), fit.inverse_trace], &[ln_det, trace], "of T + t I");
        let form: f64 =
            fit.solve(turned.column(0)).iter().zip(turned.column(1)).map(|(a, b)| a * b).sum();
        assert_all(
            &[form],
            &[transpose_times(solved.columns(0..1), b.columns(1..2))[(0, 0)]],
            "b A^-1 b",
        );
    }
    let flat = inner_products(Matrix::from_columns(1, vec![1.0; 4]).view());
    assert!(Cholesky::new(&flat).is_none());
}

#[test]
fn folds_are_level_and_the_same_again() {
    let labels = Labels::Class((0..103).map(|i| u32::from(i % 10 == 0)).collect());
    let assigned = folds(&labels, 5, 3);
    assert_eq!(assigned, folds(&labels, 5, 3));
    assert_ne!(assigned, folds(&labels, 5, 4));
    for fold in 0..5 {
        let rows: Vec<usize> = (0..103).filter(|&i| assigned[i] == fold).collect();
        assert!((20..=21).contains(&rows.len()), "{}", rows.len());
        let rare = rows.iter().filter(|&&i| i % 10 == 0).count();
        assert!((2..=3).contains(&rare), "{rare}");
    }
    let scores = Labels::Score((0..40).map(|i| i as f32).collect());
    let assigned = folds(&scores, 4, 1);
    for block in assigned.chunks(4) {
        let mut block = block.to_vec();
        block.sort_unstable();
        assert_eq!(block, [0, 1, 2, 3]);
    }
    assert_eq!(folds(&Labels::Multi(vec![vec![0]; 7]), 3, 1).len(), 7);
}

fn refused(change: impl Fn(&mut Case)) -> Error {
    let labels = Labels::Class(vec![0, 1, 1]);
    let (folds, groups) = (vec![0, 1, 2], vec![0, 1, 2]);
    let mut case = Case { states: vec![0.5; 6], width: 2, labels, outputs: 2, folds, groups };
    change(&mut case);
    estimate(&case.sample()).expect_err("a bad sample")
}

#[test]
fn bad_samples_are_refused() {
    assert_eq!(refused(|case| case.labels = Labels::Absent), Error::Unlabelled);
    assert_eq!(refused(|case| case.outputs = 0), Error::Empty);
    assert_eq!(refused(|case| case.states[3] = f32::NAN), Error::NotFinite { row: 1 });
    let shape = |states, groups| Error::Shape { states, width: 2, labels: 3, groups, folds: 3 };
    assert_eq!(refused(|case| case.states.truncate(5)), shape(5, 3));
    assert_eq!(refused(|case| case.groups.truncate(2)), shape(6, 2));
    let label = Error::Label { row: 1, class: 1.0, outputs: 1 };
    assert_eq!(refused(|case| case.outputs = 1), label);
    let multi = |case: &mut Case| case.labels = Labels::Multi(vec![vec![], vec![0, 7], vec![]]);
    assert_eq!(refused(multi), Error::Label { row: 1, class: 7.0, outputs: 2 });
    let infinite = |case: &mut Case| case.labels = Labels::Score(vec![0.0, 1.0, f32::INFINITY]);
    assert!(matches!(refused(infinite), Error::Label { row: 2, .. }));
    let case = Case {
        states: vec![0.5; 6],
        width: 2,
        labels: Labels::Class(vec![0, 1, 1]),
        outputs: 2,
        folds: vec![0, 5, 1],
        groups: vec![0, 1, 2],
    };
    let sample = Sample { fold_count: 3, ..case.sample() };
    assert_eq!(estimate(&sample), Err(Error::Fold { row: 1, fold: 5, count: 3 }));
}

/// Rows of two classes whose means differ.
fn two_classes(rows: usize, width: usize, seed: u64) -> Case {
    let mut rng = Rng::new(seed, 1);
    let labels: Vec<u32> = (0..rows).map(|_| rng.below(2) as u32).collect();
    let state = |i: usize| rng.normal() + 0.7 * f64::from(labels[i / width]);
    let states: Vec<f32> = (0..rows * width).map(state).map(|x| x as f32).collect();
    let labels = Labels::Class(labels);
    let folds = folds(&labels, 5, seed);
    Case { states, width, labels, outputs: 2, folds, groups: (0..rows).collect() }
}

/// The states through an orthogonal map (a reflection at a random direction) and a shift.
fn moved(case: &Case, reflect: bool, shift: f32) -> Vec<f32> {
    let mut rng = Rng::new(5, 5);
    let direction: Vec<f64> = (0..case.width).map(|_| rng.normal()).collect();
    let square: f64 = direction.iter().map(|v| v * v).sum();
    let row = |row: &[f32]| {
        let along: f64 = row.iter().zip(&direction).map(|(x, v)| f64::from(*x) * v).sum();
        let factor = if reflect { 2.0 * along / square } else { 0.0 };
        let one = move |(x, v): (&f32, &f64)| (f64::from(*x) - factor * v) as f32 + shift;
        row.iter().zip(&direction).map(one).collect::<Vec<f32>>()
    };
    case.states.chunks(case.width).flat_map(row).collect()
}

/// Whether a value stays, up to the rounding of the moved states to f32.
fn stays(case: &Case, states: Vec<f32>, estimators: &[Estimator]) -> bool {
    let Case { width, labels, outputs, folds, groups, .. } = case;
    let other = Case {
        states,
        width: *width,
        labels: labels.clone(),
        outputs: *outputs,
        folds: folds.clone(),
        groups: groups.clone(),
    };
    let near =
        |a: f64, b: f64| a.is_nan() && b.is_nan() || (a - b).abs() <= 2e-3 * a.abs().max(1.0);
    let pairs = case.estimate().into_iter().zip(other.estimate());
    let mut pairs = pairs.filter(|(before, _)| estimators.contains(&before.0));
    pairs.all(|(before, after)| near(before.1.value, after.1.value))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rotations_change_nothing(rows in 12usize..40, width in 2usize..50, seed in 0u64..1000) {
        use Estimator::{HScore, LogMe, TransRate};
        let case = two_classes(rows, width, seed);
        prop_assert!(stays(&case, moved(&case, true, 0.0), &[HScore, LogMe, TransRate]));
    }

    #[test]
    fn shifts_change_nothing(rows in 12usize..40, width in 2usize..50, seed in 0u64..1000) {
        use Estimator::{HScore, Probe, TransRate};
        let case = two_classes(rows, width, seed);
        prop_assert!(stays(&case, moved(&case, false, 3.0), &[HScore, Probe, TransRate]));
    }

    #[test]
    fn every_sample_has_an_answer(
        rows in 1usize..14,
        width in 1usize..6,
        outputs in 1usize..5,
        kind in 0usize..3,
        coarse in 0.0f32..3.0,
        exponent in -1i32..2,
        count in 1usize..7,
        seed in 0u64..10000,
    ) {
        // Whole numbers of huge or tiny units: equal rows, constant states and truth are common.
        let mut rng = Rng::new(seed, 2);
        let unit = 1e36f32.powi(exponent);
        let mut number = || (rng.normal() as f32 * coarse).round() * unit;
        let states: Vec<f32> = (0..rows * width).map(|_| number()).collect();
        let mut class = || rng.below(outputs as u64) as u32;
        let labels = match kind {
            0 => Labels::Class((0..rows).map(|_| class()).collect()),
            1 => Labels::Multi((0..rows).map(|_| vec![class()]).collect()),
            _ => Labels::Score((0..rows).map(|_| class() as f32).collect()),
        };
        let folds = folds(&labels, count, seed);
        // Some rows share a group, in one fold or not; or all do.
        let groups: Vec<usize> = (0..rows).map(|row| row * rows.min(5) / 5 % 6).collect();
        let (states, labels, folds, groups) = (&states, &labels, &folds, &groups);
        let sample = Sample { states, width, labels, outputs, folds, fold_count: count, groups };
        let all = estimate(&sample).expect("a sample");
        for (estimator, estimate) in all {
            prop_assert_eq!(estimate.without.len(), count);
            for value in estimate.without.iter().chain([&estimate.value]) {
                prop_assert!(!value.is_infinite(), "{}: {:?}", estimator.name(), estimate);
            }
        }
    }
}
