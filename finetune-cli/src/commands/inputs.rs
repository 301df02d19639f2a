//! What a training reads: the files that were named, and the bundle in place of those that were not.

use std::path::PathBuf;

use anyhow::{Error, Result};

use crate::args::TrainArgs;
use crate::bundled::Unpacked;

/// Paths to read from. What was unpacked for them is there until this is dropped.
pub(super) struct Inputs {
    pub(super) model: PathBuf,
    pub(super) train: PathBuf,
    pub(super) validation: Option<PathBuf>,
    pub(super) test: Option<PathBuf>,
    unpacked: Vec<Unpacked>,
}

impl Inputs {
    /// Unpacks what no flag names.
    pub(super) fn of(args: &TrainArgs) -> Result<Self> {
        let mut unpacked = Vec::new();
        let model = match &args.model {
            Some(path) => path.clone(),
            None => {
                let bundle = Unpacked::model()?;
                let path = bundle.path().to_owned();
                unpacked.push(bundle);
                path
            }
        };
        let (train, validation, test) = match &args.train {
            Some(path) => (path.clone(), args.validation.clone(), args.test.clone()),
            None => {
                let bundle = Unpacked::reviews()?;
                let [train, validation, test] = ["train.csv", "validation.csv", "test.csv"]
                    .map(|name| bundle.path().join(name));
                unpacked.push(bundle);
                (train, Some(validation), Some(test))
            }
        };
        Ok(Self { model, train, validation, test, unpacked })
    }

    /// The error without temporary paths.
    pub(super) fn renamed(&self, error: Error) -> Error {
        self.unpacked.iter().fold(error, |error, part| part.renamed(error))
    }
}
