//! What an optimizer remembers, in a form that can be saved.

use std::collections::HashMap;
use std::path::Path;

use tensor::{DType, Tensor, safetensors};

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

    /// The tensors in the order of `own`, the state of the optimizer that loads them; lists all that are
    /// missing, of another shape or dtype, or of parameters that it does not have.
    pub(crate) fn matching(&self, own: &State) -> Result<Vec<Tensor>> {
        let mut saved: HashMap<&str, &Tensor> =
            self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for (name, own) in &own.tensors {
            match saved.remove(name.as_str()) {
                Some(tensor) if kind(tensor) == kind(own) => found.push(tensor.clone()),
                Some(tensor) => {
                    let ((got_type, got), (own_type, own)) = (kind(tensor), kind(own));
                    let message =
                        format!("{name}: expected {own_type} {own:?}, got {got_type} {got:?}");
                    problems.push(message);
                }
                None => problems.push(format!("{name} is missing")),
            }
        }
        let unexpected = self.tensors.iter().filter(|(name, _)| saved.contains_key(name.as_str()));
        problems.extend(unexpected.map(|(name, _)| format!("{name} is not expected")));
        match problems.is_empty() {
            true => Ok(found),
            false => Err(Error::State(problems.join("; "))),
        }
    }
}

fn kind(tensor: &Tensor) -> (DType, &[usize]) {
    (tensor.dtype(), tensor.shape())
}
