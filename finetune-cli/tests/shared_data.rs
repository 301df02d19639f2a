//! The corpora in `../shared/data`, with nothing said about them.

use std::path::{Path, PathBuf};

use finetune::data::{Columns, Dataset, Labels, Options, ProblemType, Schema, read_table};

/// A set of files: columns, task, classes, and rows of each file, the training file first.
struct Corpus {
    text: &'static [&'static str],
    label: &'static str,
    problem: ProblemType,
    classes: &'static [&'static str],
    files: &'static [(&'static str, usize)],
}

const TEXT: &[&str] = &["text"];
const PAIR: &[&str] = &["sentence1", "sentence2"];
const SENTIMENT: &[&str] = &["negative", "positive"];

const CORPORA: [Corpus; 7] = [
    Corpus {
        text: TEXT,
        label: "label",
        problem: ProblemType::SingleLabel,
        classes: SENTIMENT,
        files: &[("sst2/train.csv", 6920), ("sst2/validation.csv", 872), ("sst2/test.csv", 1821)],
    },
    Corpus {
        text: TEXT,
        label: "label",
        problem: ProblemType::SingleLabel,
        classes: &["abbreviation", "description", "entity", "human", "location", "number"],
        files: &[("trec/train.jsonl", 5452), ("trec/test.jsonl", 500)],
    },
    Corpus {
        text: TEXT,
        label: "label",
        problem: ProblemType::SingleLabel,
        classes: &["abbreviation", "description", "entity", "human", "location", "number"],
        files: &[
            ("trec-parquet/train-00000-of-00001.parquet", 5452),
            ("trec-parquet/test-00000-of-00001.parquet", 500),
        ],
    },
    Corpus {
        text: TEXT,
        label: "label",
        problem: ProblemType::SingleLabel,
        classes: SENTIMENT,
        files: &[("cr/reviews.tsv", 3771)],
    },
    Corpus {
        text: TEXT,
        label: "label",
        problem: ProblemType::SingleLabel,
        classes: &["business", "sports", "technology", "world"],
        files: &[
            ("ag_news/train.jsonl", 6000),
            ("ag_news/validation.jsonl", 600),
            ("ag_news/test.jsonl", 1000),
        ],
    },
    Corpus {
        text: PAIR,
        label: "label",
        problem: ProblemType::SingleLabel,
        classes: &["0", "1"],
        files: &[("msrp/train.csv", 3576), ("msrp/validation.csv", 500), ("msrp/test.csv", 1725)],
    },
    Corpus {
        text: PAIR,
        label: "score",
        problem: ProblemType::Regression,
        classes: &[],
        files: &[("sts15/train.csv", 3000), ("sts15/test.csv", 6750)],
    },
];

fn shared() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !path.is_dir() {
        println!("skipped: ../shared not found");
        return None;
    }
    Some(path)
}

#[test]
fn every_corpus_reads_as_it_lies() {
    let Some(shared) = shared() else { return };
    let options = Options::default();
    let read = |name: &str| read_table(&shared.join(name), &options).unwrap();
    for corpus in CORPORA {
        let train = corpus.files[0].0;
        let schema = Schema::infer(&read(train), &options).unwrap();
        let label = Some(corpus.label.into());
        let text = corpus.text.iter().map(|&name| name.into()).collect();
        assert_eq!(schema.columns, Columns { text, label }, "{train}");
        assert_eq!(schema.task.problem_type(), Some(corpus.problem), "{train}");
        assert_eq!(schema.task.label_set().map_or(&[][..], |set| set.names()), corpus.classes);
        for &(name, rows) in corpus.files {
            let data = Dataset::new(read(name), &schema).unwrap();
            assert_eq!(data.len(), rows, "{name}");
            assert!(data.other.is_empty(), "{name}");
            assert!(data.examples.iter().all(|e| e.parts().len() == corpus.text.len()));
        }
    }
}

#[test]
fn parquet_holds_what_jsonl_holds() {
    let Some(shared) = shared() else { return };
    let columns = |name: &str| {
        let table = read_table(&shared.join(name), &Options::default()).unwrap();
        ["text", "label"].map(|column| table.column(column).unwrap().cells.clone())
    };
    let parquet = columns("trec-parquet/train-00000-of-00001.parquet");
    assert_eq!(parquet, columns("trec/train.jsonl"));
}

#[test]
fn labels_are_those_of_python() {
    let Some(shared) = shared() else { return };
    let options = Options::default();
    let labels = |name: &str| {
        let table = read_table(&shared.join(name), &options).unwrap();
        let schema = Schema::infer(&table, &options).unwrap();
        Dataset::new(table, &schema).unwrap().labels
    };
    // Counts of `csv.DictReader`: cr has 1366 negative and 2405 positive rows, msrp 1169 of 0 and 2407 of 1.
    for (name, want) in [("cr/reviews.tsv", [1366, 2405]), ("msrp/train.csv", [1169, 2407])] {
        let Labels::Class(labels) = labels(name) else { panic!("{name}: classes") };
        let counts = [0, 1].map(|k| labels.iter().filter(|&&label| label == k).count());
        assert_eq!(counts, want, "{name}");
    }
    let Labels::Score(scores) = labels("sts15/train.csv") else { panic!("scores") };
    assert_eq!(scores[..5], [4.0, 3.8, 4.2, 1.8, 4.0]);
}

/// The published numbers of WNUT 2017, the same from either format.
#[test]
fn words_have_labels() {
    let Some(shared) = shared() else { return };
    let load = |name: &str| {
        let table = read_table(&shared.join("wnut17").join(name), &Options::default()).unwrap();
        let schema = Schema::infer(&table, &Options::default()).unwrap();
        (schema.clone(), Dataset::new(table, &schema).unwrap())
    };
    for (part, sentences) in [("train", 3394), ("validation", 1009), ("test", 1287)] {
        let (schema, lists) = load(&format!("{part}.jsonl"));
        let (same, conll) = load(&format!("{part}.conll"));
        assert_eq!((lists.len(), schema.task.outputs()), (sentences, 13), "{part}");
        assert_eq!((schema, lists.examples, lists.labels), (same, conll.examples, conll.labels));
    }
}
