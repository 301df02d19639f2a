//! Reading data files: what is understood, and what is refused with which words.

use std::path::PathBuf;

use finetune::data::{
    Cell, Dataset, Error, Format, LabelSet, Labels, Options, ProblemType, Schema, Table, Task,
    read_table,
};
use tempfile::TempDir;

/// A folder of data files that is gone after the test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn table(&self, name: &str, content: &str) -> Table {
        read_table(&self.write(name, content), &Options::default()).unwrap()
    }

    /// The message without the name of the folder.
    fn message(&self, error: Error) -> String {
        let message = error.to_string();
        assert!(!message.contains('\n'), "{message}");
        message.replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// The schema and the examples of one training file.
fn load(name: &str, content: &str, options: &Options) -> (Schema, Dataset) {
    let folder = Folder::new();
    let table = read_table(&folder.write(name, content), options).unwrap();
    let schema = Schema::infer(&table, options).unwrap();
    let data = Dataset::new(table, &schema).unwrap();
    (schema, data)
}

/// The message of a training file that is refused.
fn refused(name: &str, content: impl AsRef<[u8]>, options: &Options) -> String {
    let folder = Folder::new();
    let path = folder.write(name, content);
    let load = || {
        let table = read_table(&path, options)?;
        let schema = Schema::infer(&table, options)?;
        Dataset::new(table, &schema)
    };
    folder.message(load().expect_err("a refused file"))
}

/// The message of a file that is refused with nothing said about it.
fn refusal(name: &str, content: impl AsRef<[u8]>) -> String {
    refused(name, content, &Options::default())
}

fn texts(data: &Dataset) -> Vec<&str> {
    data.examples.iter().map(|example| example.parts()[0].as_str()).collect()
}

fn names(schema: &Schema) -> Vec<&str> {
    let set = schema.task.label_set().expect("classes");
    set.names().iter().map(String::as_str).collect()
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.into()).collect()
}

fn task(problem_type: ProblemType) -> Options {
    Options { problem_type: Some(problem_type), ..Options::default() }
}

// Formats.

#[test]
fn every_format_gives_the_same_examples() {
    let files = [
        ("a.csv", "text,label\n\"one, two\",b\nthree,a\n"),
        ("a.CSV", "\u{feff}text,label\r\n\"one, two\",b\r\n\r\nthree,a"),
        ("a.tsv", "text\tlabel\none, two\tb\n\"three\"\ta\n"),
        (
            "a.jsonl",
            "{\"text\": \"one, two\", \"label\": \"b\"}\n\n{\"label\": \"a\", \"text\": \"three\"}",
        ),
        (
            "a.ndjson",
            "\u{feff}{\"text\":\"one, two\",\"label\":\"b\"}\r\n{\"text\":\"three\",\"label\":\"a\"}\r\n",
        ),
        (
            "a.json",
            "[{\"text\": \"one, two\", \"label\": \"b\"},\n {\"text\": \"three\", \"label\": \"a\"}]",
        ),
        (
            "b.json",
            "{\"data\": [{\"text\": \"one, two\", \"label\": \"b\"}, {\"text\": \"three\", \"label\": \"a\"}]}",
        ),
    ];
    for (name, content) in files {
        let (schema, data) = load(name, content, &Options::default());
        assert_eq!(texts(&data), ["one, two", "three"], "{name}");
        assert_eq!(names(&schema), ["a", "b"], "{name}");
        assert_eq!(data.labels, Labels::Class(vec![1, 0]), "{name}");
    }
}

#[test]
fn format_may_be_named() {
    let options = Options { format: Some(Format::Tsv), ..Options::default() };
    let (_, data) = load("train.txt", "text\tlabel\na\tx\nb\ty\n", &options);
    assert_eq!(texts(&data), ["a", "b"]);
    assert_eq!("NDJSON".parse::<Format>().unwrap(), Format::Jsonl);
    assert_eq!(Format::Jsonl.to_string(), "jsonl");
    let error = "xls".parse::<Format>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown format `xls`; use csv, tsv, jsonl, json, parquet, conll or conllu"
    );
}

#[test]
fn quotes_as_in_python() {
    let quoted =
        "text,label\n\"say \"\"hi\"\",\nthen go\",a\nan \"inner\" quote,b\n\"early\" end,a\n,b\n";
    let (_, data) = load("a.csv", quoted, &Options::default());
    assert_eq!(texts(&data), ["say \"hi\",\nthen go", "an \"inner\" quote", "early end", ""]);
    let literal = Options { literal_quotes: true, ..Options::default() };
    let (_, data) = load("a.tsv", "text\tlabel\n\"open\ta\nshut\"\tb\n", &literal);
    assert_eq!(texts(&data), ["\"open", "shut\""]);
}

