//! Parquet files that pyarrow, polars and `datasets` wrote, and what is no Parquet file.

use std::path::{Path, PathBuf};

use finetune::data::{
    Cell, Dataset, Error, Format, Labels, Options, Schema, Table, Task, parse_table, read_table,
};
use serde_json::json;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/parquet/{name}.parquet"))
}

fn read(name: &str) -> Table {
    read_table(&path(name), &Options::default()).unwrap()
}

fn parse(bytes: Vec<u8>) -> finetune::data::Result<Table> {
    parse_table(Path::new("data.parquet"), bytes, Format::Parquet, true)
}

fn column(table: &Table, name: &str) -> serde_json::Value {
    json!(table.column(name).unwrap().cells)
}

const TEXTS: [&str; 5] = ["a good film", "so bad", "naïve, „東京“\nin two lines", "", "good"];

#[test]
fn cells_are_those_that_were_written() {
    for name in ["none", "snappy", "gzip", "zstd", "groups"] {
        let table = read(name);
        assert_eq!(table.rows(), 5, "{name}");
        assert_eq!(column(&table, "text"), json!(TEXTS), "{name}");
        assert_eq!(column(&table, "label"), json!(["good", "bad", "good", "bad", "good"]));
        // f32: as it was typed, not as it is rounded.
        assert_eq!(column(&table, "score"), json!([0.1, 2.5, null, -3.0, 4.0]), "{name}");
        assert_eq!(column(&table, "stars"), json!([5, 1, 4, 2, null]), "{name}");
        assert_eq!(column(&table, "seen"), json!([true, false, null, true, true]), "{name}");
        assert_eq!(column(&table, "tags"), json!([["x", "y"], [], null, ["z"], ["x"]]), "{name}");
        assert_eq!(column(&table, "raw"), json!(TEXTS), "{name}");
        assert_eq!(table.column("meta").unwrap().cells[3].to_string(), r#"{"id":3,"from":"web"}"#);
        assert!(
            matches!(&table.column("day").unwrap().cells[0], Cell::Text(day) if day.contains("1970"))
        );
    }
    let table = read("polars");
    assert_eq!(column(&table, "text"), json!(TEXTS));
    assert_eq!(table.place(3).to_string(), format!("{}, row 4", path("polars").display()));
}

#[test]
fn numbers_of_classes_become_their_names() {
    let options = |label: &str| Options { label_column: Some(label.into()), ..Options::default() };
    let table = read("class_label");
    assert_eq!(column(&table, "label"), json!(["business", "world", "business", null, "world"]));
    let unlabelled = Schema::infer(&table, &options("label")).unwrap_err().to_string();
    assert!(unlabelled.contains("row 4: no label in column `label`"), "{unlabelled}");

    // In the order of the file, with the class that no row has.
    let table = read("class_label_known");
    let schema = Schema::infer(&table, &options("label")).unwrap();
    let Task::SingleLabel(set) = &schema.task else { panic!("{schema}") };
    assert_eq!(set.names(), ["world", "business", "arts"]);
    let Labels::Class(ids) = Dataset::new(table, &schema).unwrap().labels else { panic!() };
    assert_eq!(ids, [1, 0, 1, 0]);

    // Names that look like scores are names; blanks around them are cut off, as of all labels.
    let table = read("class_label_scores");
    let schema = Schema::infer(&table, &options("label")).unwrap();
    assert_eq!(schema.task.to_string(), "one of 3 classes: 0.5, 1.0, 1.5");
    let Labels::Class(ids) = Dataset::new(table, &schema).unwrap().labels else { panic!() };
    assert_eq!(ids, [1, 0, 1, 0]);

    let table = read("class_label");
    let schema = Schema::infer(&table, &options("labels")).unwrap();
    let Task::MultiLabel(set) = &schema.task else { panic!("{schema}") };
    assert_eq!(set.names(), ["world", "business", "arts"]);
    assert_eq!(table.column("labels").unwrap().cells[0].to_string(), r#"["world","arts"]"#);
}

/// A day in a column that nobody asked for that no calendar has; classes as numbers with a point, with names that look
/// like lists.
#[test]
fn odd_columns_refuse_no_file() {
    let table = read("odd");
    assert_eq!(column(&table, "day")[0], json!(null));
    let schema = Schema::infer(&table, &Options::default()).unwrap();
    assert_eq!(schema.task.to_string(), "one of 2 classes: [1], [2]");
    let Labels::Class(ids) = Dataset::new(table, &schema).unwrap().labels else { panic!() };
    assert_eq!(ids, [1, 0]);
}

#[test]
fn what_is_not_parquet_is_refused() {
    let whole = std::fs::read(path("none")).unwrap();
    for bytes in [&b""[..], b"PAR1", b"text,label\na,b\n", &whole[..whole.len() - 1], &whole[1..]] {
        let message = parse(bytes.to_vec()).unwrap_err().to_string();
        assert!(
            message.starts_with("data.parquet: not a Parquet file that can be read"),
            "{message}"
        );
        assert!(!message.contains('\n'), "{message}");
    }
    assert!(matches!(read_table(&path("no_rows"), &Options::default()), Err(Error::NoRows { .. })));
    let twice = read_table(&path("twice"), &Options::default()).unwrap_err().to_string();
    assert!(twice.contains("two columns are called `label`"), "{twice}");
    let message = read_table(&path("lz4"), &Options::default()).unwrap_err().to_string();
    assert!(message.contains("lz4"), "{message}");
    let text = parse_table(Path::new("a.csv"), whole, Format::Csv, true);
    assert!(matches!(text, Err(Error::NotUtf8 { .. })));
}

/// A footer without rows whose schema is a chain of groups with a column at its end.
fn nested(groups: usize, group: &[u8]) -> Vec<u8> {
    let varint = |mut n: usize| {
        let mut bytes = Vec::new();
        while n > 0x7f {
            bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        [bytes, vec![n as u8]].concat()
    };
    // Field 1, the version; field 2, a list of structs: the root, the groups, the column.
    let mut footer = [vec![0x15, 2, 0x19, 0xfc], varint(groups + 2)].concat();
    footer.extend(b"\x48\x04root\x15\x02\x00");
    footer.extend(group.repeat(groups));
    footer.extend(b"\x15\x02\x25\x00\x18\x01x\x00");
    // Fields 3 and 4, no rows and no groups of rows.
    footer.extend([0x16, 0, 0x19, 0x0c, 0]);
    let length = (footer.len() as u32).to_le_bytes();
    [b"PAR1", &footer[..], &length, b"PAR1"].concat()
}

/// The library builds a schema by recursion.
#[test]
fn deep_schemas_are_refused() {
    // Field 3, required; field 4, the name; field 5, one child.
    let group = b"\x35\x00\x18\x01g\x15\x02\x00";
    for groups in [0, 1, 63] {
        assert!(matches!(parse(nested(groups, group)), Err(Error::NoRows { .. })), "{groups}");
    }
    let refusal = |groups, group: &[u8]| parse(nested(groups, group)).unwrap_err().to_string();
    for groups in [64, 3_000, 1_000_000] {
        let message = refusal(groups, group);
        let want = "data.parquet: not a Parquet file that can be read: its columns nest more than 64 levels deep; ";
        assert!(message.starts_with(want), "{message}");
    }
    // What hides the depth: children that the file calls bytes, too many of them, a logical type that is none.
    for group in [
        &b"\x35\x00\x18\x01g\x18\x02\x00"[..],
        b"\x35\x00\x18\x01g\x15\xfe\xff\xff\xff\x0f\x00",
        b"\x35\x00\x18\x01g\x15\x02\x55\x02\x00",
    ] {
        let message = refusal(3_000, group);
        assert!(message.contains(": its schema is damaged; "), "{message}");
    }
}

/// A damaged file is a table or an error of one line, at every length and with every byte changed in some way. What the
/// library panics over is such an error, too; nothing takes all memory, and nothing hangs.
#[test]
fn damaged_files_are_tables_or_errors() {
    for name in ["snappy", "groups", "class_label"] {
        let whole = std::fs::read(path(name)).unwrap();
        assert!(parse(whole.clone()).is_ok());
        let (mut tables, mut errors) = (0, 0);
        let mut check = |bytes: Vec<u8>| match parse(bytes) {
            Ok(_) => tables += 1,
            Err(error) => {
                assert!(!error.to_string().contains('\n'), "{error}");
                errors += 1;
            }
        };
        for at in 0..whole.len() {
            check(whole[..at].to_vec());
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                check(bytes);
            }
        }
        assert!(tables > 0 && errors > whole.len(), "{name}: {tables} tables, {errors} errors");
    }
}
