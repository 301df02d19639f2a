//! Data of words that have labels: lists in any format, and CoNLL files.

use std::path::{Path, PathBuf};

use finetune::data::{
    Dataset, Example, Format, Labels, Options, ProblemType, Result, Schema, Task, TextFiles,
    parse_table, spans,
};

fn read(name: &str, content: &str, options: &Options) -> Result<(Schema, Dataset)> {
    let format = options.format.map_or_else(|| Format::of(Path::new(name)), Ok)?;
    let table = parse_table(Path::new(name), content.into(), format, true)?;
    let schema = Schema::infer(&table, options)?;
    let data = Dataset::new(table, &schema)?;
    Ok((schema, data))
}

fn load(name: &str, content: &str) -> (Schema, Dataset) {
    read(name, content, &Options::default()).unwrap()
}

fn refusal(name: &str, content: &str) -> String {
    let message = read(name, content, &Options::default()).expect_err("a refused file").to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

fn words(words: &[&str]) -> Example {
    Example::Words(words.iter().map(|&word| word.into()).collect())
}

/// Labels of words, which all have one.
fn tags(rows: &[&[u32]]) -> Labels {
    Labels::Tags(rows.iter().map(|row| row.iter().copied().map(Some).collect()).collect())
}

const LINES: &str = "\
{\"tokens\": [\"Ada\", \"Lovelace\", \"wrote\"], \"tags\": [\"B-person\", \"I-person\", \"O\"]}
{\"tokens\": [\"in\", 1843], \"tags\": [\"O\", \"O\"]}
";

#[test]
fn every_format_gives_the_same_words() {
    let csv = "tokens,tags\n\"[\"\"Ada\"\", \"\"Lovelace\"\", \"\"wrote\"\"]\",\"[\"\"B-person\"\", \"\"I-person\"\", \"\"O\"\"]\"\n\
               \"[\"\"in\"\", \"\"1843\"\"]\",\"[\"\"O\"\", \"\"O\"\"]\"\n";
    for (name, content) in [
        ("a.jsonl", LINES),
        ("a.csv", csv),
        ("a.conll", "Ada\tB-person\nLovelace\tI-person\nwrote\tO\n\nin\tO\n1843\tO\n"),
        (
            "a.iob2",
            "\u{feff}-DOCSTART- O\r\n\r\nAda B-person\r\nLovelace  I-person\r\nwrote O\r\n\r\n\r\nin O\r\n1843 O",
        ),
    ] {
        let (schema, data) = load(name, content);
        let Task::Tags(set) = &schema.task else { panic!("{name}: {}", schema.task) };
        assert_eq!(set.names(), ["B-person", "I-person", "O"], "{name}");
        assert_eq!(data.examples, [words(&["Ada", "Lovelace", "wrote"]), words(&["in", "1843"])]);
        assert_eq!(data.labels, tags(&[&[0, 1, 2], &[2, 2]]), "{name}");
        let want = "one of 3 labels for each word: B-person, I-person, O; text column `tokens`, label column `tags`";
        assert_eq!(schema.to_string(), want, "{name}");
    }
}

/// CoNLL-2003 has three columns of tags, in this order.
#[test]
fn columns_of_words_are_found() {
    let lists = |names: &[&str]| {
        let cell = |name: &&str| format!("\"{name}\": [\"a\", \"b\"]");
        format!("{{{}}}", names.iter().map(cell).collect::<Vec<_>>().join(", "))
    };
    for (names, text, label) in [
        (&["tokens", "pos_tags", "chunk_tags", "ner_tags"][..], "tokens", "ner_tags"),
        (&["Words", "labels"], "Words", "labels"),
        (&["words", "upos", "label"], "words", "upos"),
    ] {
        let (schema, _) = load("a.jsonl", &lists(names));
        assert_eq!(schema.columns.text, [text]);
        assert_eq!(schema.columns.label.as_deref(), Some(label));
    }
    // Words go before the text that they are from, but not before one that has a label of its own.
    let both = "{\"text\": \"a b\", \"tokens\": [\"a\", \"b\"], \"tags\": [\"X\", \"Y\"]}";
    assert_eq!(load("a.jsonl", both).0.columns.text, ["tokens"]);
    let classes = "{\"text\": \"a\", \"tokens\": [\"a\"], \"label\": 0}\n{\"text\": \"b\", \"tokens\": [\"b\"], \"label\": 1}";
    let (schema, data) = load("a.jsonl", classes);
    assert_eq!(
        (&schema.columns.text[..], data.labels),
        (&["text".to_owned()][..], Labels::Class(vec![0, 1]))
    );
    // A text with any of several tags is no list of words.
    let tagged = "{\"text\": \"a b\", \"tags\": [\"X\", \"Y\"]}\n{\"text\": \"c\", \"tags\": []}";
    let options = Options { label_column: Some("tags".into()), ..Options::default() };
    let (schema, _) = read("a.jsonl", tagged, &options).unwrap();
    assert!(matches!(schema.task, Task::MultiLabel(_)));
    // Named columns.
    let options = Options {
        text_columns: Some(vec!["form".into()]),
        label_column: Some("kind".into()),
        ..Options::default()
    };
    let (schema, _) = read("a.jsonl", &lists(&["form", "kind"]), &options).unwrap();
    assert!(matches!(schema.task, Task::Tags(_)));
}

/// A file with a text and a label of it is about that, whatever lists there are besides.
#[test]
fn lists_beside_a_labelled_text_are_left() {
    let row = |label: u8| {
        format!(
            "{{\"text\": \"a b\", \"words\": [\"a\", \"b\"], \"tags\": [\"x\", \"y\"], \"label\": {label}}}\n"
        )
    };
    let content = row(0) + &row(1);
    let named = Options { problem_type: Some(ProblemType::SingleLabel), ..Options::default() };
    for options in [Options::default(), named] {
        let (schema, _) = read("a.jsonl", &content, &options).unwrap();
        assert_eq!(schema.columns.text, ["text"]);
        assert_eq!(schema.columns.label.as_deref(), Some("label"));
    }
    // Lists that differ in length are labels of the text.
    let multi = "{\"text\": \"a b\", \"tokens\": [\"a\", \"b\"], \"labels\": [\"x\", \"y\"]}\n\
                 {\"text\": \"b c\", \"tokens\": [\"b\", \"c\"], \"labels\": [\"x\"]}";
    assert!(matches!(load("a.jsonl", multi).0.task, Task::MultiLabel(_)));
}

#[test]
fn columns_between_word_and_tag_can_be_named() {
    let content = "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n";
    let (schema, _) = load("a.conll", content);
    assert_eq!(schema.task.label_set().unwrap().names(), ["B-ORG", "O"]);
    let options = Options { label_column: Some("column_2".into()), ..Options::default() };
    let (schema, data) = read("a.conll", content, &options).unwrap();
    assert_eq!(schema.task.label_set().unwrap().names(), ["NNP", "VBZ"]);
    let other: Vec<&str> = data.other.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(other, ["column_3", "tags"]);
}

/// Comments, words that are written as one, and one that is not written are no words.
#[test]
fn universal_dependencies_are_read() {
    let line = |id: &str, form: &str, upos: &str| {
        format!("{id}\t{form}\t_\t{upos}\t_\t_\t0\troot\t_\t_\n")
    };
    let content = [
        "# sent_id = 1\n# text = du gehst\n",
        &line("1-2", "zum", "_"),
        &line("1", "zu", "ADP"),
        &line("2", "dem", "DET"),
        &line("2.1", "kommt", "VERB"),
        "\n",
        &line("1", "#", "SYM"),
    ];
    let (schema, data) = load("a.conllu", &content.concat());
    assert_eq!(data.examples, [words(&["zu", "dem"]), words(&["#"])]);
    assert_eq!(schema.task.label_set().unwrap().names(), ["ADP", "DET", "SYM"]);
    assert_eq!(
        (&schema.columns.text[0][..], schema.columns.label.as_deref()),
        ("form", Some("upos"))
    );
    let short = refusal("a.conllu", "1\tzu\tADP\n");
    assert!(short.contains("line 1: expected 10 fields, found 3"), "{short}");
}

/// A document begins a sentence; blanks of other kinds, and none at the end, come between fields.
#[test]
fn lines_of_conll_are_read_as_they_are_meant() {
    let (_, data) = load("a.conll", "a\tX\t\n-DOCSTART-\tO\nb\u{a0}c\tY\nd Y \n");
    assert_eq!(data.examples, [words(&["a"]), words(&["b\u{a0}c", "d"])]);
    let (_, data) = load("a.conll", "a X\rb Y\r\rc X");
    assert_eq!(data.examples, [words(&["a", "b"]), words(&["c"])]);
}

#[test]
fn a_stray_tag_among_those_of_entities_is_said() {
    let odd = |content: &str| {
        let (schema, data) = load("a.conll", content);
        data.odd_labels(schema.task.label_set())
    };
    let said = odd("a B-x\nb I-x\nc O\nd o\n").expect("a remark");
    assert!(
        said.starts_with(
            "a.conll: most labels are tags of entities, but not `o` (1 row), so that words"
        ),
        "{said}"
    );
    assert_eq!(odd("a B-x\nb O\n"), None);
    assert_eq!(odd("a DET\nb NOUN\n"), None);
}

#[test]
fn rows_without_words_are_left_out() {
    let (_, data) = load("a.jsonl", &format!("{{\"tokens\": [], \"tags\": []}}\n{LINES}"));
    assert_eq!(data.len(), 2);
    let empty = "{\"tokens\": [], \"tags\": []}";
    assert_eq!(
        refusal("a.jsonl", empty),
        "a.jsonl: every list of labels is empty; training needs at least one label"
    );
}

/// The convention of PyTorch's losses: a word of label -100 has none, and a row of such words alone is left out.
#[test]
fn words_of_label_minus_100_have_none() {
    let lists = "{\"tokens\": [\"a\", \"b\", \"c\"], \"tags\": [-100, 7, \"-100\"]}\n\
                 {\"tokens\": [\"d\"], \"tags\": [-100]}\n{\"tokens\": [\"e\"], \"tags\": [3]}\n";
    for (name, content) in
        [("a.jsonl", lists), ("a.conll", "a -100\nb 7\nc -100\n\nd -100\n\ne 3\n")]
    {
        let (schema, data) = load(name, content);
        assert_eq!(schema.task.label_set().unwrap().names(), ["3", "7"], "{name}");
        assert_eq!(data.examples, [words(&["a", "b", "c"]), words(&["e"])], "{name}");
        assert_eq!(
            data.labels,
            Labels::Tags(vec![vec![None, Some(1), None], vec![Some(0)]]),
            "{name}"
        );
    }
    let none = "a.conll: no word has a label, all are -100, which stands for none; give some words their labels";
    assert_eq!(refusal("a.conll", "a -100\nb -100\n"), none);
    let one = "a.conll: every label is `X`; training needs at least two classes";
    assert_eq!(refusal("a.conll", "a -100\nb X\n"), one);
    // A label of a text is a label.
    let of_text = "{\"text\": \"a\", \"label\": -100}\n{\"text\": \"b\", \"label\": 1}\n";
    assert_eq!(load("a.jsonl", of_text).0.task.label_set().unwrap().names(), ["-100", "1"]);
    // Of a file without labels, to measure on, the same is said.
    let (schema, _) = load("a.jsonl", LINES);
    let table = parse_table(Path::new("a.conll"), "a -100\n".into(), Format::Conll, true);
    assert_eq!(Dataset::new(table.unwrap(), &schema).unwrap_err().to_string(), none);
}

#[test]
fn refuses_words_and_labels_that_do_not_fit() {
    for (row, want) in [
        (
            "{\"tokens\": [\"a\"], \"tags\": [\"X\", \"Y\"]}",
            "a.jsonl, line 3: words and labels differ in number, 1 and 2; give each word one",
        ),
        (
            "{\"tokens\": [\"a\", null], \"tags\": [\"X\", \"Y\"]}",
            "a.jsonl, line 3: word 2 in column `tokens` is nothing, not text; correct it",
        ),
        (
            "{\"tokens\": null, \"tags\": [\"X\"]}",
            "a.jsonl, line 3: no text in column `tokens`; add it or remove the row",
        ),
        (
            "{\"tokens\": [\"a\"], \"tags\": [null]}",
            "a.jsonl, line 3: no label in column `tags`; add it or remove the row",
        ),
        (
            "{\"tokens\": [[\"a\"]], \"tags\": [\"X\"]}",
            "a.jsonl, line 3: word 1 in column `tokens` is a list, not text; correct it",
        ),
    ] {
        assert_eq!(refusal("a.jsonl", &format!("{LINES}{row}")), want);
    }
    let only = "{\"tokens\": [\"a\", \"b\"], \"tags\": [\"O\", \"O\"]}";
    assert_eq!(
        refusal("a.jsonl", only),
        "a.jsonl: every label is `O`; training needs at least two classes"
    );
    let uneven = "a.conll, line 4: expected 2 fields, found 1; a line is a word and its tags, all of as many, \
                  a blank line ends a sentence";
    assert_eq!(refusal("a.conll", "a X\nb Y\n\nc\n"), uneven);
    let pandas = "tokens,tags\n\"['a', 'b']\",\"[\"\"X\"\", \"\"Y\"\"]\"\n";
    let want = "a.csv, line 2: `['a', 'b']` is not a list as JSON writes it, [\"a\", \"b\"]; from pandas, write JSON or \
                Parquet, which keep lists";
    assert_eq!(refusal("a.csv", pandas), want);
    let wide = vec!["a"; 1001].join(" ");
    let want = "a.conll, line 1: more than 1000 columns; a line is one word and its tags";
    assert_eq!(refusal("a.conll", &wide), want);
    let binary = "a.conll, line 2: holds a NUL byte; is it a text file?";
    assert_eq!(refusal("a.conll", "a X\nb \0\n"), binary);
    // Of a column of texts there are no words.
    let (schema, _) = load("a.jsonl", LINES);
    let table = parse_table(
        Path::new("b.jsonl"),
        "{\"tokens\": \"Ada wrote\", \"tags\": [\"O\", \"O\"]}".into(),
        Format::Jsonl,
        true,
    );
    let message = Dataset::new(table.unwrap(), &schema).unwrap_err().to_string();
    let want = "b.jsonl, line 1: column `tokens` holds text, but labels of words need a list of words; name another \
                with --text-column";
    assert_eq!(message, want);
}

#[test]
fn other_files_follow_the_training_file() {
    let (schema, _) = load("a.jsonl", LINES);
    let data = |content: &str| {
        let table = parse_table(Path::new("b.conll"), content.into(), Format::Conll, true).unwrap();
        Dataset::new(table, &schema)
    };
    assert_eq!(data("x O\n").unwrap().labels, tags(&[&[2]]));
    let unlabelled = data("x\ny\n\nz\n").unwrap();
    assert_eq!(unlabelled.labels, Labels::Absent);
    assert_eq!(unlabelled.examples, [words(&["x", "y"]), words(&["z"])]);
    let unknown = data("x B-place\n").unwrap_err().to_string();
    assert!(unknown.contains("unknown labels: `B-place` (1 row)"), "{unknown}");
}

#[test]
fn words_are_a_text_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("a.jsonl");
    std::fs::write(&path, LINES).unwrap();
    let mut texts = Vec::new();
    let files = TextFiles::open(&[path], Options::default()).unwrap();
    files
        .for_each(&mut |rows| {
            texts.extend(
                rows.iter()
                    .flat_map(|row| row.texts().into_iter().map(String::from))
                    .collect::<Vec<_>>(),
            );
            Ok(())
        })
        .unwrap();
    assert_eq!(texts, ["Ada Lovelace wrote", "in 1843"]);
}

#[test]
fn running_text_is_split_at_the_boundaries_of_unicode() {
    let split = |text: &str| -> Vec<String> {
        spans(text).into_iter().map(|span| text[span].to_owned()).collect()
    };
    assert_eq!(split("They're in St. Ives."), ["They're", "in", "St", ".", "Ives", "."]);
    assert_eq!(split("  naïve\t3.14 东京\n"), ["naïve", "3.14", "东", "京"]);
    assert!(split(" \n\u{200b}").is_empty() && split("").is_empty());
    assert_eq!(split("\u{feff}Bob"), ["Bob"]);
}