#[test]
fn refuses_what_is_no_file() {
    let folder = Folder::new();
    let open = |name: &str| {
        folder.message(read_table(&folder.0.path().join(name), &Options::default()).unwrap_err())
    };
    std::fs::create_dir(folder.0.path().join("dir.csv")).unwrap();
    folder.write("train.xlsx", "x");
    folder.write("train", "x");
    assert_eq!(open("gone.csv"), "gone.csv: no such file; check the path");
    assert_eq!(open("dir.csv"), "dir.csv: is a directory; name a file in it");
    let advice = "no known extension; use .csv, .tsv, .jsonl, .ndjson, .json, .parquet, .conll or .conllu, or name the format with --format";
    assert_eq!(open("train.xlsx"), format!("train.xlsx: {advice}"));
    assert_eq!(open("train"), format!("train: {advice}"));
}

#[test]
fn refuses_what_is_not_utf8() {
    assert_eq!(
        refusal("a.csv", b"text,label\ncaf\xE9,a\n"),
        "a.csv, line 2: not UTF-8 at byte 14; save the file as UTF-8"
    );
    assert_eq!(
        refusal("a.tsv", b"\xFF\xFEt\0e\0"),
        "a.tsv, line 1: not UTF-8 at byte 0 (it looks like UTF-16); save the file as UTF-8"
    );
}

#[test]
fn refuses_files_without_rows() {
    for (name, content) in [("a.csv", ""), ("a.jsonl", "\n \n"), ("a.json", "\u{feff}")] {
        let want = format!("{name}: the file is empty; it needs at least one row");
        assert_eq!(refusal(name, content), want);
    }
    for (name, content) in
        [("a.csv", "text,label\n"), ("a.json", "[]"), ("b.json", "{\"data\": []}")]
    {
        let want = format!("{name}: there are no rows; add some");
        assert_eq!(refusal(name, content), want);
    }
}

#[test]
fn refuses_ragged_rows_at_the_right_line() {
    let ragged = |line, found| {
        format!(
            "a.csv, line {line}: expected 2 fields as in the header, found {found}; quote fields that hold the delimiter"
        )
    };
    assert_eq!(refusal("a.csv", "text,label\na,x\nb,y,z\n"), ragged(3, 3));
    assert_eq!(refusal("a.csv", "text,label\r\n\"a\r\nb\",x\r\n\r\nc\r\n"), ragged(5, 1));
    assert_eq!(refusal("a.csv", "\n\ntext,label\n\na,x\n\nb\n"), ragged(7, 1));
}

#[test]
fn refuses_stray_quotes() {
    let open = "a quoted field begins here and never ends; close it, or pass --literal-quotes if quotes are plain text";
    let content = "text\tlabel\na\tx\n\"b\ty\nc\tz\n";
    assert_eq!(refusal("a.tsv", content), format!("a.tsv, line 3: {open}"));
    assert_eq!(refusal("a.csv", "text,label\n\"a\nb\",\"x"), format!("a.csv, line 3: {open}"));
    let content = "text\tlabel\n\"a\tx\nb\tx\n\"c\td\"\te\n";
    assert_eq!(
        refusal("b.tsv", content),
        "b.tsv, line 2: a quoted field ends in line 4 with text after its closing quote; double the quotes inside it, or pass --literal-quotes if quotes are plain text"
    );
}

#[test]
fn refuses_repeated_columns() {
    assert_eq!(
        refusal("a.csv", "text, label,label\na,b,c\n"),
        "a.csv, line 1: two columns are called `label`; rename one"
    );
}

