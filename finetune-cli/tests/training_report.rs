//! The page of a training: what it says of known figures, whatever is missing, whoever wrote the texts.

mod page;

use std::fs;
use std::path::Path;

use finetune::data::{Example, LabelSet, Labels, Task};
use finetune::metrics::Report;
use finetune::predictions::{self, Prediction};
use finetune::report::{Content, Flag, Measured, Part, Texts, Training, html};
use page::{checked, section, texts};
use serde_json::{Value, json};

/// What a page is made of.
struct Sample {
    task: Task,
    texts: Texts,
    predictions: Vec<Prediction>,
    state: Value,
    keeps_best: bool,
    trains: bool,
    metric: &'static str,
}

fn set(names: &[&str]) -> LabelSet {
    LabelSet::from_names(names.iter().map(|name| (*name).to_owned()).collect()).unwrap()
}

fn single(names: &[&str], rows: &[(&str, u32, &[f32])]) -> Sample {
    let text = |row: &(&str, u32, &[f32])| Example::Text(row.0.to_owned());
    let texts = Texts {
        examples: rows.iter().map(text).collect(),
        labels: Labels::Class(rows.iter().map(|row| row.1).collect()),
    };
    let predictions = rows.iter().map(|row| Prediction::Class(row.2.to_vec())).collect();
    let task = Task::SingleLabel(set(names));
    Sample {
        task,
        texts,
        predictions,
        state: state(),
        keeps_best: true,
        trains: true,
        metric: "accuracy",
    }
}

/// Two epochs of ten steps, and half of a third; validated within them, too.
fn state() -> Value {
    json!({
        "best_global_step": 15, "best_epoch": 1.5, "best_metric": 0.9,
        "metric_for_best_model": "accuracy", "epoch": 2.5,
        "global_step": 25, "max_steps": 30,
        "log_history": [
            {"epoch": 0.5, "step": 5, "loss": 0.8, "learning_rate": 1e-3, "grad_norm": 1.0},
            {"epoch": 0.5, "step": 5, "eval_loss": 0.7, "eval_accuracy": 0.6},
            {"epoch": 1.0, "step": 10, "loss": 0.6},
            {"epoch": 1.0, "step": 10, "train_loss": 0.75, "train_runtime": 60.0,
                "train_samples_per_second": 100.0, "eval_loss": 0.5, "eval_accuracy": 0.8},
            {"epoch": 1.5, "step": 15, "eval_loss": 0.4, "eval_accuracy": 0.9},
            {"epoch": 2.0, "step": 20, "train_loss": 0.5, "train_runtime": 65.0},
            {"epoch": 2.5, "step": 25, "train_loss": 0.3, "eval_loss": 0.6, "eval_accuracy": 0.85},
            {"test_loss": 0.45, "test_accuracy": 0.75},
        ],
    })
}

fn page_of(sample: &Sample) -> String {
    let data = [("training", "train.csv", 1200), ("test", "test.csv", sample.texts.examples.len())];
    let data = data.map(|(role, name, examples)| Part { role, name: name.to_owned(), examples });
    let flag = |name: &str, value: &str, is_default| Flag {
        name: name.to_owned(),
        value: value.to_owned(),
        is_default,
    };
    let flags = vec![flag("learning-rate", "0.0003", false), flag("seed", "42", true)];
    let training =
        Training { state: &sample.state, keeps_best: sample.keeps_best, trained: 1234, flags };
    // The batches have no words without a label.
    let labels = match &sample.texts.labels {
        Labels::Tags(rows) => {
            let tags = |row: &Vec<_>| row.iter().copied().filter(Option::is_some).collect();
            Labels::Tags(rows.iter().map(tags).collect())
        }
        other => other.clone(),
    };
    let report = predictions::report(&sample.task, &sample.predictions, &labels);
    html(&Content {
        task: &sample.task,
        model: "models/small",
        data: &data,
        parameters: 22_713_986,
        training: sample.trains.then_some(training),
        measured: report.as_ref().map(|report| measured(sample, report)),
        metric: sample.metric,
        next: "finetune predict --model runs/x \"...\"",
    })
}

fn measured<'a>(sample: &'a Sample, figures: &'a Report) -> Measured<'a> {
    let (texts, predictions) = (&sample.texts, &sample.predictions[..]);
    Measured { role: "test", texts, predictions, loss: Some(0.45), figures, threshold: 0.5 }
}

/// Leaves a page where it can be looked at.
fn keep(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("training-{name}.html"));
    fs::write(path, page).unwrap();
}

