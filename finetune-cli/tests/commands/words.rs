//! Labels of words: training, figures, predictions, selection.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::*;

/// A word that names something wet begins an entity; one that names something warm, too, and the word behind goes on
/// with it.
fn tag(word: &str, before: Option<&str>) -> &'static str {
    match (word, before) {
        ("hot", _) => "B-warm",
        (_, Some("hot")) => "I-warm",
        ("dam", _) => "B-wet",
        _ => "O",
    }
}

/// Sentences with their tags.
fn sentences(rows: usize, seed: u64) -> Vec<Vec<(String, &'static str)>> {
    let mut numbers = Numbers::new(seed);
    let sentence = |row: usize| {
        let text = numbers.sentence(["hot", "dam", "fin", "hot the"][row % 4]);
        let words: Vec<&str> = text.split(' ').collect();
        let before = |i: usize| Some(words[i.checked_sub(1)?]);
        (0..words.len()).map(|i| (words[i].to_owned(), tag(words[i], before(i)))).collect()
    };
    (0..rows).map(sentence).collect()
}

fn conll(sentences: &[Vec<(String, &'static str)>]) -> String {
    let mut text = String::new();
    for sentence in sentences {
        sentence.iter().for_each(|(word, tag)| writeln!(text, "{word}\t{tag}").unwrap());
        text.push('\n');
    }
    text
}

fn jsonl(sentences: &[Vec<(String, &'static str)>]) -> String {
    let row = |sentence: &Vec<(String, &str)>| {
        let (words, tags): (Vec<_>, Vec<_>) = sentence.iter().cloned().unzip();
        json!({"id": 1, "tokens": words, "ner_tags": tags}).to_string() + "\n"
    };
    sentences.iter().map(row).collect()
}

/// To learn what is behind a word takes longer than to learn words.
const LEARN: [&str; 4] = ["--learning-rate", "3e-3", "--epochs", "15"];

/// A run on CoNLL files, and the file of its test.
fn tagged() -> &'static Trained {
    static RUN: OnceLock<Trained> = OnceLock::new();
    RUN.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("commands/words");
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).unwrap();
        let [train_file, test] = ["train.conll", "test.conll"].map(|name| place.join(name));
        fs::write(&train_file, conll(&sentences(600, 1))).unwrap();
        fs::write(&test, conll(&sentences(80, 2))).unwrap();
        let folder = place.join("run");
        let output = train(&folder, &train_file, &[&LEARN[..], &["--test", text(&test)]].concat());
        let [folder, test] = [folder, test].map(|path| text(&path).to_owned());
        Trained { folder, test, stdout: output.stdout, stderr: output.stderr }
    })
}

fn predict<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["predict", "--model", &tagged().folder], more].concat()
}

#[test]
fn it_learns_entities_that_it_has_not_seen() {
    let run = tagged();
    assert!(metric(Path::new(&run.folder), "test_f1") > 0.95, "{}", run.stdout);
    let task =
        "task: one of 4 labels for each word: B-warm, B-wet, I-warm, O; text column `tokens`";
    assert!(run.stderr.contains(task), "{}", run.stderr);
    assert!(
        run.stdout.contains("validation loss") && run.stdout.contains(" f1 "),
        "{}",
        run.stdout
    );
    let config = read_json(&run.file("config.json"));
    assert_eq!(config["architectures"], json!(["BertForTokenClassification"]));
    assert_eq!(config["id2label"]["1"], "B-wet");
    assert_eq!(config.get("problem_type"), None);
    let state = read_json(&run.file("trainer_state.json"));
    assert_eq!(state["metric_for_best_model"], "f1");
}