#[test]
fn refuses_broken_json() {
    let messages = [
        (
            "a.jsonl",
            "{\"text\": \"a\"}\n{\"text\": }",
            "a.jsonl, line 2, column 10: expected value; write one object per line",
        ),
        (
            "b.jsonl",
            "[{\"text\": \"a\"}]",
            "b.jsonl, line 1, column 0: invalid type: sequence, expected an object; a JSON array is read with --format json",
        ),
        (
            "c.jsonl",
            "\"text\"",
            "c.jsonl, line 1, column 6: invalid type: string \"text\", expected an object; write one object per line",
        ),
        (
            "d.jsonl",
            "{\"text\": \"a\", \"text\": \"b\"}",
            "d.jsonl, line 1, column 26: the key `text` stands twice; write one object per line",
        ),
        (
            "e.json",
            "[{\"text\": \"a\"},\n 7]",
            "e.json, line 2, column 2: invalid type: integer `7`, expected an object; write an array of objects",
        ),
        (
            "f.json",
            "{\"text\": \"a\"}\n{\"text\": \"b\"}",
            "f.json, line 1, column 7: unknown field `text`, expected `data`; one object per line is read with --format jsonl; else the only key must be `data`",
        ),
        (
            "g.json",
            "[{\"text\": \"a\"}",
            "g.json, line 1, column 14: EOF while parsing a list; write an array of objects",
        ),
    ];
    for (name, content, want) in messages {
        assert_eq!(refusal(name, content), want);
    }
}

#[test]
fn refuses_a_dictionary_saved_as_rows() {
    let rows: String = (0..1100).map(|i| format!("{{\"word{i}\": 1}}\n")).collect();
    assert_eq!(
        refusal("a.jsonl", rows),
        "a.jsonl, line 1001: more than 1000 different keys; give every object the same keys"
    );
}

/// A row of many keys makes a cell of each in all other rows: without a bound 32 bytes for each of 20 million.
#[test]
fn refuses_a_file_of_missing_cells() {
    let many: Vec<String> = (0..990).map(|i| format!("\"k{i}\": 1")).collect();
    let wide = format!("{{{}}}\n", many.join(", "));
    let narrow = "{\"text\": \"a\", \"label\": 1}\n";
    let want = "of 992 different keys, less than one in 64 is there in the objects so far";
    for rows in [wide.clone() + &narrow.repeat(20_000), narrow.repeat(20_000) + &wide] {
        let message = refusal("a.jsonl", rows);
        assert!(message.contains(want), "{message}");
    }
    // Few cells may be missing, or many of a small file.
    let folder = Folder::new();
    assert_eq!(folder.table("a.jsonl", &(wide + &narrow.repeat(1000))).rows(), 1001);
    let every_tenth = format!("{}{{\"text\": \"a\", \"k\": 1}}\n", narrow.repeat(9));
    assert_eq!(folder.table("b.jsonl", &every_tenth.repeat(2000)).rows(), 20_000);
}