/// Losses of the wrong ones: -ln 0.2 = 1.61, -ln 0.001 = 6.91, -ln 0.4 = 0.92.
fn reviews() -> Sample {
    single(
        &["bad", "good"],
        &[
            ("right", 1, &[0.1, 0.9]),
            ("second", 0, &[0.2, 0.8]),
            ("first", 1, &[0.999, 0.001]),
            ("right, but hardly", 0, &[0.51, 0.49]),
            ("third", 1, &[0.6, 0.4]),
            ("right, too", 1, &[0.0, 1.0]),
            ("and right", 1, &[0.3, 0.7]),
            ("the last", 1, &[0.3, 0.7]),
        ],
    )
}

#[test]
fn shows_a_training() {
    let page = page_of(&reviews());
    keep("reviews", checked(&page));
    for text in [
        "Learned to tell <bdi class=\"name\">bad</bdi> from <bdi class=\"name\">good</bdi>",
        // 5 of 8; 1.645 sqrt(0.625 * 0.375 / 8) = 0.282; 6 of 8 are good.
        "reaches accuracy 0.625 on the 8 examples of <bdi class=\"name\">test.csv</bdi>",
        "known to ± 0.282 (90 %). Always saying <bdi>good</bdi>, the most frequent class, would be right for 75.0 %",
        "The weights of epoch 1.5 were kept: their validation accuracy, 0.900, was the best.",
        "finetune predict --model runs/x &quot;...&quot;",
        "<dt>learning-rate</dt><dd>0.0003</dd>",
        "1 at their defaults",
        "<dt>Steps</dt><dd>25 of 30</dd>",
        // 60 s and 65 s.
        "<dt>Training took</dt><dd>2 min 5 s</dd>",
        "<dt>Parameters trained</dt><dd>1\u{202f}234</dd>",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let ids = ["result", "curves", "figures", "confusion", "examples", "settings"];
    let places = ids.map(|id| page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("{id}")));
    assert!(places.is_sorted(), "{places:?}");
    let confusion = section(&page, "confusion").unwrap();
    for (cell, text) in [
        ("1", "1 of 2 examples of bad predicted as bad"),
        ("2", "2 of 6 examples of good predicted as bad"),
    ] {
        assert!(
            confusion.contains(&format!("title=\"{text}\">{cell}</td>")),
            "{text}: {confusion}"
        );
    }
    // The bar of a recall of 4 in 6.
    assert!(page.contains("0.667<span class=\"meter\" style=\"--share:0.667\">"));
}

#[test]
fn the_worst_come_first_and_what_is_right_is_left_out() {
    let page = page_of(&reviews());
    assert_eq!(texts(&page), ["first", "second", "third"]);
    let first = section(&page, "examples").unwrap();
    for text in
        ["<bdi>good</bdi><span class=\"sure\">0.1 %", "<bdi>bad</bdi><span class=\"sure\">99.9 %"]
    {
        assert!(first.contains(text), "{text}");
    }
    // No more than twenty.
    let many: Vec<(&str, u32, &[f32])> = vec![("x", 0, &[0.1, 0.9]); 50];
    assert_eq!(texts(&page_of(&single(&["a", "b"], &many))).len(), 20);
    let right = page_of(&single(&["a", "b"], &[("x", 0, &[0.9, 0.1]), ("y", 1, &[0.1, 0.9])]));
    assert!(right.contains("Nothing is wrong in 2 examples."));
}

/// The plot goes from 52 to 418 for steps 0 to 25.
#[test]
fn what_was_validated_within_an_epoch_stands_at_its_step() {
    let page = page_of(&reviews());
    let curves = section(&page, "curves").unwrap();
    let lines: Vec<Vec<f64>> = curves
        .split(" points=\"")
        .skip(1)
        .map(|line| line.split('"').next().unwrap())
        .map(|line| {
            line.split(' ').map(|p| p.split(',').next().unwrap().parse().unwrap()).collect()
        })
        .collect();
    let x = |step: f64| ((52.0 + step / 25.0 * 366.0) * 10.0).round() / 10.0;
    let validated = [5.0, 10.0, 15.0, 25.0].map(x).to_vec();
    assert_eq!(lines, [[10.0, 20.0, 25.0].map(x).to_vec(), validated.clone(), validated]);
    assert_eq!(curves.matches("class=\"single\"").count(), 2);
    let ring = curves.split("class=\"ring\"").nth(1).unwrap();
    assert!(ring.starts_with(&format!(" cx=\"{}\"", x(15.0))), "{ring}");
    assert_eq!(curves.matches("class=\"ring\"").count(), 1);
    assert!(curves.contains("accuracy") && curves.contains("epochs of 10 steps"));
}

