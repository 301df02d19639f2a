//! The files that hold the weights of a model: one, or shards with an index, of safetensors or of
//! [`torch.save`](crate::pickle).
//!
//! ```text
//! model.safetensors        or  model.safetensors.index.json and what it names
//! pytorch_model.bin        or  pytorch_model.bin.index.json and what it names
//! ```
//!
//! The first that is there is taken. Both kinds of files look alike from above: names, shapes and dtypes at once, a
//! tensor when it is asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tensor::{DType, Tensor, safetensors};

use crate::files::{self, is_there};
use crate::pickle::{self, quoted};
use crate::{Error, Result};

/// The weights in one file, as they are saved.
pub(crate) const WEIGHTS: &str = "model.safetensors";

/// How the names of the files end.
const SAFETENSORS: &str = ".safetensors";
const PICKLE: &str = ".bin";

/// By kind: the weights in one file, the list of the files where there are several, and how these end.
const KINDS: [[&str; 3]; 2] = [
    [WEIGHTS, "model.safetensors.index.json", SAFETENSORS],
    ["pytorch_model.bin", "pytorch_model.bin.index.json", PICKLE],
];

/// The names in [`KINDS`], for a message.
const LOOKED_FOR: &str = "model.safetensors, model.safetensors.index.json, pytorch_model.bin, \
                          pytorch_model.bin.index.json";

/// Bytes of the name of a tensor; those of models have less than a hundred.
const LONGEST_NAME: usize = 1000;

/// An open file of weights.
#[derive(Debug)]
pub(crate) struct WeightFile {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Safetensors(safetensors::File),
    Pickle(pickle::File),
}

impl WeightFile {
    /// Opens a file of the kind that its name says.
    pub fn open(path: &Path) -> Result<Self> {
        let is_pickle = path.to_str().is_some_and(|name| name.ends_with(PICKLE));
        let kind = match is_pickle {
            true => Kind::Pickle(pickle::File::open(path)?),
            false => Kind::Safetensors(safetensors::File::open(path)?),
        };
        let file = Self { path: path.to_owned(), kind };
        // They go to terminals, in tables and messages.
        for name in file.names() {
            let what = match name.contains(char::is_control) {
                true => "control characters".to_owned(),
                false if name.len() > LONGEST_NAME => format!("more than {LONGEST_NAME} bytes"),
                false => continue,
            };
            let message = format!("the name of a tensor has {what}: {}", quoted(&name));
            return Err(Error::checkpoint(path, message));
        }
        Ok(file)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of its tensors.
    pub fn names(&self) -> Vec<String> {
        match &self.kind {
            Kind::Safetensors(file) => file.names(),
            Kind::Pickle(file) => file.names(),
        }
    }

    /// The shape of a tensor, if the file has it.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        match &self.kind {
            Kind::Safetensors(file) => file.shape(name),
            Kind::Pickle(file) => file.shape(name),
        }
    }

    /// The dtype of a tensor as safetensors spells it, if the file has it.
    pub fn dtype(&self, name: &str) -> Option<String> {
        match &self.kind {
            Kind::Safetensors(file) => file.dtype(name),
            Kind::Pickle(file) => file.dtype(name),
        }
    }

    /// Reads one tensor, of F32, F16 or BF16, as f32.
    pub fn read(&mut self, name: &str) -> Result<Tensor> {
        match &mut self.kind {
            Kind::Safetensors(file) => Ok(file.read(name)?.to_dtype(DType::F32)?),
            Kind::Pickle(file) => file.read(name),
        }
    }
}

/// Opens all files of a folder that hold its weights.
pub(crate) fn open_all(dir: &Path) -> Result<Vec<WeightFile>> {
    for [weights, index, end] in KINDS {
        if is_there(&dir.join(weights))? {
            return Ok(vec![WeightFile::open(&dir.join(weights))?]);
        }
        if is_there(&dir.join(index))? {
            return open_shards(dir, index, end);
        }
    }
    Err(Error::not_found(dir, "weights", LOOKED_FOR))
}

/// Opens every file that the index names, and checks that it has what the index says.
fn open_shards(dir: &Path, index: &str, end: &str) -> Result<Vec<WeightFile>> {
    let path = dir.join(index);
    let open = |(shard, names): (String, Vec<String>)| {
        let shard_path = dir.join(&shard);
        if !is_there(&shard_path)? {
            let message = format!("shard {shard} is not in the folder; fetch it too");
            return Err(Error::checkpoint(&path, message));
        }
        let file = WeightFile::open(&shard_path)?;
        match names.iter().find(|name| file.shape(name).is_none()) {
            Some(name) => {
                let message = format!("shard {shard} has no tensor {}", quoted(name));
                Err(Error::checkpoint(&path, message))
            }
            None => Ok(file),
        }
    };
    read_index(&path, end)?.into_iter().map(open).collect()
}

/// The names of the tensors by shard.
fn read_index(path: &Path, end: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let invalid = |message: String| Error::checkpoint(path, message);
    let index: Map<String, Value> = serde_json::from_slice(&files::read(path)?)
        .map_err(|e| invalid(format!("not a JSON object: {e}")))?;
    let weight_map = index.get("weight_map").and_then(Value::as_object);
    let weight_map = weight_map.ok_or_else(|| invalid("no object weight_map".into()))?;
    let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, shard) in weight_map {
        let shard = shard.as_str().filter(|shard| is_plain(shard, end)).ok_or_else(|| {
            invalid(format!(
                "tensor {}: expected the name of a file in the folder, found {shard}",
                quoted(name)
            ))
        })?;
        shards.entry(shard.to_owned()).or_default().push(name.clone());
    }
    Ok(shards)
}

/// Whether a name stays inside its folder on every system, can be shown, and ends as it should.
fn is_plain(name: &str, end: &str) -> bool {
    let odd = |c: char| ['/', '\\', ':'].contains(&c) || c.is_control();
    name.ends_with(end) && !name.contains(odd) && !name.starts_with('.')
}
