//! The format before torch 1.6: pickles one behind the other, then the storages.
//!
//! ```text
//! pickle    the magic number 0x1950a86a20f9469cfc6c
//! pickle    the version of the format, 1001
//! pickle    a dict: {"little_endian": True, ...}
//! pickle    the state dict
//! pickle    a list: the keys of the storages
//! for each  the number of its elements, 8 bytes; the elements
//! ```
//!
//! Source: `_legacy_load` of <https://github.com/pytorch/pytorch/blob/main/torch/serialization.py>.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use super::LARGEST_PICKLE;
use super::fault::{Fault, Result};
use super::globals::Strided;
use super::machine::{Machine, Value, quoted};
use super::state_dict;

/// The first pickle, whole: protocol 2, a number of ten bytes, end.
pub(super) const MAGIC: &[u8; 15] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

const VERSION: i64 = 1001;

/// Where storages are, by their keys.
type Places = BTreeMap<String, Range<u64>>;

/// The tensors of a file of `len` bytes that begins with [`MAGIC`], and where its storages are.
pub(super) fn read(file: &mut File, len: u64) -> Result<(Vec<(String, Strided)>, Places)> {
    let mut bytes = vec![0; len.saturating_sub(MAGIC.len() as u64).min(LARGEST_PICKLE) as usize];
    file.seek(SeekFrom::Start(MAGIC.len() as u64))?;
    file.read_exact(&mut bytes)?;
    let mut machine = Machine::new(&bytes);
    let version = machine.run()?;
    if version != Value::Int(VERSION) {
        return Fault::unsupported(format!("{} for the version {VERSION}", version.kind()));
    }
    machine.run()?;
    let value = machine.run()?;
    let tensors = state_dict::tensors(&machine, value)?;
    let Value::List(keys) = machine.run()? else {
        return Fault::damaged("no list of storages follows the state dict");
    };
    let start = MAGIC.len() + machine.position();
    let places = places(file, start as u64..len, &machine, keys)?;
    Ok((tensors, places))
}

/// Goes from storage to storage.
fn places(file: &mut File, rest: Range<u64>, machine: &Machine, keys: usize) -> Result<Places> {
    let known: BTreeMap<&str, (u64, u64)> =
        machine.storages.iter().map(|s| (s.key, (s.len, s.element.size()))).collect();
    let mut places = Places::new();
    let mut at = rest.start;
    for key in &machine.heap[keys] {
        let Value::Text(key) = key else {
            return Fault::damaged(format!("a storage has {} for a key", key.kind()));
        };
        let Some(&(expected, size)) = known.get(key) else {
            return Fault::damaged(format!("no tensor has the storage {}", quoted(key)));
        };
        let truncated = || Fault::Damaged("a storage is beyond the file: it is truncated".into());
        if rest.end - at < 8 {
            return Err(truncated());
        }
        let mut len = [0; 8];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut len)?;
        let len = u64::from_le_bytes(len);
        if len != expected {
            let key = quoted(key);
            return Fault::damaged(format!("storage {key} has {len} elements, not {expected}"));
        }
        let bytes = len.checked_mul(size).filter(|n| *n <= rest.end - at - 8);
        let start = at + 8;
        at = start + bytes.ok_or_else(truncated)?;
        places.insert(key.to_string(), start..at);
    }
    Ok(places)
}
