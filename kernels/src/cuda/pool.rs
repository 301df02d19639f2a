//! Memory of the GPU, used again in the order of the stream.
//!
//! Asking the driver for memory costs more than most kernels, and the arrays of one training step are those of
//! the next: a dropped array's block stays in the [`Pool`] and serves the next one of about its size. Nothing
//! waits: a block is handed out while a kernel still reads its old contents, because the kernel that writes the
//! new ones stands behind that one in the only stream. Only when the GPU is full are blocks at rest given back
//! to the driver, and the request made again.
//!
//! `KERNELS_CUDA_POOL=off` takes every array from the driver and returns it there, so that `compute-sanitizer`
//! sees where each one ends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use cudarc::driver::{DriverError, result, sys};

use super::error::failed;
use super::{Device, Error, Result};

/// A piece of the GPU's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) address: sys::CUdeviceptr,
    pub(super) bytes: usize,
}

/// Whether arrays go back to the driver at once.
static UNPOOLED: LazyLock<bool> =
    LazyLock::new(|| std::env::var("KERNELS_CUDA_POOL").is_ok_and(|value| value == "off"));

/// Blocks of one device.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// At rest, by size.
    rest: Mutex<BTreeMap<usize, Vec<sys::CUdeviceptr>>>,
    /// Bytes of arrays that live.
    used: AtomicUsize,
    /// The most that there were.
    peak: AtomicUsize,
}

impl Pool {
    /// A block of at least that many bytes, of unspecified contents.
    pub(super) fn take(&self, device: &Device, bytes: usize) -> Result<Block> {
        let block = self.find(device, size_class(bytes))?;
        let used = self.used.fetch_add(block.bytes, Ordering::Relaxed) + block.bytes;
        self.peak.fetch_max(used, Ordering::Relaxed);
        Ok(block)
    }

    /// The most bytes of living arrays so far.
    pub(super) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Counts from what lives now.
    pub(super) fn reset_peak(&self) {
        self.peak.store(self.used.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn find(&self, device: &Device, bytes: usize) -> Result<Block> {
        if bytes == 0 {
            return Ok(Block { address: 0, bytes });
        }
        if let Some(block) = self.reuse(bytes) {
            return Ok(block);
        }
        device.bind()?;
        // SAFETY: the stream lives as long as the device; the memory is written before it is read.
        let ask = || unsafe { result::malloc_async(device.stream(), bytes) };
        let mut answer = ask();
        if answer.is_err_and(is_out_of_memory) {
            self.clear(device);
            // The driver keeps what it was given until someone waits.
            device.synchronize()?;
            answer = ask();
        }
        let address = answer.map_err(|error| self.error(device, bytes, error))?;
        Ok(Block { address, bytes })
    }

    /// The smallest block at rest of at least that size and at most a quarter more.
    fn reuse(&self, bytes: usize) -> Option<Block> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let (&size, blocks) = rest.range_mut(bytes..=bytes + bytes / 4).next()?;
        let address = blocks.pop()?;
        if blocks.is_empty() {
            rest.remove(&size);
        }
        Some(Block { address, bytes: size })
    }

    /// The way back: nothing that is asked from now on uses the block.
    pub(super) fn give(&self, device: &Device, block: Block) {
        self.used.fetch_sub(block.bytes, Ordering::Relaxed);
        if block.bytes == 0 {
            return;
        }
        if *UNPOOLED {
            return free(device, block.address);
        }
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.entry(block.bytes).or_default().push(block.address);
    }

    /// Gives all blocks at rest back to the driver.
    fn clear(&self, device: &Device) {
        let rest = std::mem::take(&mut *self.rest.lock().unwrap_or_else(PoisonError::into_inner));
        rest.into_values().flatten().for_each(|address| free(device, address));
    }

    fn error(&self, device: &Device, asked: usize, error: DriverError) -> Error {
        if !is_out_of_memory(error) {
            return failed("cuMemAllocAsync", device)(error);
        }
        let (free, total) = device.memory().unwrap_or_default();
        let used = self.used.load(Ordering::Relaxed);
        Error::OutOfMemory { gpu: device.label(), asked, free, total, used }
    }
}

fn is_out_of_memory(error: DriverError) -> bool {
    error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY
}

/// Nothing can be done about a failure here; the next call of the driver reports it.
fn free(device: &Device, address: sys::CUdeviceptr) {
    if device.bind().is_ok() {
        // SAFETY: the block came from the same stream and no array holds it any more.
        let _ = unsafe { result::free_async(address, device.stream()) };
    }
}

/// Sizes grow in steps of an eighth of a power of two, 512 bytes at least, so that batches of almost the same
/// number of tokens share blocks.
fn size_class(bytes: usize) -> usize {
    if *UNPOOLED {
        return bytes;
    }
    let step = (bytes.next_power_of_two() / 16).max(512);
    bytes.div_ceil(step) * step
}
