//! Copies on GPUs of what the host holds.

use std::sync::{Arc, Mutex, PoisonError};

use kernels::cuda::{self, Device};

use crate::Result;

/// The same on each GPU that asked for it.
pub(crate) struct GpuCopies<T>(Mutex<Vec<(Device, Arc<T>)>>);

impl<T> GpuCopies<T> {
    /// That on `gpu`: uploaded when it first asks, the same copy after that.
    ///
    /// # Errors
    /// When the GPU is full.
    pub(crate) fn on(
        &self,
        gpu: &Device,
        upload: impl FnOnce() -> cuda::Result<T>,
    ) -> Result<Arc<T>> {
        let mut copies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, copy)) = copies.iter().find(|(device, _)| device == gpu) {
            return Ok(copy.clone());
        }
        let copy = Arc::new(upload()?);
        copies.push((gpu.clone(), copy.clone()));
        Ok(copy)
    }
}

impl<T> Default for GpuCopies<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}