#[test]
fn evaluate_gives_the_figures_of_the_run() {
    let run = tagged();
    let evaluate = |more: &[&str]| {
        let args = [&["evaluate", "--model", &run.folder, &run.test, "--json"], more].concat();
        json_lines(&succeeds(&args).stdout).remove(0)
    };
    let figures = evaluate(&[]);
    for name in ["loss", "f1", "precision", "recall", "accuracy", "f1_macro"] {
        let want = metric(Path::new(&run.folder), &format!("test_{name}"));
        assert_eq!(figures[name].as_f64().unwrap(), want, "{name}");
    }
    assert_eq!(figures["examples"], 80);
    assert_eq!(
        figures["per_class"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["warm", "wet"]
    );
    // The mean over words does not depend on the batches.
    let one = evaluate(&["--batch-size", "1"]);
    let [a, b] = [&one, &figures].map(|figures| figures["loss"].as_f64().unwrap());
    assert!((a - b).abs() < 1e-6 && one["f1"] == figures["f1"], "{a} {b}");
}

#[test]
fn predictions_are_those_that_evaluate_counts() {
    let run = tagged();
    let truth = fs::read_to_string(&run.test).unwrap();
    let answer = succeeds(&predict(&["--file", &run.test])).stdout;
    assert_eq!(answer.lines().count(), truth.lines().count());
    let (mut right, mut all) = (0, 0);
    for (got, want) in answer.lines().zip(truth.lines()).filter(|(_, want)| !want.is_empty()) {
        assert_eq!(got.split('\t').next(), want.split('\t').next());
        right += usize::from(got == want);
        all += 1;
    }
    let accuracy = metric(Path::new(&run.folder), "test_accuracy");
    assert!((right as f64 / all as f64 - accuracy).abs() < 1e-12, "{right} of {all}");
    // The same from lists, as objects.
    let place = Place::new("");
    let file = place.write("test.jsonl", jsonl(&sentences(80, 2)));
    let objects = json_lines(&succeeds(&predict(&["--file", &file, "--json"])).stdout);
    let mut lines = String::new();
    for object in &objects {
        let list = |key: &str| object[key].as_array().unwrap().clone();
        assert_eq!(list("scores").len(), list("tokens").len());
        for (word, tag) in list("tokens").iter().zip(list("tags")) {
            writeln!(lines, "{}\t{}", word.as_str().unwrap(), tag.as_str().unwrap()).unwrap();
        }
        lines.push('\n');
    }
    assert_eq!(lines, answer);
}

#[test]
fn entities_have_their_places_in_a_text() {
    let texts = ["the  act hot fin was dam", "was the act", ""];
    let objects = json_lines(&succeeds(&predict(&[&["--json"], &texts[..]].concat())).stdout);
    let entities = |object: &Value| -> Vec<(String, String, u64, u64)> {
        let entity = |e: &Value| {
            let score = e["score"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&score));
            let word = |key: &str| e[key].as_str().unwrap().to_owned();
            (
                word("entity_group"),
                word("word"),
                e["start"].as_u64().unwrap(),
                e["end"].as_u64().unwrap(),
            )
        };
        object["entities"].as_array().unwrap().iter().map(entity).collect()
    };
    let want =
        [("warm".to_owned(), "hot fin".to_owned(), 9, 16), ("wet".into(), "dam".into(), 21, 24)];
    assert_eq!(entities(&objects[0]), want);
    assert_eq!(objects[0]["text"], texts[0]);
    assert!(entities(&objects[1]).is_empty() && entities(&objects[2]).is_empty());
    let lines = succeeds(&predict(&texts)).stdout;
    let first: Vec<&str> = lines.lines().next().unwrap().split('\t').collect();
    assert!(first[0].starts_with("warm 0.") && first[0].contains(" hot fin, wet 0."), "{lines}");
    assert_eq!((first[1], lines.lines().nth(1)), (texts[0], Some("\twas the act")));
    // Places are counted in characters, as in Python.
    let object = json_lines(&succeeds(&predict(&["--json", "für dam"])).stdout).remove(0);
    assert_eq!(entities(&object)[0].2, 4);
}

/// Sentences longer than the model may read come in pieces, and each word still has its label.
#[test]
fn long_sentences_are_used_whole() {
    let whole = sentences(60, 5).concat();
    let place = Place::new("");
    let file = place.write("long.conll", conll(std::slice::from_ref(&whole)));
    let answer = succeeds(&predict(&["--file", &file])).stdout;
    assert_eq!(answer.lines().count(), whole.len() + 1);
    let right =
        answer.lines().zip(&whole).filter(|(line, (word, tag))| *line == format!("{word}\t{tag}"));
    // Some entities lie across the end of a piece.
    assert!(right.count() as f64 > 0.9 * whole.len() as f64, "{answer}");
    let args = ["evaluate", "--model", &tagged().folder, &file, "--json"];
    assert_eq!(json_lines(&succeeds(&args).stdout)[0]["examples"], 1);

    let train_file = place.write("train.conll", conll(&sentences(40, 6)));
    let short = ["--epochs", "1", "--max-length", "6", "--validation-fraction", "0"];
    let output = train(&place.output, Path::new(&train_file), &short);
    assert!(output.stderr.contains(" in pieces of at most 6 tokens"), "{}", output.stderr);
    assert!(output.stderr.contains("data: 40 training, "), "{}", output.stderr);
    // Speed is that of sentences, whatever pieces there are.
    let entry = metrics(&place.output).pop().unwrap();
    let figure = |key: &str| entry[key].as_f64().unwrap();
    let examples = figure("train_samples_per_second") * figure("train_runtime");
    assert!((examples - 40.0).abs() < 0.5, "{examples}");
}

