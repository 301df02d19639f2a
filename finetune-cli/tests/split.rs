//! The validation part of training data.

use finetune::data::Labels;
use finetune::data::split::{sample, stratified};

/// Class k stands `counts[k]` times, one after another.
fn classes(counts: &[usize]) -> Labels {
    let class = |(k, &n): (usize, &usize)| std::iter::repeat_n(k as u32, n);
    Labels::Class(counts.iter().enumerate().flat_map(class).collect())
}

fn count(labels: &Labels, rows: &[usize], classes: usize) -> Vec<usize> {
    let Labels::Class(labels) = labels.select(rows) else { panic!("classes") };
    (0..classes).map(|k| labels.iter().filter(|&&l| l == k as u32).count()).collect()
}

#[test]
fn classes_keep_their_share() {
    let cases: [(&[usize], f64, &[usize]); 7] = [
        (&[70, 30], 0.1, &[7, 3]),
        (&[34, 33, 33], 0.1, &[4, 3, 3]),
        // Exact shares 1.5, 0.9, 0.6: the two last have the larger remainders.
        (&[15, 9, 6], 0.1, &[1, 1, 1]),
        // Equal remainders: the larger class first.
        (&[5, 15], 0.1, &[0, 2]),
        // The last row of a class stays in training, even if the part becomes smaller.
        (&[1, 1, 10], 0.5, &[0, 0, 5]),
        (&[2, 2], 0.9, &[1, 1]),
        (&[10, 0, 10], 0.5, &[5, 0, 5]),
    ];
    for (counts, fraction, want) in cases {
        let labels = classes(counts);
        let (train, validation) = stratified(&labels, fraction, 3).unwrap();
        assert_eq!(count(&labels, &validation, counts.len()), want, "{counts:?} {fraction}");
        let mut all = [&train[..], &validation[..]].concat();
        assert!(train.is_sorted() && validation.is_sorted());
        all.sort_unstable();
        assert!(all.into_iter().eq(0..counts.iter().sum()), "{counts:?}: every row once");
    }
}

#[test]
fn every_class_stays_in_training() {
    for fraction in [0.01, 0.3, 0.5, 0.99, 1.0 - f64::EPSILON / 2.0] {
        let labels = classes(&[1, 2, 3, 50, 200]);
        let (train, _) = stratified(&labels, fraction, 9).unwrap();
        assert!(count(&labels, &train, 5).iter().all(|&n| n > 0), "{fraction}");
    }
}

#[test]
fn a_seed_is_a_split() {
    let labels = classes(&[500, 500]);
    let split = |seed| stratified(&labels, 0.2, seed).unwrap();
    assert_eq!(split(1), split(1));
    let (one, two) = (split(1).1, split(2).1);
    let shared = one.iter().filter(|row| two.contains(row)).count();
    // 40 of 200 on average, with a standard deviation below 6.
    assert!((16..=64).contains(&shared), "{shared}");
}

#[test]
fn scores_and_lists_are_drawn_plainly() {
    let scores = Labels::Score((0..55).map(|i| i as f32).collect());
    let lists = Labels::Multi(vec![vec![0]; 55]);
    for labels in [scores, lists] {
        let (train, validation) = stratified(&labels, 0.1, 5).unwrap();
        assert_eq!((train.len(), validation.len()), (49, 6));
    }
}

/// Nothing is held out: a class of one row may be drawn, and the rows are as many as were asked for.
#[test]
fn a_sample_may_have_all_of_a_class() {
    let cases: [(&[usize], usize, &[usize]); 4] = [
        (&[1; 6], 2, &[1, 1, 0, 0, 0, 0]),
        (&[1, 1, 10], 6, &[1, 0, 5]),
        (&[70, 30], 10, &[7, 3]),
        (&[2, 1], 5, &[2, 1]),
    ];
    for (counts, rows, want) in cases {
        let labels = classes(counts);
        let drawn = sample(&labels, rows, 3);
        assert!(drawn.is_sorted());
        assert_eq!(count(&labels, &drawn, counts.len()), want, "{counts:?} {rows}");
    }
    // Where every class can keep a row, the sample is the validation part.
    let labels = classes(&[60, 25, 15]);
    assert_eq!(sample(&labels, 20, 3), stratified(&labels, 0.2, 3).unwrap().1);
}

#[test]
fn refuses_empty_parts() {
    let message =
        |labels: &Labels, fraction| stratified(labels, fraction, 1).unwrap_err().to_string();
    for fraction in [0.0, 1.0, -0.1, f64::NAN] {
        let want =
            format!("a validation part of {fraction} is not between 0 and 1; use 0.1 for a tenth");
        assert_eq!(message(&classes(&[5, 5]), fraction), want);
    }
    let few = "a validation part of 0.1 of 3 rows leaves one side empty; add rows or give a validation file";
    assert_eq!(message(&classes(&[2, 1]), 0.1), few);
    let none = "a validation part of 0.5 of 0 rows leaves one side empty; add rows or give a validation file";
    assert_eq!(message(&Labels::Absent, 0.5), none);
}
