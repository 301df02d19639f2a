//! The weights of a model folder, in [one file or several](crate::weight_files).
//!
//! Tensors are found under the names of their [`Family`] ([`names`](crate::names)), and messages and reports speak of
//! them so. What the stored names have in common with the parameters is decided from the headers, before any weight is
//! read; then each tensor goes from the file into its parameter, several at a time on the current rayon pool.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use autograd::Param;
use rayon::prelude::*;

use crate::shapes::Expected;
use crate::weight_files::{WeightFile, open_all};
use crate::{Error, Family, Mismatch, Result};

/// Elements that are tested for NaN and infinity at a time: long enough to vectorize.
const CHECKED_AT_ONCE: usize = 4096;

/// The open weights of a model folder.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    family: Family,
    files: Vec<WeightFile>,
    /// By the name that a parameter would have in a file ([`Family::stored_name`]).
    stored: BTreeMap<String, Stored>,
}

/// Where a tensor is.
#[derive(Clone, Debug)]
struct Stored {
    file: usize,
    name: String,
}

/// A tensor in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTensor {
    /// Its name there.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its dtype, as the file spells it: `F32`, `BF16`, ...
    pub dtype: String,
}

/// What a checkpoint and a model do not have in common, sorted, by the names of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Parameters that the checkpoint does not have; they keep their values.
    pub missing: Vec<String>,
    /// Stored tensors that are no parameter.
    pub unexpected: Vec<String>,
    /// Those of them that are of an encoder: layers and tables beyond those of the configuration. Heads of other
    /// tasks, the pooler and stored position numbers are none.
    pub unused_encoder: Vec<String>,
}

impl Checkpoint {
    /// Opens the weights of a folder, those of a model of that family, and reads their headers.
    ///
    /// # Errors
    /// When there are none, a file is not valid or holds more than tensors, a shard is missing, or two tensors have
    /// names that mean the same parameter.
    pub fn open(dir: &Path, family: &Family) -> Result<Self> {
        let files = open_all(dir)?;
        let mut stored = BTreeMap::new();
        for (file, name) in files.iter().enumerate().flat_map(|(i, f)| names_of(i, f)) {
            let found = Stored { file, name: name.clone() };
            if let Some(other) = stored.insert(family.whole_name(&name), found) {
                let other = other.name;
                let message =
                    format!("tensors {other} and {name} are the same parameter; remove one");
                return Err(Error::checkpoint(dir, message));
            }
        }
        Ok(Self { folder: dir.to_owned(), family: family.clone(), files, stored })
    }

    /// All tensors, by the names that they have in the files, sorted.
    pub fn tensors(&self) -> Vec<StoredTensor> {
        let of = |file: &WeightFile| -> Vec<StoredTensor> {
            let tensor = |name: String| StoredTensor {
                shape: file.shape(&name).unwrap_or_default().to_vec(),
                dtype: file.dtype(&name).unwrap_or_default(),
                name,
            };
            file.names().into_iter().map(tensor).collect()
        };
        let mut tensors: Vec<StoredTensor> = self.files.iter().flat_map(of).collect();
        tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        tensors
    }

    /// Whether there is a tensor for the parameter of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether there are weights of layer `i`, counted from 0.
    pub fn has_layer(&self, i: usize) -> bool {
        let prefix = self.family.stored_name(&format!("bert.encoder.layer.{i}."));
        self.stored
            .range(prefix.clone()..)
            .next()
            .is_some_and(|(name, _)| name.starts_with(&prefix))
    }

    /// Treats weight and bias of the layer of that name as if they were not stored.
    pub fn leave_out(&mut self, layer: &str) {
        for part in ["weight", "bias"] {
            self.stored.remove(&self.family.stored_name(&format!("{layer}.{part}")));
        }
    }