/// A word of label -100 has no part in the loss and in the figures.
#[test]
fn words_without_a_label_are_not_measured() {
    let run = tagged();
    let args = ["predict", "--model", &run.folder, "--file", &run.test, "--json"];
    let (mut content, mut loss, mut measured) = (String::new(), 0.0, 0);
    for (row, object) in json_lines(&succeeds(&args).stdout).iter().enumerate() {
        let list = |key: &str| object[key].as_array().unwrap().clone();
        for (i, (word, tag)) in list("tokens").iter().zip(list("tags")).enumerate() {
            // Of every third row all words, of the others every second one.
            let label = if row % 3 == 0 || i % 2 == 0 { "-100" } else { tag.as_str().unwrap() };
            if label != "-100" {
                loss -= list("scores")[i].as_f64().unwrap().ln();
                measured += 1;
            }
            writeln!(content, "{}\t{label}", word.as_str().unwrap()).unwrap();
        }
        content.push('\n');
    }
    let place = Place::new("");
    let file = place.write("masked.conll", &content);
    for batch in ["1", "32"] {
        let args = ["evaluate", "--model", &run.folder, &file, "--json", "--batch-size", batch];
        let figures = json_lines(&succeeds(&args).stdout).remove(0);
        assert_eq!((&figures["accuracy"], &figures["examples"]), (&json!(1.0), &json!(53)));
        let (got, want) = (figures["loss"].as_f64().unwrap(), loss / f64::from(measured));
        assert!((got - want).abs() < 1e-5, "{got} {want}");
    }
    // `predict` answers all words.
    let answer = succeeds(&predict(&["--file", &file])).stdout;
    assert_eq!(answer.lines().count(), content.lines().count());
}

/// Where half of the words have no label, the others are learned; pieces without any are no rows.
#[test]
fn words_without_a_label_are_not_learned() {
    let masked = |rows: usize, seed: u64| {
        let mut all = sentences(rows, seed);
        let words = all.iter_mut().flatten().enumerate();
        let hidden = words.filter(|(i, _)| i % 2 == 0 || *i < 40);
        hidden.for_each(|(_, (_, tag))| *tag = "-100");
        conll(&all)
    };
    let place = Place::new("");
    let file = place.write("train.conll", masked(600, 1));
    let validation = place.write("validation.conll", masked(80, 2));
    let given = ["--validation", &validation, "--test", &tagged().test];
    train(&place.output, Path::new(&file), &[&LEARN[..], &given].concat());
    assert!(metric(&place.output, "test_f1") > 0.95);
    let labels = read_json(&place.output.join("config.json"))["id2label"].clone();
    assert_eq!(labels, json!({"0": "B-warm", "1": "B-wet", "2": "I-warm", "3": "O"}));
    let one = ["--epochs", "1", "--max-length", "4", "--batch-size", "1", "--overwrite"];
    train(&place.output, Path::new(&validation), &[&one[..], &given].concat());

    let output = place.path("select");
    let flags = ["--sample", "100", "--output", text(&output), "--verify", "0"];
    succeeds(&[&["select", "--models", &tagged().folder, "--train", &file][..], &flags].concat());
    let summary = read_json(&output.join("select.json"));
    let objective = &summary["candidates"][0]["evidence"]["objective"];
    assert!(objective["head_metric"].as_f64().unwrap() > 0.9, "{objective}");
}

/// A sentence in pieces is several rows of a training, in the verification as well: the last rung is the training.
#[test]
fn a_verification_counts_the_pieces_of_sentences() {
    let place = Place::new("");
    let long = |seed: u64| -> Vec<Vec<(String, &'static str)>> {
        sentences(160, seed).chunks(4).map(<[_]>::concat).collect()
    };
    let train_file = place.write("train.conll", conll(&long(5)));
    let validation = place.write("validation.conll", conll(&long(6)));
    let recipe = ["--max-length", "8", "--batch-size", "4", "--epochs", "1"];
    let select = place.path("select");
    let shallow = format!("{}:1", base_model());
    let args = ["select", "--models", base_model(), &shallow, &tagged().folder, "--verify", "3"];
    let files = ["--train", &train_file, "--validation", &validation];
    let args = [&args[..], &files, &recipe, &["--no-truncate", "--output", text(&select)]].concat();
    let said = succeeds(&args).stdout;
    let first = read_json(&select.join("select.json"))["candidates"][0].clone();
    let (model, run) = (first["path"].as_str().unwrap(), place.path("whole"));
    let layers = first["truncate"].as_u64().map(|n| n.to_string());
    let truncate: Vec<&str> = layers.iter().flat_map(|n| ["--truncate", n]).collect();
    let args = ["train", "--model", model, "--output", text(&run)];
    succeeds(&[&args[..], &files, &recipe, &truncate].concat());
    let all = read_json(&run.join("trainer_state.json"))["max_steps"].as_u64().unwrap();
    // 40 sentences of some 20 words have more rows than sentences.
    assert!(all > 20, "{all}");
    assert!(said.contains(&format!("after up to {all} of {all} training steps")), "{said}");
    let (rungs, steps) = (&first["verified"]["rungs"], &first["verified"]["recipe_steps"]);
    assert_eq!([&rungs[0]["steps"], &rungs[1]["steps"], steps], [all / 2, all, all]);
    assert_eq!(rungs[1]["loss"].as_f64().unwrap(), metric(&run, "eval_loss"));
}

