//! The safetensors format: files of our own, files of others, and files that lie.

use std::fs;
use std::path::PathBuf;

use half::{bf16, f16};
use tempfile::TempDir;
use tensor::safetensors::{File, write};
use tensor::{DType, Tensor};

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    (dir, path)
}

/// A file with this header and these data bytes, put together by hand.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// The message for a file with these bytes, without its path.
fn refusal(bytes: &[u8]) -> String {
    let (_dir, path) = place();
    fs::write(&path, bytes).unwrap();
    let message = match File::open(&path) {
        Ok(_) => panic!("expected {} bytes to be refused", bytes.len()),
        Err(error) => error.to_string(),
    };
    message.strip_prefix(&format!("{}: ", path.display())).expect("names the file").to_owned()
}

/// As any other file that this user makes: whoever serves the model may be another one.
#[cfg(unix)]
#[test]
fn others_may_read_what_they_may_read_of_other_files() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, path) = place();
    write(&path, &[("x".to_owned(), Tensor::zeros(&[2]))]).unwrap();
    let other = dir.path().join("config.json");
    fs::write(&other, "{}").unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&path), mode(&other));
}

#[test]
fn every_dtype_makes_the_round_trip() {
    let (_dir, path) = place();
    let f32s =
        Tensor::from_vec(vec![1.5f32, -0.0, f32::MIN_POSITIVE, f32::INFINITY], &[2, 2]).unwrap();
    let tensors = [
        ("f32", f32s.clone()),
        ("f64", Tensor::from_vec(vec![0.1f64, -1e300], &[2, 1]).unwrap()),
        ("bf16", Tensor::from_vec([0.1f32, -3e38].map(bf16::from_f32).to_vec(), &[2]).unwrap()),
        ("f16", Tensor::from_vec([0.1f32, -65504.0].map(f16::from_f32).to_vec(), &[1, 2]).unwrap()),
        ("i64", Tensor::from_vec(vec![i64::MIN, i64::MAX], &[2]).unwrap()),
        ("u32", Tensor::from_vec(vec![0u32, u32::MAX], &[2]).unwrap()),
        ("scalar", Tensor::scalar(3.0)),
        ("empty", Tensor::zeros(&[0, 7])),
        ("transposed", f32s.t().unwrap()),
    ];
    let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor));
    write(&path, &tensors).unwrap();

    let mut file = File::open(&path).unwrap();
    assert_eq!(file.metadata()["format"], "pt");
    let mut names = file.names();
    names.sort();
    let mut expected: Vec<String> = tensors.iter().map(|(name, _)| name.clone()).collect();
    expected.sort();
    assert_eq!(names, expected);
    for (name, tensor) in &tensors {
        assert_eq!(file.shape(name), Some(tensor.shape()));
        let got = file.read(name).unwrap();
        assert_eq!((got.dtype(), got.shape()), (tensor.dtype(), tensor.shape()));
        if tensor.dtype() == DType::I64 {
            assert_eq!(got.to_vec::<i64>().unwrap(), tensor.to_vec::<i64>().unwrap());
        }
        let bits = |t: &Tensor| -> Vec<u64> {
            t.to_f64_vec().unwrap().iter().map(|x| x.to_bits()).collect()
        };
        assert_eq!(bits(&got), bits(tensor), "{name}");
    }
    assert_eq!(file.dtype("bf16").as_deref(), Some("BF16"));
    assert_eq!(file.dtype("other"), None);
}

#[test]
fn reads_what_the_format_says() {
    let (_dir, path) = place();
    // The second tensor stands first in the data; the header may be padded with spaces.
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},"b":{"dtype":"U32","shape":[],"data_offsets":[0,4]}}   "#;
    let data = [7u32.to_le_bytes(), 1.5f32.to_le_bytes(), (-2.0f32).to_le_bytes()].concat();
    fs::write(&path, file(header, &data)).unwrap();
    let mut file = File::open(&path).unwrap();
    assert_eq!(file.names(), ["b", "a"]);
    assert!(file.metadata().is_empty());
    assert_eq!(file.read("a").unwrap().to_vec::<f32>().unwrap(), [1.5, -2.0]);
    assert_eq!(file.read("b").unwrap().item().unwrap(), 7.0);
    let missing = file.read("c").unwrap_err().to_string();
    assert_eq!(missing, format!("{}: no tensor c", path.display()));
}