    /// The stored shape of the parameter of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let stored = self.find(name)?;
        self.files[stored.file].shape(&stored.name)
    }

    fn find(&self, name: &str) -> Option<&Stored> {
        self.stored.get(&self.family.stored_name(name))
    }

    /// Loads every parameter by its name, from F32, F16 or BF16, and returns what was missing and what was
    /// unexpected. No parameter changes when shapes or dtypes do not fit; when a file turns out to be
    /// damaged later on, some have their new values.
    ///
    /// # Errors
    /// When shapes do not fit (all are listed), a dtype is another, a weight is NaN or infinite, or reading
    /// fails.
    pub fn load(&mut self, params: &[Param]) -> Result<LoadReport> {
        let find = |p: &Param| self.find(p.name()).cloned();
        let pairs: Vec<(&Param, Stored)> =
            params.iter().filter_map(|p| Some((p, find(p)?))).collect();
        let report = self.report(params);
        self.check(pairs.iter().map(|(p, _)| (p.name().to_owned(), p.shape())))?;
        self.check_dtypes(&pairs)?;
        let closed = || self.files.iter().map(|_| None).collect();
        let all = pairs.par_iter().map_init(closed, |files: &mut Vec<Option<WeightFile>>, pair| {
            self.read(files, pair.0, &pair.1)
        });
        // Of several errors the first in the order of the parameters.
        all.collect::<Vec<_>>().into_iter().collect::<Result<()>>()?;
        Ok(report)
    }

    fn report(&self, params: &[Param]) -> LoadReport {
        let wanted: BTreeSet<String> =
            params.iter().map(|param| self.family.stored_name(param.name())).collect();
        let missing = wanted.iter().filter(|name| !self.stored.contains_key(*name)).cloned();
        let rest = || self.stored.iter().filter(|(name, _)| !wanted.contains(*name));
        let unexpected = rest().map(|(_, stored)| stored.name.clone());
        let unused = rest().filter(|(name, _)| is_of_encoder(&self.family, name));
        let unused_encoder = unused.map(|(_, stored)| stored.name.clone());
        LoadReport {
            missing: missing.collect(),
            unexpected: sorted(unexpected.collect()),
            unused_encoder: sorted(unused_encoder.collect()),
        }
    }

    /// Refuses what lacks weights of the encoder, and those of another size, by the headers, before there is memory for
    /// what the configuration asks for.
    pub(crate) fn check(&self, expected: impl IntoIterator<Item = Expected>) -> Result<()> {
        let mismatch = |(name, expected): Expected| {
            let found = self.shape(&name).map(<[usize]>::to_vec);
            let name = self.family.stored_name(&name);
            let fits = match &found {
                Some(shape) => *shape == expected,
                None => !is_of_encoder(&self.family, &name),
            };
            (!fits).then_some(Mismatch { name, expected, found })
        };
        let mismatches: Vec<Mismatch> = expected.into_iter().filter_map(mismatch).collect();
        match mismatches.is_empty() {
            true => Ok(()),
            false => Err(Error::Shapes { path: self.folder.display().to_string(), mismatches }),
        }
    }

    fn check_dtypes(&self, pairs: &[(&Param, Stored)]) -> Result<()> {
        for (_, Stored { file, name }) in pairs {
            let dtype = self.files[*file].dtype(name).unwrap_or_default();
            if !["F32", "F16", "BF16"].contains(&dtype.as_str()) {
                let message = format!("tensor {name}: expected F32, F16 or BF16, found {dtype}");
                return Err(Error::checkpoint(&self.folder, message));
            }
        }
        Ok(())
    }

    /// Reads one parameter, from a file that is opened when it is first needed: reading has one place in an open file,
    /// so readers open their own.
    fn read(&self, files: &mut [Option<WeightFile>], param: &Param, stored: &Stored) -> Result<()> {
        let (path, name) = (self.files[stored.file].path(), &stored.name);
        let file = match &mut files[stored.file] {
            Some(file) => file,
            closed => closed.insert(WeightFile::open(path)?),
        };
        let value = file.read(name)?;
        if value.shape() != param.shape() {
            let message = format!("tensor {name} changed while the file was read; try again");
            return Err(Error::checkpoint(path, message));
        }
        let finite = |x: &[f32]| x.iter().fold(true, |all, x| all & x.is_finite());
        if !value.as_slice::<f32>()?.chunks(CHECKED_AT_ONCE).all(finite) {
            let message = format!("tensor {name} has NaN or infinite weights");
            return Err(Error::checkpoint(&self.folder, message));
        }
        param.set(value.to_device(&param.device())?);
        Ok(())
    }
}

/// Whether a tensor is the encoder's, by its name; the pooler belongs to the head of a classifier. Stored numbers of
/// positions are no weights.
fn is_of_encoder(family: &Family, name: &str) -> bool {
    let parts = [
        "bert.embeddings.",
        "bert.embeddings_project.",
        "bert.encoder.",
        "bert.encoder.layer.",
        "bert.final_norm.",
    ];
    let is_in = |part: &str| name.starts_with(&family.stored_name(part));
    parts.into_iter().any(is_in) && !name.ends_with("_ids")
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}

fn names_of(index: usize, file: &WeightFile) -> impl Iterator<Item = (usize, String)> {
    file.names().into_iter().map(move |name| (index, name))
}