/// A word that is longer than a piece, alone in its batch.
#[test]
fn what_goes_on_with_a_long_word_is_no_row() {
    let place = Place::new("");
    let long = "hot".repeat(40);
    let content = format!("{long}\tO\n\nhot\tB-warm\n\nthe\tO\n{long}\tO\ndam\tB-wet\n");
    let file = place.write("long.conll", &content);
    let model = ["bert", "roberta"].map(|name| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
        text(&root.join(format!("{name}_tiny"))).to_owned()
    });
    for model in model {
        let run = place.path("run");
        let flags = [
            "--max-length",
            "8",
            "--batch-size",
            "1",
            "--eval-batch-size",
            "1",
            "--validation",
            &file,
        ];
        let fixed = ["train", "--model", &model, "--train", &file, "--epochs", "1", "--overwrite"];
        succeeds(&[&fixed[..], &flags, &["--output", text(&run)]].concat());
        let args = ["predict", "--model", text(&run), "--file", &file, "--batch-size", "1"];
        assert_eq!(succeeds(&args).stdout.lines().count(), content.lines().count() + 1);
    }
}

/// Parts of speech are no entities: figures are of words, and each word of a text is answered.
#[test]
fn other_labels_are_classes_of_words() {
    let kind = |word: &str| if word.len() == 3 { "SHORT" } else { "LONG" };
    let rows = |seed| {
        let sentences = sentences(120, seed).into_iter();
        sentences
            .map(|s| {
                s.into_iter()
                    .map(|(word, _)| {
                        let tag = kind(&word);
                        (word, tag)
                    })
                    .collect()
            })
            .collect::<Vec<_>>()
    };
    let place = Place::new("");
    let train_file = place.write("train.jsonl", jsonl(&rows(1)));
    let test = place.write("test.jsonl", jsonl(&rows(2)));
    train(&place.output, Path::new(&train_file), &[&LEARN[..], &["--test", &test]].concat());
    let accuracy = metric(&place.output, "test_accuracy");
    assert!(accuracy > 0.95, "{accuracy}");
    let said = succeeds(&["predict", "--model", text(&place.output), "came the"]).stdout;
    assert_eq!(said, "came\tLONG\nthe\tSHORT\n\n");
    let evaluated = succeeds(&["evaluate", "--model", text(&place.output), &test]).stdout;
    assert!(
        evaluated.contains("\naccuracy ") && evaluated.contains("Confusion matrix"),
        "{evaluated}"
    );
}

#[test]
fn a_head_for_words_is_none_for_texts() {
    let place = Place::new(reviews(40, 3));
    let run = place.path("texts");
    let model = tagged().folder.as_str();
    let fixed = ["train", "--train", text(&place.train), "--epochs", "1", "--output", text(&run)];
    let output = succeeds(&[&fixed[..], &["--model", model]].concat());
    assert!(output.stderr.contains(
        "start fresh: bert.pooler.dense.bias, bert.pooler.dense.weight, classifier.bias"
    ));
    assert_eq!(
        read_json(&run.join("config.json"))["architectures"],
        json!(["BertForSequenceClassification"])
    );
    // And the other way round.
    let words = place.write("train.conll", conll(&sentences(40, 6)));
    let again = ["train", "--model", text(&run), "--train", &words, "--epochs", "1"];
    let output = succeeds(&[&again[..], &["--output", text(&place.output)]].concat());
    assert!(
        output.stderr.contains("start fresh: classifier.bias, classifier.weight\n"),
        "{}",
        output.stderr
    );
    // Its own labels: the head is kept.
    let more = ["train", "--model", model, "--train", &words, "--epochs", "1"];
    let output = succeeds(&[&more[..], &["--output", text(&place.path("more"))]].concat());
    assert!(!output.stderr.contains("start fresh"), "{}", output.stderr);
}

