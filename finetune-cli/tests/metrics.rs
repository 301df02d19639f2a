//! Metrics against scikit-learn and SciPy (`fixtures/make_metrics.py`), and of tagged words against seqeval
//! (`fixtures/make_tagging.py`).

use finetune::metrics::{self, ClassScores, Report};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Fixture {
    single_label: Vec<Case<u32>>,
    multi_label: Vec<Case<Vec<u32>>>,
    regression: Vec<Case<f32>>,
}

#[derive(Deserialize)]
struct Case<T> {
    name: String,
    #[serde(default)]
    classes: usize,
    /// Of tags.
    #[serde(default)]
    names: Vec<String>,
    targets: Vec<T>,
    predictions: Vec<T>,
    metrics: Map<String, Value>,
    #[serde(default)]
    per_class: Vec<Map<String, Value>>,
    confusion_matrix: Option<Vec<Vec<u64>>>,
}

impl<T> Case<T> {
    fn names(&self) -> Vec<String> {
        (0..self.classes).map(|k| format!("class {k}")).collect()
    }

    /// That the report has exactly the metrics of the libraries, each within 1e-9.
    fn check(&self, report: &Report) {
        let name = &self.name;
        assert_eq!(report.metrics.len(), self.metrics.len(), "{name}: {:?}", report.metrics);
        for (key, want) in &self.metrics {
            let got = report.get(key).unwrap_or_else(|| panic!("{name}: no {key}"));
            assert_near(&format!("{name}: {key}"), got, want.as_f64().unwrap_or(f64::NAN));
        }
        assert_eq!(report.classes.len(), self.per_class.len(), "{name}");
        for (class, want) in report.classes.iter().zip(&self.per_class) {
            let ClassScores { precision, recall, f1, support, .. } = *class;
            let got = [precision, recall, f1, support as f64];
            for (key, got) in ["precision", "recall", "f1", "support"].into_iter().zip(got) {
                assert_near(
                    &format!("{name}: {} {key}", class.name),
                    got,
                    want[key].as_f64().unwrap(),
                );
            }
        }
        assert_eq!(report.confusion, self.confusion_matrix, "{name}");
    }
}

fn assert_near(what: &str, got: f64, want: f64) {
    let same = got.is_nan() && want.is_nan();
    assert!(same || (got - want).abs() <= 1e-9, "{what}: got {got}, expected {want}");
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/metrics.json")).unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.into()).collect()
}

#[test]
fn single_label_equals_scikit_learn() {
    for case in fixture().single_label {
        case.check(&metrics::single_label(&case.targets, &case.predictions, &case.names()));
    }
}

#[test]
fn multi_label_equals_scikit_learn() {
    for case in fixture().multi_label {
        case.check(&metrics::multi_label(&case.targets, &case.predictions, &case.names()));
    }
}

#[test]
fn regression_equals_scikit_learn_and_scipy() {
    for case in fixture().regression {
        case.check(&metrics::regression(&case.targets, &case.predictions));
    }
}

#[test]
fn entities_equal_seqeval() {
    let cases: Vec<Case<Vec<u32>>> =
        serde_json::from_str(include_str!("fixtures/tagging.json")).unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let report = metrics::tagging(&case.targets, &case.predictions, &case.names);
        case.check(&report);
        for (class, want) in report.classes.iter().zip(&case.per_class) {
            assert_eq!(want["name"], class.name, "{}", case.name);
        }
    }
}

/// What seqeval does not read: the other letters for an end and a single word.
#[test]
fn entities_end_where_their_tags_say() {
    let found = |tags: &[&str]| -> Vec<(String, std::ops::Range<usize>)> {
        metrics::entities(tags).into_iter().map(|e| (e.kind.to_owned(), e.words)).collect()
    };
    let want = vec![("a".to_owned(), 0..3), ("a".to_owned(), 3..4), ("a".to_owned(), 4..5)];
    assert_eq!(found(&["B-a", "I-a", "L-a", "U-a", "U-a", "O"]), want);
    assert_eq!(found(&["B-a", "I-a", "E-a", "S-a", "S-a"]), want);
    assert_eq!(
        found(&["DET", "NOUN", "NOUN", "O"]),
        vec![("DET".into(), 0..1), ("NOUN".into(), 1..3)]
    );
    assert!(found(&["O", "O"]).is_empty() && found(&[]).is_empty());
}