#[test]
fn refuses_what_is_cut_off_or_too_long() {
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let whole = file(header, &[0; 8]);
    let n = whole.len();
    assert_eq!(refusal(&[]), "no safetensors file: 0 bytes");
    assert_eq!(refusal(&whole[..7]), "no safetensors file: 7 bytes");
    assert_eq!(
        refusal(&whole[..20]),
        format!("the header length {} is beyond the file of 20 bytes", header.len())
    );
    assert_eq!(
        refusal(&whole[..n - 1]),
        format!("the file is truncated: {} bytes, expected {n}", n - 1)
    );
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(
        refusal(&longer),
        format!("the file is longer than its header says: {} bytes, expected {n}", n + 1)
    );
}

#[test]
fn refuses_a_header_length_beyond_the_file() {
    for length in [9u64, 1 << 40, u64::MAX] {
        let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
        assert_eq!(
            refusal(&bytes),
            format!("the header length {length} is beyond the file of 10 bytes")
        );
    }
}

#[test]
fn refuses_headers_that_contradict_themselves() {
    let tensor = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#""dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}"#)
    };
    let one = |info: String| format!(r#"{{"a":{{{info}}}}}"#);
    let overlapping = format!(
        r#"{{"a":{{{}}},"b":{{{}}}}}"#,
        tensor("F32", "[2]", "[0,8]"),
        tensor("F32", "[1]", "[4,8]")
    );
    let cases = [
        ("overlapping offsets", overlapping),
        ("a gap before the first", one(tensor("F32", "[1]", "[4,8]"))),
        ("offsets that descend", one(tensor("F32", "[1]", "[8,4]"))),
        ("more bytes than the shape has", one(tensor("F32", "[1]", "[0,8]"))),
        ("a shape beyond usize", one(tensor("F32", "[4294967296,4294967296,4]", "[0,8]"))),
        ("a negative length", one(tensor("F32", "[-2]", "[0,8]"))),
        ("an unknown dtype", one(tensor("F13", "[2]", "[0,8]"))),
        ("no JSON", "hello, world".to_owned()),
        ("a list", "[1, 2]".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, header) in cases {
        let message = refusal(&file(&header, &[0; 8]));
        assert!(message.starts_with("the header is not valid: "), "{what}: {message}");
    }
    let not_text = [&2u64.to_le_bytes()[..], &[0xff, 0xfe]].concat();
    assert!(refusal(&not_text).starts_with("the header is not valid: "));
}

#[test]
fn refuses_dtypes_that_tensors_do_not_have() {
    let (_dir, path) = place();
    let header = r#"{"mask":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}"#;
    fs::write(&path, file(header, &[0, 1])).unwrap();
    // Opening is fine: other tensors of such a file can be read.
    let message = File::open(&path).unwrap().read("mask").unwrap_err().to_string();
    let expected = "tensor mask is BOOL: expected F32, F64, BF16, F16, I64 or U32";
    assert_eq!(message, format!("{}: {expected}", path.display()));
}

#[test]
fn missing_files_and_folders_are_named() {
    let (dir, path) = place();
    let message = File::open(&path).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: ", path.display())), "{message}");
    let nowhere = dir.path().join("no/such/folder/x.safetensors");
    let message = write(&nowhere, &[]).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: ", nowhere.display())), "{message}");
}

#[test]
fn writing_replaces_a_file_as_a_whole() {
    let (dir, path) = place();
    for value in [1.0, 2.0] {
        write(&path, &[("w".to_owned(), Tensor::full(value, &[3]))]).unwrap();
    }
    assert_eq!(File::open(&path).unwrap().read("w").unwrap().to_vec::<f32>().unwrap(), [2.0; 3]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing unfinished is left");
}