#[test]
fn says_which_weights_were_saved() {
    let mut sample = reviews();
    sample.keeps_best = false;
    let page = page_of(&sample);
    for text in [
        "those at the end, after epoch 2.5. Validation accuracy was best after epoch 1.5 (0.900): ",
        "<code>--load-best-model-at-end</code>",
    ] {
        assert!(page.contains(text), "{text}");
    }
    (sample.state["best_epoch"], sample.state["best_metric"]) = (json!(2.5), json!(0.85));
    assert!(page_of(&sample).contains("after epoch 2.5, when validation accuracy was best, too."));
}

/// -ln 0.3 - ln 0.3 = 2.41 is more than -ln 0.1 = 2.30, and both more than -ln 0.45.
#[test]
fn the_losses_of_several_labels_are_added() {
    let rows: [(&str, &[u32], &[f32]); 5] = [
        ("third", &[0], &[0.45, 0.0, 0.0]),
        ("second", &[], &[0.0, 0.9, 0.0]),
        ("first", &[0, 1], &[0.3, 0.3, 0.0]),
        ("right", &[1], &[0.49, 0.51, 0.49]),
        ("right, too", &[], &[0.0, 0.0, 0.0]),
    ];
    let mut sample = reviews();
    sample.task = Task::MultiLabel(set(&["a", "b", "c"]));
    sample.texts.examples = rows.iter().map(|row| Example::Text(row.0.to_owned())).collect();
    sample.texts.labels = Labels::Multi(rows.iter().map(|row| row.1.to_vec()).collect());
    sample.predictions = rows.iter().map(|row| Prediction::Multi(row.2.to_vec())).collect();
    sample.metric = "f1_micro";
    let page = page_of(&sample);
    keep("multi", checked(&page));
    assert_eq!(texts(&page), ["first", "second", "third"]);
    let examples = section(&page, "examples").unwrap();
    assert_eq!(examples.matches("<mark>").count(), 4, "two and one missed, one wrongly given");
    assert!(
        section(&page, "confusion").is_none() && page.contains("Learned which of 3 labels hold")
    );
}

#[test]
fn numbers_are_drawn_and_the_greatest_errors_listed() {
    let rows = [("b", 1.0, 3.0), ("c", 2.0, 2.5), ("a", 5.0, 0.5), ("d", 4.0, 4.0)];
    let mut sample = reviews();
    sample.task = Task::Regression;
    let pair = |text: &str| Example::Pair([text.to_owned(), format!("{text}2")]);
    sample.texts.examples = rows.iter().map(|row| pair(row.0)).collect();
    sample.texts.labels = Labels::Score(rows.iter().map(|row| row.1).collect());
    sample.predictions = rows.iter().map(|row| Prediction::Score(row.2)).collect();
    sample.metric = "pearson";
    let page = page_of(&sample);
    keep("numbers", checked(&page));
    assert_eq!(texts(&page), ["a", "a2", "b", "b2", "c", "c2", "d", "d2"]);
    assert!(section(&page, "examples").unwrap().contains("<td class=\"number\">−4.500</td>"));
    let scatter = section(&page, "scatter").unwrap();
    assert_eq!(scatter.matches("class=\"dot\"").count(), 4);
    assert!(scatter.contains("label 5.000, predicted 0.500"));
}

/// Words without a label have no prediction; the others keep theirs. -ln 0.1 = 2.3 of one word is less than twice
/// -ln 0.2 = 1.6.
#[test]
fn wrong_words_are_marked() {
    let sentence = |text: &str| Example::Words(text.split(' ').map(str::to_owned).collect());
    let far = format!("{}end", "far ".repeat(300));
    let mut sample = reviews();
    sample.task = Task::Tags(set(&["O", "B-person", "B-place"]));
    sample.texts.examples =
        ["Ada met Bob", "all right", "Rome and Oslo", &far].map(sentence).into();
    let mut last = vec![Some(0); 301];
    last[300] = Some(1);
    sample.texts.labels = Labels::Tags(vec![
        vec![None, Some(0), Some(1)],
        vec![Some(0), Some(0)],
        vec![Some(2), None, Some(2)],
        last,
    ]);
    sample.predictions = vec![
        Prediction::Tags(vec![(0, 0.99), (2, 0.9)]),
        Prediction::Tags(vec![(0, 0.99), (0, 0.99)]),
        Prediction::Tags(vec![(0, 0.8), (0, 0.8)]),
        Prediction::Tags(vec![(0, 0.6); 301]),
    ];
    sample.metric = "f1";
    let page = page_of(&sample);
    keep("words", checked(&page));
    let end = format!("… {}end", "far ".repeat(8));
    assert_eq!(texts(&page), ["Rome and Oslo", "Ada met Bob", &end]);
    let examples = section(&page, "examples").unwrap();
    for text in [
        "<mark>Rome</mark> and <mark>Oslo</mark>",
        "Ada met <mark>Bob</mark>",
        "<td><bdi>Bob</bdi></td><td><bdi>B-person</bdi></td><td><bdi>B-place</bdi><span class=\"sure\">90.0 %",
    ] {
        assert!(examples.contains(text), "{text}: {examples}");
    }
    assert!(page.contains("Learned to find entities"));
}

