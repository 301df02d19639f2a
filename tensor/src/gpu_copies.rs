//! Copies on GPUs of what the host holds.

use std::sync::{Arc, Mutex, PoisonError};

use kernels::cuda::{Array, Device, Element};

use crate::Result;

/// The same elements on each GPU that asked for them.
#[derive(Default)]
pub(crate) struct GpuCopies(Mutex<Vec<Arc<Array>>>);

impl GpuCopies {
    /// Those on `gpu`: uploaded when it first asks, the same copy after that. `host` must return the same each time.
    ///
    /// # Errors
    /// When the GPU is full.
    pub(crate) fn on<T: Element, H: AsRef<[T]>>(
        &self,
        gpu: &Device,
        host: impl FnOnce() -> H,
    ) -> Result<Arc<Array>> {
        let mut copies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(array) = copies.iter().find(|array| array.device() == gpu) {
            return Ok(array.clone());
        }
        let array = Arc::new(Array::from_host(gpu, host().as_ref())?);
        copies.push(array.clone());
        Ok(array)
    }
}
