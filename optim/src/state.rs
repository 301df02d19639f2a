//! What an optimizer remembers, in a form that can be saved.

use std::collections::HashMap;
use std::path::Path;

use autograd::Param;
use tensor::Tensor;
use tensor::safetensors;

use crate::{Error, Result};

/// The tensors of an optimizer by name (`exp_avg.NAME`, ...), and the number of steps taken.
#[derive(Clone, Debug)]
pub struct State {
    /// Steps taken.
    pub step: u64,
    /// Moments or velocities, in the order of the parameters.
    pub tensors: Vec<(String, Tensor)>,
}

/// The name of the step counter in a file.
const STEP: &str = "step";

impl State {
    /// Writes a safetensors file.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut all = self.tensors.clone();
        all.push((STEP.to_owned(), Tensor::from_vec(vec![self.step as i64], &[])?));
        Ok(safetensors::write(path, &all)?)
    }

    /// Reads a file written by [`State::save`].
    ///
    /// # Errors
    /// When the file can't be read or holds no optimizer state.
    pub fn load(path: &Path) -> Result<Self> {
        let mut file = safetensors::File::open(path)?;
        let no_step = || Error::State(format!("{} has no step counter", path.display()));
        if file.shape(STEP).is_none() {
            return Err(no_step());
        }
        let step = file.read(STEP)?.to_vec::<i64>()?.first().copied().ok_or_else(no_step)?;
        let step = u64::try_from(step).map_err(|_| no_step())?;
        let names = file.names().into_iter().filter(|name| name != STEP);
        let tensors = names.collect::<Vec<_>>().into_iter().map(|name| {
            let tensor = file.read(&name)?;
            Ok((name, tensor))
        });
        Ok(Self { step, tensors: tensors.collect::<Result<_>>()? })
    }
}

/// The saved tensors under `prefix`, one for each slot; lists all that do not fit.
pub(crate) fn restored(
    saved: &State,
    prefix: &str,
    slots: &[(Param, Tensor)],
) -> Result<Vec<(Param, Tensor)>> {
    let by_name: HashMap<&str, &Tensor> =
        saved.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (param, slot) in slots {
        let name = format!("{prefix}.{}", param.name());
        match by_name.get(name.as_str()) {
            Some(&tensor) if tensor.shape() == slot.shape() => {
                found.push((param.clone(), tensor.clone()));
            }
            Some(tensor) => {
                let (got, expected) = (tensor.shape(), slot.shape());
                problems.push(format!("{name}: expected {expected:?}, got {got:?}"));
            }
            None => problems.push(format!("{name} is missing")),
        }
    }
    match problems.is_empty() {
        true => Ok(found),
        false => Err(Error::State(problems.join("; "))),
    }
}
