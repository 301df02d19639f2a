//! The zip file around a pickle: which bytes of the file belong to which name.
//!
//! ```text
//! for each entry      local header, name, padding to 64 bytes, the data
//! central directory   for each entry name, size, where its local header is
//! [zip64 record, and a locator of it]
//! end record          where the central directory is
//! ```
//!
//! A zip file is read from its end. torch stores entries as they are, so a storage is a run of bytes of the file;
//! compressed ones are refused. It writes the zip64 record, with numbers of 64 bits, into every file. Checksums are not
//! looked at: torch can be told not to make them.
//!
//! Of the format this is all that is needed; a library would bring codecs, ciphers and dates along.
//!
//! Source: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>, sections 4.3 and 4.5.3;
//! <https://github.com/pytorch/pytorch/blob/main/caffe2/serialize/inline_container.h>.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use super::LARGEST_PICKLE;
use super::fault::{Fault, Result};
use super::machine::quoted;

/// Bytes of the end record without its comment, and of the longest comment.
const END: u64 = 22;
const LONGEST_COMMENT: u64 = 0xffff;
/// Bytes of the locator of a zip64 record, and of that record.
const LOCATOR: u64 = 20;
const END_64: u64 = 56;
/// Bytes of an entry of the central directory, and of a local header, without names.
const ENTRY: usize = 46;
const LOCAL: u64 = 30;
/// Where there are 64 bits elsewhere.
const IN_ZIP64: u64 = 0xffff_ffff;

/// A stored file: where its local header is, and where its data.
struct Entry {
    header: u64,
    data: Range<u64>,
}

/// What an archive of `torch.save` holds.
pub(super) struct Archive {
    /// `data.pkl`.
    pub pickle: Vec<u8>,
    /// Where the storages are, by their keys.
    pub storages: BTreeMap<String, Range<u64>>,
}

impl Archive {
    /// Reads the directory of a file of `len` bytes, and its pickle.
    pub fn read(file: &mut File, len: u64) -> Result<Self> {
        let entries = entries(file, len)?;
        let roots: Vec<&str> = entries.keys().filter_map(|name| root(name)).collect();
        let [root] = roots[..] else {
            return Fault::unsupported(format!("a zip file with {} pickles, not 1", roots.len()));
        };
        let find = |name: &str| entries.get(&format!("{root}/{name}")).map(|e| e.data.clone());
        if let Some(order) = find("byteorder") {
            let order = read(file, order, 8)?;
            if order != b"little" {
                let order = quoted(&String::from_utf8_lossy(&order));
                return Fault::unsupported(format!("numbers of byte order `{order}`"));
            }
        }
        let pickle = find("data.pkl").unwrap_or_default();
        let pickle = read(file, pickle, LARGEST_PICKLE)?;
        let prefix = format!("{root}/data/");
        let storage = |(name, entry): (&String, &Entry)| {
            Some((name.strip_prefix(&prefix)?.to_owned(), entry.data.clone()))
        };
        let storages = entries.iter().filter_map(storage).collect();
        Ok(Self { pickle, storages })
    }
}

/// The folder in the archive that holds the pickle of that name.
fn root(name: &str) -> Option<&str> {
    name.strip_suffix("/data.pkl").filter(|root| !root.contains('/'))
}

/// Every entry by its name; no two have a byte in common.
fn entries(file: &mut File, len: u64) -> Result<BTreeMap<String, Entry>> {
    let directory = directory(file, len)?;
    let limit = directory.start;
    let bytes = read(file, directory, LARGEST_PICKLE)?;
    let mut rest = bytes.as_slice();
    let mut entries = BTreeMap::new();
    while !rest.is_empty() {
        let (name, header, size) = entry(&mut rest)?;
        let data = locate(file, header, size, limit)?;
        if entries.insert(name.clone(), Entry { header, data }).is_some() {
            return Fault::damaged(format!(
                "two entries of the zip file are called {}",
                quoted(&name)
            ));
        }
    }
    let mut places: Vec<&Entry> = entries.values().collect();
    places.sort_unstable_by_key(|entry| entry.header);
    match places.windows(2).all(|pair| pair[0].data.end <= pair[1].header) {
        true => Ok(entries),
        false => Fault::damaged("entries of the zip file overlap"),
    }
}