/// The first map of a RoBERTa's head is called like its last one in a token classifier.
#[test]
fn another_task_leaves_the_last_map_alone_behind() {
    let place = Place::new(reviews(40, 3));
    let other = reviews(40, 3).replace("good", "fine");
    let other = place.write("other.csv", other);
    for name in ["roberta", "electra"] {
        let model =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/golden/{name}_tiny"));
        let train = |model: &Path, file: &str, output: &Path| {
            let fixed = ["train", "--epochs", "1", "--max-length", "20", "--model", text(model)];
            succeeds(&[&fixed[..], &["--train", file, "--output", text(output)]].concat()).stderr
        };
        let [first, second] = ["first", "second"].map(|part| place.path(&format!("{name}-{part}")));
        train(&model, text(&place.train), &first);
        let said = train(&first, &other, &second);
        let want = "start fresh: classifier.out_proj.bias, classifier.out_proj.weight\n";
        assert!(said.contains(want), "{name}: {said}");
    }
}

#[test]
fn words_can_be_selected_on_and_adapted_to() {
    let place = Place::new("");
    let train_file = place.write("train.conll", conll(&sentences(240, 3)));
    let validation = place.write("validation.conll", conll(&sentences(60, 4)));
    let (base, tuned) = (base_model(), tagged().folder.as_str());
    let output = text(&place.output);
    let args = [
        "select",
        "--models",
        base,
        tuned,
        "--train",
        &train_file,
        "--validation",
        &validation,
        "--output",
        output,
        "--learning-rate",
        "2e-3",
        "--epochs",
        "2",
        "--sample",
        "200",
    ];
    let said = succeeds(&args);
    let summary = read_json(&place.output.join("select.json"));
    let task = &summary["task"];
    assert_eq!(
        (&task["problem_type"], &task["metric"]),
        (&json!("token_classification"), &json!("f1"))
    );
    assert_eq!((&task["sampled_rows"], &task["sampled_words"]), (&json!(200), &json!(200)));
    let first = &summary["candidates"][0];
    assert_eq!(first["name"], tuned, "{}", said.stdout);
    let remark = first["remarks"][0].as_str().unwrap();
    let f1 = remark.strip_prefix("has a head for these labels: f1 ").unwrap().split(' ').next();
    assert!(f1.unwrap().parse::<f64>().unwrap() >= 0.9, "{remark}");
    assert!(first["verified"]["metric"].as_f64().unwrap() > 0.95);
    assert!(
        said.stdout.contains("estimated from 200 words of 200 of 240 training examples"),
        "{}",
        said.stdout
    );

    let adapted = place.path("adapted");
    let adapt = [
        "adapt",
        "--model",
        base,
        "--text",
        &train_file,
        "--max-steps",
        "2",
        "--output",
        text(&adapted),
    ];
    let output = succeeds(&adapt);
    assert!(
        output.stderr.contains("text: ") && adapted.join("model.safetensors").is_file(),
        "{}",
        output.stderr
    );
}

#[test]
fn what_words_do_not_have_is_refused() {
    let run = tagged();
    let threshold = finetune(&predict(&["--threshold", "0.5", "the"]));
    assert_eq!(threshold.code, Some(2), "{}", threshold.stderr);
    assert!(threshold.stderr.contains("the task of this one is one of 4 labels for each word"));
    let pair = finetune(&predict(&["the", "--pair", "act"]));
    assert_eq!(pair.code, Some(2), "{}", pair.stderr);
    assert!(pair.stderr.contains("--pair: the model takes single texts"), "{}", pair.stderr);
    let place = Place::new(reviews(4, 1));
    let csv = text(&place.train);
    refused(
        &["evaluate", "--model", &run.folder, csv],
        &["train.csv, line 2", "labels of words need a list of words"],
    );
    let words = place.write("train.conll", conll(&sentences(8, 6)));
    refused(
        &["evaluate", "--model", &trained().folder, &words],
        &["train.conll, line 1", "lists of words are for labels of words"],
    );
    let pair = place.write(
        "pair.jsonl",
        "{\"tokens\": [\"a\", \"b\"], \"words\": [\"a\", \"b\"], \"tags\": [\"X\", \"Y\"]}",
    );
    let args = ["evaluate", "--model", &run.folder, "--text-column", "tokens,words", &pair];
    refused(&args, &["labels of words need one column of words"]);
    let pairs = place.write("pairs.csv", "sentence1,sentence2\na,b\n");
    refused(&predict(&["--file", &pairs]), &["labels of words need one column of words"]);
}