#[test]
fn tags_of_no_entities_are_classes_of_words() {
    let names = names(&["DET", "NOUN", "VERB"]);
    assert!(!metrics::are_entities(&names));
    let (targets, predictions) = (vec![vec![0, 1], vec![2]], vec![vec![0, 0], vec![2]]);
    let report = metrics::tagging(&targets, &predictions, &names);
    assert_eq!(report, metrics::single_label(&[0, 1, 2], &[0, 0, 2], &names));
    let only_outside = ["O".to_owned()];
    assert!(!metrics::are_entities(&only_outside) && !metrics::are_entities(&[]));
}

#[test]
fn diverged_predictions_give_nan() {
    let report = metrics::regression(&[1.0, 2.0, 3.0], &[1.0, f32::NAN, 3.0]);
    for (name, value) in report.metrics {
        assert!(value.is_nan(), "{name}: {value}");
    }
}

#[test]
#[should_panic(expected = "no examples")]
fn no_examples_is_a_bug_of_the_caller() {
    metrics::single_label(&[], &[], &names(&["a", "b"]));
}

#[test]
fn serializes_flat() {
    let report = metrics::single_label(&[0, 1, 1, 1], &[0, 1, 1, 0], &names(&["no", "yes"]));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["accuracy"], 0.75);
    assert_eq!(json["f1"], 0.8);
    assert_eq!(json["per_class"]["no"]["precision"], 0.5);
    assert_eq!(json["per_class"]["yes"]["support"], 3);
    assert_eq!(json["per_class"]["yes"].get("name"), None);
    assert_eq!(json["confusion_matrix"], serde_json::json!([[1, 0], [1, 2]]));
    let constant = metrics::regression(&[1.0, 2.0], &[3.0, 3.0]);
    let json = serde_json::to_value(&constant).unwrap();
    assert_eq!(json["pearson"], Value::Null);
    assert_eq!(json.get("per_class"), None);
}

#[test]
fn shows_scores_and_confusion_aligned() {
    let long = "a very long name of a class";
    let report = metrics::single_label(&[0, 1, 1, 1], &[0, 1, 1, 0], &names(&["no", long]));
    let want = "\
accuracy                 0.7500
matthews_correlation     0.5774
precision                1.0000
recall                   0.6667
f1                       0.8000
precision_macro          0.7500
precision_weighted       0.8750
precision_micro          0.7500
recall_macro             0.8333
recall_weighted          0.7500
recall_micro             0.7500
f1_macro                 0.7333
f1_weighted              0.7667
f1_micro                 0.7500

class                 precision   recall       f1  support
no                       0.5000   1.0000   0.6667        1
a very long name of…     1.0000   0.6667   0.8000        3

Confusion matrix, rows true, columns predicted
                              no  a very lo…
no                             1           0
a very long name of…           1           2
";
    assert_eq!(report.to_string(), want);
}

#[test]
fn shows_the_worst_of_many_classes_and_no_matrix() {
    let targets: Vec<u32> = (0..40).map(|i| i % 20).collect();
    let predictions: Vec<u32> = targets.iter().map(|&k| if k == 13 { 14 } else { k }).collect();
    let names: Vec<String> = (0..20).map(|k| format!("class {k}")).collect();
    let shown = metrics::single_label(&targets, &predictions, &names).to_string();
    let table: Vec<&str> = shown.lines().skip_while(|line| !line.starts_with("The 12")).collect();
    assert_eq!(table[0], "The 12 of 20 classes with the lowest F1");
    assert!(table[2].starts_with("class 13 "), "{shown}");
    assert!(table[3].starts_with("class 14 "), "{shown}");
    assert_eq!(table.len(), 14, "{shown}");
    assert!(!shown.contains("Confusion"), "{shown}");
}

#[test]
fn very_many_classes_have_no_matrix() {
    let names: Vec<String> = (0..1001).map(|i| i.to_string()).collect();
    let [targets, predictions] = [[5, 7, 1000, 7], [5, 7, 7, 7]];
    let report = metrics::single_label(&targets, &predictions, &names);
    assert_eq!((&report.confusion, report.get("accuracy")), (&None, Some(0.75)));
    assert_eq!(report.classes.iter().map(|class| class.support).sum::<u64>(), 4);
}

#[test]
fn regression_shows_only_its_metrics() {
    let shown = metrics::regression(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]).to_string();
    assert_eq!(shown.lines().count(), 6);
    assert!(shown.ends_with("spearmanr    -1.0000\n"), "{shown}");
}