#[test]
fn survives_deep_nesting() {
    let deep = format!("{{\"text\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let want = "a.jsonl, line 1, column 136: recursion limit exceeded; write one object per line";
    assert_eq!(refusal("a.jsonl", deep), want);
}

// Columns.

#[test]
fn columns_are_guessed() {
    let headers: [(&str, &[&str], Option<&str>); 12] = [
        ("text,label", &["text"], Some("label")),
        ("Label,TEXT", &["TEXT"], Some("Label")),
        ("id,sentence,label,label_text", &["sentence"], Some("label")),
        ("content,title,stars", &["content"], Some("stars")),
        ("score,sentence1,sentence2", &["sentence1", "sentence2"], Some("score")),
        ("question,sentence,label", &["question", "sentence"], Some("label")),
        ("label,hypothesis,premise", &["premise", "hypothesis"], Some("label")),
        ("text_a,text_b,class", &["text_a", "text_b"], Some("class")),
        ("question1,question2,is_duplicate", &["question1", "question2"], None),
        ("sentence1,category", &["sentence1"], Some("category")),
        ("text,review,score,label", &["text"], Some("label")),
        (",text,target", &["text"], Some("target")),
    ];
    let folder = Folder::new();
    for (header, text, label) in headers {
        let row = vec!["x"; header.split(',').count()].join(",");
        let table = folder.table("a.csv", &format!("{header}\n{row}\n"));
        let columns = finetune::data::Columns::choose(&table, &Options::default()).unwrap();
        assert_eq!(columns.text, text, "{header}");
        assert_eq!(columns.label.as_deref(), label, "{header}");
    }
}

/// Lists that can't be told apart are in nobody's way where there is a text with its label.
#[test]
fn ambiguous_lists_give_way_to_a_text_and_its_label() {
    let folder = Folder::new();
    let row = r#"{"text": "a b", "label": "x", "tokens": ["a", "b"], "words": ["a", "b"]}"#;
    let table = folder.table("a.jsonl", row);
    let label = Options { label_column: Some("label".into()), ..Options::default() };
    let delimiter = Options { label_delimiter: Some('|'), ..Options::default() };
    for options in [Options::default(), label, task(ProblemType::SingleLabel), delimiter] {
        let columns = finetune::data::Columns::choose(&table, &options).unwrap();
        assert_eq!((columns.text, columns.label), (strings(&["text"]), Some("label".into())));
    }
    // A text alone, or labels of words alone, do not decide.
    for other in [r#""text": "a b""#, r#""ner_tags": ["x", "y"]"#] {
        let row = format!(r#"{{{other}, "tokens": ["a", "b"], "words": ["a", "b"]}}"#);
        let message = refusal("a.jsonl", row);
        assert!(message.contains("`tokens`, `words` could each be the text"), "{message}");
    }
}

#[test]
fn columns_may_be_named() {
    let options = Options {
        text_columns: Some(strings(&["b", "label"])),
        label_column: Some("A".into()),
        ..Options::default()
    };
    let (schema, data) = load("a.csv", "a,b,label,note\nx,1,2,n\ny,3,4,m\n", &options);
    assert_eq!(schema.columns.text, ["b", "label"]);
    assert_eq!(schema.columns.label.as_deref(), Some("a"));
    assert_eq!(data.examples[1].parts()[1], "4");
    assert_eq!(data.other.len(), 1);
    assert_eq!(data.other[0].cells[1], Cell::Text("m".into()));
}

#[test]
fn refuses_columns_that_cannot_be_told() {
    let messages = [
        (
            "a,b\nx,y\n",
            "a.csv: cannot tell the text column among `a`, `b`; name it with --text-column",
        ),
        (
            "text,b\nx,y\n",
            "a.csv: cannot tell the label column among `text`, `b`; name it with --label-column",
        ),
        (
            "review,comment,label\nx,y,z\n",
            "a.csv: `review`, `comment` could each be the text, columns are `review`, `comment`, `label`; choose with --text-column",
        ),
        (
            "text,score,stars\nx,y,z\n",
            "a.csv: `score`, `stars` could each be the label, columns are `text`, `score`, `stars`; choose with --label-column",
        ),
        (
            "Text,text,label\nx,y,z\n",
            "a.csv: `Text`, `text` could each be the text, columns are `Text`, `text`, `label`; choose with --text-column",
        ),
        (
            "sentence1,sentence2,premise,hypothesis\na,b,c,d\n",
            "a.csv: `sentence1+sentence2`, `premise+hypothesis` could each be the text, columns are `sentence1`, `sentence2`, `premise`, `hypothesis`; choose with --text-column",
        ),
        (
            "a,b,c,d,e,f,g,h,i,j,k,l\n1,2,3,4,5,6,7,8,9,10,11,12\n",
            "a.csv: cannot tell the text column among `a`, `b`, `c`, `d`, `e`, `f`, `g`, `h`, `i`, `j` and 2 more; name it with --text-column",
        ),
    ];
    for (content, want) in messages {
        assert_eq!(refusal("a.csv", content), want);
    }
    let want =
        "a.jsonl: cannot tell the text column among no columns at all; name it with --text-column";
    assert_eq!(refusal("a.jsonl", "{}\n{}"), want);
}

#[test]
fn refuses_columns_that_are_named_wrongly() {
    let refused = |text: &[&str], label: &str| {
        let text_columns = Some(strings(text));
        let options =
            Options { text_columns, label_column: Some(label.into()), ..Options::default() };
        refused("a.csv", "text,label\nx,y\n", &options)
    };
    assert_eq!(
        refused(&["body"], "label"),
        "a.csv: no column `body`; --text-column takes one of `text`, `label`"
    );
    assert_eq!(
        refused(&["text"], "y"),
        "a.csv: no column `y`; --label-column takes one of `text`, `label`"
    );
    let twice = "column `text` is named twice; text and label columns must differ";
    assert_eq!(refused(&["text"], "text"), twice);
    assert_eq!(refused(&["text", "text"], "label"), twice);
    let count = "--text-column names 3 columns; name one, or two for pairs";
    assert_eq!(refused(&["a", "b", "c"], "label"), count);
}

#[test]
fn other_files_follow_the_training_file() {
    let folder = Folder::new();
    let train = folder.table("train.csv", "sentence,label\na,x\nb,y\n");
    let schema = Schema::infer(&train, &Options::default()).unwrap();
    let test =
        folder.table("test.jsonl", "{\"Label\": \"y\", \"text\": \"no\", \"sentence\": \"yes\"}");
    let test = Dataset::new(test, &schema).unwrap();
    assert_eq!((texts(&test), &test.labels), (vec!["yes"], &Labels::Class(vec![1])));
    let predict = folder.table("predict.csv", "id,sentence,score\n7,c,0.5\n");
    let predict = Dataset::new(predict, &schema).unwrap();
    assert_eq!(predict.labels, Labels::Absent);
    let other: Vec<&str> = predict.other.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(other, ["id", "score"]);
    let wrong = folder.table("wrong.csv", "text,label\na,x\n");
    assert_eq!(
        folder.message(Dataset::new(wrong, &schema).unwrap_err()),
        "wrong.csv: no column `sentence`; --text-column takes one of `text`, `label`"
    );
}

#[test]
fn two_columns_that_are_one_elsewhere_are_refused() {
    let folder = Folder::new();
    let text_columns = Some(strings(&["A", "a"]));
    let options = Options { text_columns, ..Options::default() };
    let schema = Schema::infer(&folder.table("train.csv", "A,a,label\np,q,x\nr,s,y\n"), &options);
    let other = folder.table("other.csv", "a,label\np,x\n");
    assert_eq!(
        folder.message(Dataset::new(other, &schema.unwrap()).unwrap_err()),
        "column `a` is named twice; text and label columns must differ"
    );
}

// Cells.

#[test]
fn texts_may_be_empty_or_numbers() {
    let content = "{\"text\": \"\", \"label\": 0}\n{\"text\": 1.5, \"label\": 1}\n{\"text\": true, \"label\": 1}";
    let (_, data) = load("a.jsonl", content, &Options::default());
    assert_eq!(texts(&data), ["", "1.5", "true"]);
    let (_, data) = load("a.csv", "text,label\n,0\n  a ,1\n", &Options::default());
    assert_eq!(texts(&data), ["", "  a "]);
}

#[test]
fn refuses_missing_and_structured_cells() {
    let rows = |cells: &str| {
        format!(
            "[{{\"text\": \"a\", \"label\": \"x\"}}, {cells}, {{\"text\": \"b\", \"label\": \"y\"}}]"
        )
    };
    let messages = [
        ("{\"label\": \"x\"}", "no text in column `text`; add it or remove the row"),
        (
            "{\"text\": null, \"label\": \"x\"}",
            "no text in column `text`; add it or remove the row",
        ),
        (
            "{\"text\": [\"a\"], \"label\": \"x\"}",
            "column `text` holds a list, not text, and lists of words are for labels of words; name a column of text with --text-column",
        ),
        (
            "{\"text\": {}, \"label\": \"x\"}",
            "column `text` holds an object, not text; name another with --text-column",
        ),
        ("{\"text\": \"a\"}", "no label in column `label`; add it or remove the row"),
        (
            "{\"text\": \"a\", \"label\": \" \"}",
            "no label in column `label`; add it or remove the row",
        ),
        (
            "{\"text\": \"a\", \"label\": {\"a\": 1}}",
            "column `label` holds an object, not a label; name another with --label-column",
        ),
    ];
    for (cells, want) in messages {
        assert_eq!(refusal("a.json", rows(cells)), format!("a.json, row 2: {want}"));
    }
    let want = "a.csv, line 4: no label in column `label`; add it or remove the row";
    assert_eq!(refusal("a.csv", "text,label\n\"a\nb\",x\nc,\nd,y\n"), want);
}

#[test]
fn other_columns_are_kept_as_they_are() {
    let content = "{\"id\": 7, \"text\": \"a\", \"meta\": {\"k\": [1]}}\n{\"text\": \"b\", \"tags\": [\"x\"]}";
    let folder = Folder::new();
    let table = folder.table("a.jsonl", content);
    let columns = finetune::data::Columns::choose(&table, &Options::default()).unwrap();
    let schema = Schema { columns, task: Task::Regression, label_delimiter: None };
    let data = Dataset::new(table, &schema).unwrap();
    let shown =
        |row: usize| data.other.iter().map(|c| c.cells[row].to_string()).collect::<Vec<_>>();
    assert_eq!(shown(0), ["7", "{\"k\":[1]}", ""]);
    assert_eq!(shown(1), ["", "", "[\"x\"]"]);
    let json: Vec<String> =
        data.other.iter().map(|c| serde_json::to_string(&c.cells[1]).unwrap()).collect();
    assert_eq!(json, ["null", "null", "[\"x\"]"]);
}

// Labels.

#[test]
fn tasks_are_inferred() {
    use ProblemType::{MultiLabel, Regression, SingleLabel};
    let json = [
        ("\"b\", \"a\", \"b\"", SingleLabel),
        ("2, 10, 2", SingleLabel),
        ("1.0, 2.0, 3.0", SingleLabel),
        ("true, false, true", SingleLabel),
        ("4, 3.8, 4.2", Regression),
        ("\"4\", \"3.8\", \"4.2\"", Regression),
        ("\"1\", \"2\", \"none\"", SingleLabel),
        ("[\"a\"], [], [\"a\", \"b\"]", MultiLabel),
    ];
    for (labels, want) in json {
        let labels: Vec<serde_json::Value> = serde_json::from_str(&format!("[{labels}]")).unwrap();
        let row = |label| serde_json::json!({"text": "a", "label": label}).to_string();
        let content = labels.into_iter().map(row).collect::<Vec<_>>().join("\n");
        let (schema, _) = load("a.jsonl", &content, &Options::default());
        assert_eq!(schema.task.problem_type(), Some(want), "{content}");
    }
    let (schema, data) = load("a.csv", "score,text\n4,a\n3.8,b\n5,c\n", &Options::default());
    assert_eq!((schema.task, data.labels), (Task::Regression, Labels::Score(vec![4.0, 3.8, 5.0])));
}

#[test]
fn classes_are_ordered_and_numbered() {
    let (schema, data) = load("a.csv", "text,label\na,10\nb,2\nc,-1\nd,2.0\n", &Options::default());
    assert_eq!(names(&schema), ["-1", "2", "10"]);
    assert_eq!(data.labels, Labels::Class(vec![2, 1, 0, 1]));
    let (schema, _) = load("a.csv", "text,label\na,10\nb,2\nc,x\nd, B \n", &Options::default());
    assert_eq!(names(&schema), ["10", "2", "B", "x"]);
    let set = schema.task.label_set().unwrap();
    assert_eq!(
        serde_json::to_string(&set.id2label()).unwrap(),
        r#"{"0":"10","1":"2","2":"B","3":"x"}"#
    );
    assert_eq!(serde_json::to_string(&set.label2id()).unwrap(), r#"{"10":0,"2":1,"B":2,"x":3}"#);
}

#[test]
fn one_class_is_written_in_several_ways() {
    let folder = Folder::new();
    let train = folder.table("train.csv", "text,label\na,0\nb,1\n");
    let schema = Schema::infer(&train, &Options::default()).unwrap();
    let test = folder.table(
        "test.jsonl",
        "{\"text\": \"a\", \"label\": 1.0}\n{\"text\": \"a\", \"label\": \"1\"}",
    );
    assert_eq!(Dataset::new(test, &schema).unwrap().labels, Labels::Class(vec![1, 1]));
    let saved = LabelSet::from_names(strings(&["LABEL_0", "LABEL_1"])).unwrap();
    assert_eq!([saved.id("1"), saved.id("LABEL_0"), saved.id("2")], [Some(1), Some(0), None]);
    let error = LabelSet::from_names(strings(&["a", "a"])).unwrap_err();
    let want = "a label set needs distinct names, but `a` stands in it twice; correct id2label";
    assert_eq!(error.to_string(), want);
}

#[test]
fn lists_of_labels() {
    let want = Labels::Multi(vec![vec![0, 2], vec![], vec![1]]);
    let json = "{\"text\": \"a\", \"labels\": [\"z\", \"x\"]}\n{\"text\": \"b\", \"labels\": []}\n{\"text\": \"c\", \"labels\": [\"y\"]}";
    let csv = "text,labels\na,\"[\"\"z\"\", \"\"x\"\"]\"\nb,[]\nc,\"[\"\"y\"\"]\"\n";
    for (name, content) in [("a.jsonl", json), ("a.csv", csv)] {
        let (schema, data) = load(name, content, &Options::default());
        assert_eq!(names(&schema), ["x", "y", "z"], "{name}");
        assert_eq!(data.labels, want, "{name}");
    }
    let options = Options { label_delimiter: Some('|'), ..Options::default() };
    let (schema, data) = load("a.csv", "text,labels\na,z | x\nb,\nc,y\n", &options);
    assert_eq!((names(&schema), data.labels), (vec!["x", "y", "z"], want));
    let (schema, data) = load("a.csv", "text,label\na,10\nb,9\n", &task(ProblemType::MultiLabel));
    assert_eq!(
        (names(&schema), data.labels),
        (vec!["9", "10"], Labels::Multi(vec![vec![1], vec![0]]))
    );
    let (schema, _) = load("a.csv", "text,label\na,[UNK]\nb,[PAD]\n", &Options::default());
    assert_eq!(names(&schema), ["[PAD]", "[UNK]"]);
}

#[test]
fn refuses_malformed_lists() {
    let list =
        |label: &str| refusal("a.csv", format!("text,label\na,\"[\"\"x\"\"]\"\nb,\"{label}\"\n"));
    let not_list = "a.csv, line 3: `['x', 'y']` is not a list as JSON writes it, [\"a\", \"b\"]; from pandas, write JSON or Parquet, which keep lists";
    assert_eq!(list("['x', 'y']"), not_list);
    let twice =
        "a.csv, line 3: label `0` stands twice in one list; list each label that holds once";
    assert_eq!(list("[0, 1, 0]"), twice);
    assert_eq!(list(""), "a.csv, line 3: no label in column `label`; add it or remove the row");
    let nested =
        "a.csv, line 3: column `label` holds a list, not a label; name another with --label-column";
    assert_eq!(list("[[1]]"), nested);
    let want = "a.jsonl: every list of labels is empty; training needs at least one label";
    assert_eq!(refusal("a.jsonl", "{\"text\": \"a\", \"label\": []}"), want);
}

#[test]
fn the_task_may_be_named() {
    let content = "text,label\na,1\nb,2\nc,2\n";
    let (_, data) = load("a.csv", content, &task(ProblemType::Regression));
    assert_eq!(data.labels, Labels::Score(vec![1.0, 2.0, 2.0]));
    let (schema, _) = load("a.csv", "text,label\na,1.5\nb,2\n", &task(ProblemType::SingleLabel));
    assert_eq!(names(&schema), ["1.5", "2"]);
    for name in ["single_label_classification", "multi_label_classification", "regression"] {
        let problem: ProblemType = name.parse().unwrap();
        assert_eq!(problem.to_string(), name);
        assert_eq!(serde_json::to_value(problem).unwrap(), name);
    }
    let error = "ner".parse::<ProblemType>().unwrap_err();
    let want = "problem_type: expected one of single_label_classification, multi_label_classification, regression, found ner";
    assert_eq!(error, want);
}

#[test]
fn refuses_scores_that_are_no_numbers() {
    let message = |label| {
        format!(
            "a.csv, line 3: label `{label}` is not a finite number; correct it, or pass --problem-type single_label_classification if these are classes"
        )
    };
    for label in ["n/a", "nan", "inf", "1e999", "1e39"] {
        let content = format!("text,label\na,1.5\nb,{label}\n");
        assert_eq!(refusal("a.csv", content), message(label));
    }
    let content = "text,label\na,1\nb,x\n";
    assert_eq!(refused("a.csv", content, &task(ProblemType::Regression)), message("x"));
}

#[test]
fn many_integers_need_a_word() {
    let rows = |n: usize| (0..n).map(|i| format!("a,{i}\n")).collect::<String>();
    let (schema, _) = load("a.csv", &format!("text,label\n{}", rows(200)), &Options::default());
    assert_eq!(names(&schema).len(), 200);
    assert_eq!(
        refusal("a.csv", format!("text,label\n{}", rows(201))),
        "a.csv: column `label` has 201 different integers, more than 200; pass --problem-type single_label_classification or regression"
    );
}

/// As many as a saved model may have, and one more.
#[test]
fn more_labels_than_a_model_may_have_are_refused() {
    let rows = |n: usize| {
        let rows = (0..n).map(|i| format!("a,row-{i}\n")).collect::<String>();
        format!("text,label\n{rows}")
    };
    let (schema, _) = load("a.csv", &rows(65_536), &Options::default());
    assert_eq!(names(&schema).len(), 65_536);
    let want = "a.csv: column `label` has 65537 different labels, and a model may have 65536; if it identifies rows, \
                name another with --label-column";
    assert_eq!(refusal("a.csv", rows(65_537)), want);
    let multi = rows(65_537).replace(',', "\t");
    let options = Options { label_delimiter: Some('|'), ..Options::default() };
    assert_eq!(refused("a.tsv", multi, &options), want.replace(".csv", ".tsv"));
    let tags: Vec<String> = (0..65_537).map(|i| format!("a\trow-{i}\n\n")).collect();
    let message = refusal("a.conll", tags.concat());
    assert!(message.contains("has 65537 different labels"), "{message}");
}

#[test]
fn codes_keep_their_spelling() {
    let names = |labels: &str| {
        let rows = labels.split(' ').map(|label| format!("t,{label}\n")).collect::<String>();
        let (schema, data) = load("a.csv", &format!("text,label\n{rows}"), &Options::default());
        (schema.task.label_set().unwrap().names().join(" "), data)
    };
    assert_eq!(names("10 9 9.0 -1").0, "-1 9 10");
    assert_eq!(names("007 7 10").0, "007 10 7");
    assert_eq!(names("1e3 7 10").0, "10 1e3 7");
    let (_, data) = names("007 7 10");
    assert_eq!(data.labels, Labels::Class(vec![0, 2, 1]));
}

#[test]
fn labels_that_are_no_numbers_among_numbers_are_said() {
    let odd = |labels: &str| {
        let rows = labels.split(' ').map(|label| format!("t,{label}\n")).collect::<String>();
        let (schema, data) = load("a.csv", &format!("text,label\n{rows}"), &Options::default());
        (schema.to_string(), data.odd_labels(schema.task.label_set()))
    };
    let (said, odd_ones) = odd("0 1 0 nan 1 N/A 1");
    assert_eq!(said, "one of 4 classes: 0, 1, N/A, nan; text column `text`, label column `label`");
    let odd_ones = odd_ones.unwrap();
    assert!(odd_ones.contains("but not `N/A` (1 row), `nan` (1 row)"), "{odd_ones}");
    assert_eq!(odd("0 1 0 1").1, None);
    assert_eq!(odd("a b 4 b").1, None);
    let many = (0..12).map(|i| format!("c{i}")).collect::<Vec<_>>().join(" ");
    assert!(
        odd(&many)
            .0
            .starts_with("one of 12 classes: c0, c1, c10, c11, c2, c3, c4, c5, c6, c7 and 2 more;")
    );
}

#[test]
fn refuses_one_class() {
    let want = "a.csv: every label is `x`; training needs at least two classes";
    assert_eq!(refusal("a.csv", "text,label\na,x\nb,x\n"), want);
}

#[test]
fn refuses_labels_that_training_lacks() {
    let folder = Folder::new();
    let unknown = |train: &str, test: &str| {
        let schema = Schema::infer(&folder.table("train.csv", train), &Options::default()).unwrap();
        folder.message(Dataset::new(folder.table("test.csv", test), &schema).unwrap_err())
    };
    assert_eq!(
        unknown("text,label\na,x\nb,y\n", "text,label\na,z\nb,x\nc,z\nd,w\n"),
        "test.csv: unknown labels: `w` (1 row), `z` (2 rows); known are `x`, `y`; correct them, or train on data that has them"
    );
    assert_eq!(
        unknown("text,label\na,1\nb,2\n", "text,label\na,1.5\n"),
        "test.csv: unknown labels: `1.5` (1 row); known are `1`, `2`; correct them, or train on data that has them (if these are scores, train with --problem-type regression)"
    );
}

#[test]
fn the_case_of_a_label_matters_where_it_tells_classes_apart() {
    let set = |names: &[&str]| finetune::data::LabelSet::from_names(strings(names)).unwrap();
    let names = set(&["good", "Poor"]);
    assert_eq!(
        ["GOOD", "poor", "Poor", "fair"].map(|l| names.id(l)),
        [Some(0), Some(1), Some(1), None]
    );
    let both = set(&["us", "US"]);
    assert_eq!(["us", "US", "Us"].map(|l| both.id(l)), [Some(0), Some(1), None]);
}

// Rows.

#[test]
fn rows_are_cut_and_divided() {
    let content = "id,text,label\n0,a,x\n1,b,y\n2,c,x\n3,d,y\n4,e,y\n";
    let (_, mut data) = load("a.csv", content, &Options::default());
    data.truncate(4);
    assert_eq!((data.len(), data.other[0].cells.len()), (4, 4));
    let (rest, moved) = data.divide(&[1, 2]);
    assert_eq!((texts(&rest), &rest.labels), (vec!["a", "d"], &Labels::Class(vec![0, 1])));
    assert_eq!((texts(&moved), &moved.labels), (vec!["b", "c"], &Labels::Class(vec![1, 0])));
    assert_eq!(moved.other[0].cells, [Cell::Text("1".into()), Cell::Text("2".into())]);
    assert_eq!(moved.path, rest.path);
}