/// Where the central directory is.
fn directory(file: &mut File, len: u64) -> Result<Range<u64>> {
    let start = len.saturating_sub(END + LONGEST_COMMENT);
    let tail = read(file, start..len, END + LONGEST_COMMENT)?;
    let ends_with_comment = |at: &usize| {
        let record = &tail[*at..];
        record.starts_with(b"PK\x05\x06") && record.len() as u64 == END + number(record, 20, 2)
    };
    let last = tail.len().checked_sub(END as usize);
    let Some(at) = last.and_then(|last| (0..=last).rev().find(ends_with_comment)) else {
        return Fault::damaged("the zip file has no end: it is truncated");
    };
    let end = start + at as u64;
    let (mut size, mut from, mut limit) =
        (number(&tail, at + 12, 4), number(&tail, at + 16, 4), end);
    let locator = at.checked_sub(LOCATOR as usize).map(|at| &tail[at..]);
    if let Some(locator) = locator.filter(|bytes| bytes.starts_with(b"PK\x06\x07")) {
        limit = number(locator, 8, 8);
        let record = within(limit, END_64, end).map_or(Ok(vec![]), |at| read(file, at, END_64))?;
        if !record.starts_with(b"PK\x06\x06") {
            return Fault::damaged("the zip64 record is not where the zip file says");
        }
        (size, from) = (number(&record, 40, 8), number(&record, 48, 8));
    }
    match within(from, size, limit) {
        Some(directory) => Ok(directory),
        None => Fault::damaged("the directory of the zip file is not inside it"),
    }
}

/// Takes an entry of the central directory: its name, where its local header is, and its size.
fn entry(rest: &mut &[u8]) -> Result<(String, u64, u64)> {
    let damaged = || Fault::Damaged("the directory of the zip file is not valid".into());
    let fixed = rest.get(..ENTRY).filter(|e| e.starts_with(b"PK\x01\x02")).ok_or_else(damaged)?;
    let [name, extra, comment] = [28, 30, 32].map(|at| number(fixed, at, 2) as usize);
    let whole = rest.get(..ENTRY + name + extra + comment).ok_or_else(damaged)?;
    *rest = &rest[whole.len()..];
    let (name, extra) = whole[ENTRY..ENTRY + name + extra].split_at(name);
    let name = std::str::from_utf8(name).map_err(|_| damaged())?.to_owned();
    if name.contains("/code/") {
        return Fault::unsupported("a program of TorchScript");
    }
    if number(fixed, 8, 2) & 1 == 1 {
        return Fault::unsupported(format!("the encrypted entry {}", quoted(&name)));
    }
    let method = number(fixed, 10, 2);
    // In the order of the extra field, where those stand that are too large.
    let mut sizes = [24, 20, 42].map(|at| number(fixed, at, 4));
    widen(extra, &mut sizes).ok_or_else(damaged)?;
    let [size, stored, header] = sizes;
    if method != 0 || size != stored {
        let name = quoted(&name);
        return Fault::unsupported(format!("the entry {name}, compressed by method {method}"));
    }
    Ok((name, header, size))
}

/// Puts the numbers of the zip64 extra field in place of those that don't fit 32 bits.
fn widen(mut extra: &[u8], sizes: &mut [u64; 3]) -> Option<()> {
    let mut wide: &[u8] = &[];
    while extra.len() >= 4 {
        let (id, len) = (number(extra, 0, 2), number(extra, 2, 2) as usize);
        let field = extra[4..].get(..len)?;
        if id == 1 {
            wide = field;
        }
        extra = &extra[4 + len..];
    }
    for size in sizes.iter_mut().filter(|size| **size == IN_ZIP64) {
        *size = number(wide.get(..8)?, 0, 8);
        wide = &wide[8..];
    }
    Some(())
}

/// Where the data of an entry is: behind its local header, which has padding of its own.
fn locate(file: &mut File, header: u64, size: u64, limit: u64) -> Result<Range<u64>> {
    let local = within(header, LOCAL, limit).map_or(Ok(vec![]), |at| read(file, at, LOCAL))?;
    if !local.starts_with(b"PK\x03\x04") {
        return Fault::damaged("an entry of the zip file is not where its directory says");
    }
    let names = number(&local, 26, 2) + number(&local, 28, 2);
    match within(header + LOCAL + names, size, limit) {
        Some(data) => Ok(data),
        None => Fault::damaged("an entry of the zip file is beyond its end: it is truncated"),
    }
}

/// The range of `size` bytes from `from`, if it ends at `limit` or before.
fn within(from: u64, size: u64, limit: u64) -> Option<Range<u64>> {
    let end = from.checked_add(size)?;
    (end <= limit).then_some(from..end)
}

/// The bytes of a range of the file, if they are no more than `largest`.
fn read(file: &mut File, range: Range<u64>, largest: u64) -> Result<Vec<u8>> {
    let len = range.end - range.start;
    if len > largest {
        return Fault::unsupported(format!("{len} bytes where at most {largest} are expected"));
    }
    let mut bytes = vec![0; len as usize];
    file.seek(SeekFrom::Start(range.start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The little-endian number of `n` bytes at a place that is there.
fn number(bytes: &[u8], at: usize, n: usize) -> u64 {
    bytes[at..at + n].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
