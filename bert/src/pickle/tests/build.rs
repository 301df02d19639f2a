//! Pickles and zip files by hand.

use std::fs;

use tempfile::TempDir;

use super::*;

/// A stored file, with what its headers say of it.
#[derive(Clone)]
pub struct Entry {
    pub name: String,
    pub data: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub size: u64,
    pub stored: u64,
    /// Where its local header is; in its place if absent.
    pub header: Option<u64>,
}

impl Entry {
    pub fn new(name: &str, data: &[u8]) -> Self {
        let (name, data, len) = (name.to_owned(), data.to_vec(), data.len() as u64);
        Self { name, data, method: 0, flags: 0, size: len, stored: len, header: None }
    }
}

/// A zip file; with `wide` all numbers of its directory are in zip64 fields.
pub fn zip(entries: &[Entry], wide: bool) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for e in entries {
        let header = e.header.unwrap_or(bytes.len() as u64);
        bytes.extend(b"PK\x03\x04");
        bytes.extend([0; 22]);
        bytes.extend((e.name.len() as u16).to_le_bytes());
        bytes.extend(5u16.to_le_bytes());
        bytes.extend(e.name.as_bytes());
        bytes.extend(b"FB\x01\x00Z"); // an extra field, as torch's padding
        bytes.extend(&e.data);
        let narrow = |n: u64| if wide { [0xff; 4] } else { (n as u32).to_le_bytes() };
        directory.extend(b"PK\x01\x02\0\0\0\0");
        directory.extend([e.flags, e.method].map(u16::to_le_bytes).concat());
        directory.extend([0; 8]);
        directory.extend([narrow(e.stored), narrow(e.size)].concat());
        directory.extend((e.name.len() as u16).to_le_bytes());
        directory.extend([if wide { 28u16 } else { 0 }, 0].map(u16::to_le_bytes).concat());
        directory.extend([0; 8]);
        directory.extend(narrow(header));
        directory.extend(e.name.as_bytes());
        if wide {
            directory.extend([1u16, 24].map(u16::to_le_bytes).concat());
            directory.extend([e.size, e.stored, header].map(u64::to_le_bytes).concat());
        }
    }
    let ends = [directory.len(), bytes.len()].map(|n| n as u64);
    bytes.extend(directory);
    bytes.extend(end(ends, bytes.len() as u64, wide));
    bytes
}

/// The end of a zip file: size and place of the directory, and where this end is.
pub fn end([size, from]: [u64; 2], at: u64, wide: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    if wide {
        bytes.extend(b"PK\x06\x06");
        bytes.extend([0; 36]);
        bytes.extend([size, from].map(u64::to_le_bytes).concat());
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend([at.to_le_bytes().as_slice(), &[1, 0, 0, 0]].concat());
    }
    bytes.extend(b"PK\x05\x06\0\0\0\0\0\0\0\0");
    let narrow = |n: u64| if wide { [0xff; 4] } else { (n as u32).to_le_bytes() };
    bytes.extend([narrow(size), narrow(from)].concat());
    bytes.extend([0, 0]);
    bytes
}

/// A file of torch with this pickle and 4 elements under key 0.
pub fn archive(pickle: &[u8]) -> Vec<u8> {
    zip(&[Entry::new("m/data.pkl", pickle), Entry::new("m/data/0", &[0; 16])], false)
}

pub fn text(text: &str) -> Vec<u8> {
    [b"X", (text.len() as u32).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

pub fn number(n: i64) -> Vec<u8> {
    [b"\x8a\x08", n.to_le_bytes().as_slice()].concat()
}

fn tuple(numbers: &[i64]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|&n| number(n)).collect();
    [b"(", numbers.as_slice(), b"t"].concat()
}

/// What builds a tensor of storage `key` of `len` elements.
pub fn tensor(key: &str, len: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        [text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text(key), text("cpu")].concat(),
        [number(len), b"tQ".to_vec(), number(offset)].concat(),
        [tuple(shape), tuple(strides), b"\x89}tR".to_vec()].concat(),
    ]
    .concat()
}

/// A pickle of a dict with one entry.
pub fn dict(name: &str, value: &[u8]) -> Vec<u8> {
    [b"\x80\x02}", text(name).as_slice(), value, b"s."].concat()
}

/// Opens a file of these bytes.
pub fn open(bytes: &[u8]) -> (TempDir, Result<File>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pytorch_model.bin");
    fs::write(&path, bytes).unwrap();
    let file = File::open(&path);
    (dir, file)
}

/// Asserts that a file is refused, in one line with its name and this.
pub fn refused(bytes: &[u8], part: &str) {
    let message = open(bytes).1.expect_err(part).to_string();
    assert!(message.contains("pytorch_model.bin") && message.contains(part), "{message:?}: {part}");
    assert!(!message.contains('\n'), "{message}");
}