#[test]
fn escapes_what_others_wrote() {
    let hostile = "<script>alert(\"1\")</script>&'\u{0}</style>\u{202e}";
    let long = format!("{hostile} {}", "x".repeat(100_000));
    let mut sample = single(&[hostile, "b"], &[(&long, 0, &[0.1, 0.9]), (hostile, 1, &[0.9, 0.1])]);
    for words in [false, true] {
        let page = page_of(&sample);
        checked(&page);
        assert_eq!(page.matches("<script").count(), 1);
        assert_eq!(page.matches("</script").count(), 1);
        assert_eq!(page.matches("</style").count(), 1);
        assert!(
            page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;\u{fffd}")
        );
        assert!(page.len() < 40_000, "{}", page.len());
        if !words {
            sample.task = Task::Tags(set(&[hostile, "b"]));
            let sentence = Example::Words(vec![hostile.to_owned(), long.clone()]);
            sample.texts.examples = vec![sentence];
            sample.texts.labels = Labels::Tags(vec![vec![Some(0), Some(0)]]);
            sample.predictions = vec![Prediction::Tags(vec![(1, 0.9), (1, 0.8)])];
        }
    }
}

#[test]
fn of_many_classes_it_shows_the_worst_pairs() {
    let names: Vec<String> = (0..77).map(|i| format!("class {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let sure = |class: usize| {
        let mut p = vec![0.001; 77];
        p[class] = 0.9;
        p
    };
    // Class 5 is taken for 6 three times, 7 for 8 twice, all others are right.
    let rows = [(5, 6), (5, 6), (5, 6), (7, 8), (7, 8), (5, 5)].into_iter();
    let rows: Vec<(u32, Vec<f32>)> = rows
        .chain((10..70).map(|i| (i, i)))
        .map(|(truth, class)| (truth as u32, sure(class)))
        .collect();
    let rows: Vec<(&str, u32, &[f32])> =
        rows.iter().map(|row| ("text", row.0, &row.1[..])).collect();
    let page = page_of(&single(&names, &rows));
    keep("many", checked(&page));
    assert!(page.contains("Learned to tell 77 classes apart"));
    let confusion = section(&page, "confusion").unwrap();
    let pair = |a, b, n, share: &str| {
        format!(
            "<td><bdi>class {a}</bdi></td><td><bdi>class {b}</bdi></td><td class=\"number\">{n}</td>\
             <td class=\"number\">{share}"
        )
    };
    let places = [pair(5, 6, 3, "75.0 %"), pair(7, 8, 2, "100.0 %")]
        .map(|pair| confusion.find(&pair).expect("the pair"));
    assert!(places.is_sorted() && confusion.contains("Of 2 pairs"));
    assert!(page.contains("neither there nor predicted") && page.contains("never predicted"));
    assert!(page.contains("<summary>65 more</summary>"));
}

#[test]
fn survives_what_is_missing() {
    let mut sample = reviews();
    sample.trains = false;
    let page = page_of(&sample);
    assert!(checked(&page).contains("How well <bdi class=\"name\">models/small</bdi> does on "));
    assert!(section(&page, "curves").is_none());
    sample = reviews();
    sample.texts.labels = Labels::Absent;
    let states = [
        json!({}),
        json!({"log_history": [{"epoch": 1.0, "step": 10, "train_loss": null}]}),
        json!({"log_history": [{"epoch": 0.0, "step": 0, "train_loss": 1e300, "eval_loss": -1e300}]}),
        json!({"best_epoch": null, "epoch": 1.0, "global_step": 10,
            "log_history": [{"epoch": 1.0, "step": 10, "train_loss": 0.5, "train_runtime": 1.5}]}),
    ];
    for state in states {
        sample.state = state;
        assert!(checked(&page_of(&sample)).contains("There was no data to measure it on."));
    }
    assert!(page_of(&sample).contains("At the end, there was training loss 0.500."));
    let one = single(&["a", "b"], &[("", 0, &[1.0, 0.0])]);
    checked(&page_of(&one));
}
