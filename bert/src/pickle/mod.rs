//! Weights as `torch.save` writes them: `pytorch_model.bin`.
//!
//! A file holds a pickle, which says how to build a dict of tensors, and storages, the elements of these tensors. Since
//! torch 1.6 both lie in a zip file ([`archive`]), before they followed each other ([`stream`]). A pickle is a program
//! for a small [`machine`]. Python's would call any function that a file names, which is why a file from elsewhere can
//! do anything there; the one in here knows the few names of a state dict ([`globals`]) and calls none.
//!
//! ```text
//! file -> archive | stream -> machine -> state_dict -> name: dtype, shape, strides, bytes of the file
//! ```
//!
//! Everything is checked against the length of the file when it is opened. Elements are read when a tensor is asked
//! for, those from its first to its last: a [`File`] has the interface of [`tensor::safetensors::File`].
//!
//! Source: <https://docs.pytorch.org/docs/stable/notes/serialization.html>.

mod archive;
mod fault;
mod globals;
mod machine;
mod state_dict;
mod stream;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use tensor::{DType, Tensor};

use crate::{Error, Result};
use archive::Archive;
use fault::Fault;
use globals::Strided;
use machine::Machine;
pub(crate) use machine::quoted;

/// Bytes of a pickle, and of a directory of a zip file: those of a model are a few hundred for each tensor.
const LARGEST_PICKLE: u64 = 1 << 24;

/// An open file of `torch.save`.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    file: fs::File,
    tensors: BTreeMap<String, Place>,
}

/// A tensor, and which byte of the file its first element begins with.
#[derive(Debug)]
struct Place {
    tensor: Strided,
    start: u64,
}

impl File {
    /// Opens a file, reads its pickle and checks where its tensors are.
    pub fn open(path: &Path) -> Result<Self> {
        // Before it is opened: to open a named pipe that nobody writes to waits for ever.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(Error::checkpoint(path, "it is not a regular file"));
        }
        let mut file = fs::File::open(path).map_err(|e| Error::read(path, e))?;
        let tensors = tensors(&mut file).map_err(|fault| fault.of(path))?;
        Ok(Self { path: path.to_owned(), file, tensors })
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    /// The shape of a tensor, if the file has it.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|place| place.tensor.shape.as_slice())
    }

    /// The dtype of a tensor as safetensors spells it, if the file has it.
    pub fn dtype(&self, name: &str) -> Option<String> {
        self.tensors.get(name).map(|place| place.tensor.element.name().to_owned())
    }

    /// Reads one tensor, of F32, F16 or BF16, as f32.
    pub fn read(&mut self, name: &str) -> Result<Tensor> {
        let refused = |message: &str| {
            Error::checkpoint(&self.path, format!("tensor {}: {message}", quoted(name)))
        };
        let place = self.tensors.get(name).ok_or_else(|| refused("not there"))?;
        let tensor = &place.tensor;
        let dtype = tensor.element.dtype();
        let dtype = dtype.ok_or_else(|| refused("expected F32, F16 or BF16"))?;
        // The file bounds how many elements there are, but not how often a tensor repeats them.
        if tensor.count() as u64 > tensor.extent {
            return Err(refused("its elements overlap; call .contiguous() before it is saved"));
        }
        let mut read = || {
            self.file.seek(SeekFrom::Start(place.start))?;
            Tensor::read_from(&mut self.file, dtype, &[tensor.extent as usize])
        };
        let elements = read().map_err(|e| Error::read(&self.path, e))?.to_dtype(DType::F32)?;
        Ok(match tensor.is_contiguous() {
            true => elements.reshape(&tensor.shape)?,
            false => Tensor::from_vec(gather(elements.as_slice()?, tensor), &tensor.shape)?,
        })
    }
}

/// The tensors of a file, each inside it.
fn tensors(file: &mut fs::File) -> fault::Result<BTreeMap<String, Place>> {
    let len = file.metadata()?.len();
    let mut start = Vec::new();
    file.take(stream::MAGIC.len() as u64).read_to_end(&mut start)?;
    let (tensors, storages) = if start.starts_with(b"PK\x03\x04") {
        let Archive { pickle, storages } = Archive::read(file, len)?;
        let mut machine = Machine::new(&pickle);
        let value = machine.run()?;
        (state_dict::tensors(&machine, value)?, storages)
    } else if start == stream::MAGIC {
        stream::read(file, len)?
    } else {
        return Fault::damaged("not a file of torch.save: it begins as none; fetch it again");
    };
    tensors.into_iter().map(|(name, tensor)| place(name, tensor, &storages)).collect()
}

/// Finds a tensor in the file.
fn place(
    name: String,
    tensor: Strided,
    storages: &BTreeMap<String, Range<u64>>,
) -> fault::Result<(String, Place)> {
    let key = quoted(&tensor.key);
    let Some(bytes) = storages.get(&tensor.key) else {
        return Fault::damaged(format!("the storage {key} of tensor {} is missing", quoted(&name)));
    };
    let size = tensor.element.size();
    if tensor.storage_len.checked_mul(size) != Some(bytes.end - bytes.start) {
        let (len, n) = (tensor.storage_len, bytes.end - bytes.start);
        let dtype = tensor.element.name();
        return Fault::damaged(format!("storage {key}: {n} bytes for {len} elements of {dtype}"));
    }
    // The offset is inside the storage, and the storage inside the file.
    let start = bytes.start + tensor.offset * size;
    Ok((name, Place { tensor, start }))
}

/// The elements of a tensor in its order, from those of its storage.
fn gather(elements: &[f32], tensor: &Strided) -> Vec<f32> {
    let mut values = Vec::with_capacity(tensor.count());
    let axes: Vec<(usize, usize)> =
        tensor.shape.iter().copied().zip(tensor.strides.iter().copied()).collect();
    let Some((&(columns, stride), outer)) = axes.split_last() else { return elements.to_vec() };
    for row in 0..outer.iter().map(|(n, _)| n).product() {
        let place = |(rest, at): (usize, usize), (n, stride): &(usize, usize)| {
            (rest / n, at + rest % n * stride)
        };
        let (_, start) = outer.iter().rev().fold((row, 0), place);
        values.extend((0..columns).map(|column| elements[start + column * stride]));
    }
    values
}

#[cfg(test)]
mod tests;
