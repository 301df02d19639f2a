//! Host memory that the GPU reads and writes by itself.
//!
//! A copy from ordinary memory makes the driver wait or copy twice. Here the bytes go into page-locked memory and
//! the GPU fetches them when the stream comes to that point: the host goes on at once. A buffer is used again
//! when the event behind its copy has passed.

use std::sync::{Mutex, PoisonError};

use cudarc::driver::{DriverError, result, sys};

use super::error::failed;
use super::{DType, Device, Result, Slice, counts};

/// Copies go in pieces of at most this size, so that page-locked memory, which the system cannot page out, stays
/// small while weights of gigabytes go up.
const PIECE: usize = 4 << 20;

/// Bytes of the smallest buffer: ids and offsets of a small batch.
const SMALLEST: usize = 4 << 10;

/// The page-locked buffers of a device.
#[derive(Debug, Default)]
pub(super) struct Staging {
    buffers: Mutex<Vec<Pinned>>,
}

/// A page-locked buffer and the event behind the last copy from or to it.
#[derive(Debug)]
struct Pinned {
    address: *mut u8,
    bytes: usize,
    event: sys::CUevent,
}

// SAFETY: the memory belongs to this struct alone; addresses and events are not tied to a thread.
unsafe impl Send for Pinned {}

impl Staging {
    /// Copies `from` to `to` on the GPU, in the order of the stream.
    pub(super) fn upload(&self, device: &Device, from: &[u8], to: sys::CUdeviceptr) -> Result<()> {
        device.bind()?;
        for (i, piece) in from.chunks(PIECE).enumerate() {
            let buffer = self.take(device, piece.len())?;
            let to = to + (i * PIECE) as u64;
            buffer.send(device, piece, to).map_err(failed("cuMemcpyHtoDAsync", device))?;
            self.give(buffer);
        }
        Ok(())
    }

    /// Begins to copy an f32 from the GPU.
    fn download(&self, device: &Device, from: sys::CUdeviceptr) -> Result<Pending> {
        device.bind()?;
        let buffer = self.take(device, size_of::<f32>())?;
        buffer.receive(device, from).map_err(failed("cuMemcpyDtoHAsync", device))?;
        Ok(Pending { device: device.clone(), buffer: Some(buffer) })
    }

    /// A buffer of at least `bytes` that no copy uses: one whose copy is done, or a new one. When copies of
    /// weights run far ahead it waits for the oldest instead.
    fn take(&self, device: &Device, bytes: usize) -> Result<Pinned> {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |buffer: &Pinned| buffer.bytes >= bytes;
        if let Some(i) = buffers.iter().position(|buffer| fits(buffer) && buffer.is_free()) {
            return Ok(buffers.swap_remove(i));
        }
        /// Large buffers in flight at once.
        const AHEAD: usize = 4;
        if bytes > PIECE / 2 && buffers.iter().filter(|buffer| fits(buffer)).count() >= AHEAD {
            let oldest = buffers.iter().position(fits).expect("there are several");
            let buffer = buffers.remove(oldest);
            buffer.wait().map_err(failed("cuEventSynchronize", device))?;
            return Ok(buffer);
        }
        let bytes = bytes.next_power_of_two().max(SMALLEST);
        Pinned::new(bytes).map_err(failed("cuMemHostAlloc", device))
    }

    fn give(&self, buffer: Pinned) {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

impl Pinned {
    fn new(bytes: usize) -> std::result::Result<Self, DriverError> {
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)?;
        // SAFETY: the memory is freed by `drop` alone, and the event destroyed there or, without memory, here.
        match unsafe { result::malloc_host(bytes, 0) } {
            Ok(address) => Ok(Self { address: address.cast(), bytes, event }),
            Err(error) => {
                // SAFETY: nothing was recorded.
                let _ = unsafe { result::event::destroy(event) };
                Err(error)
            }
        }
    }

    fn send(
        &self,
        device: &Device,
        from: &[u8],
        to: sys::CUdeviceptr,
    ) -> std::result::Result<(), DriverError> {
        assert!(from.len() <= self.bytes, "staging: the piece is larger than its buffer");
        // SAFETY: the buffer has room for the piece and no copy uses it (`take`); `to` is inside an array of the
        // caller; the buffer lives until the event has passed (`drop` waits).
        unsafe {
            std::ptr::copy_nonoverlapping(from.as_ptr(), self.address, from.len());
            let piece = std::slice::from_raw_parts(self.address, from.len());
            result::memcpy_htod_async(to, piece, device.stream())?;
            result::event::record(self.event, device.stream())
        }
    }

    fn receive(
        &self,
        device: &Device,
        from: sys::CUdeviceptr,
    ) -> std::result::Result<(), DriverError> {
        // SAFETY: the buffer holds more than one f32 and no copy uses it; it is read after the event alone.
        unsafe {
            let to = std::slice::from_raw_parts_mut(self.address, size_of::<f32>());
            result::memcpy_dtoh_async(to, from, device.stream())?;
            result::event::record(self.event, device.stream())
        }
    }

    /// Whether the last copy is done. An event that was never recorded has passed.
    fn is_free(&self) -> bool {
        // SAFETY: the event lives as long as this struct.
        unsafe { result::event::query(self.event) }.is_ok()
    }

    fn wait(&self) -> std::result::Result<(), DriverError> {
        counts::waited();
        // SAFETY: as above.
        unsafe { result::event::synchronize(self.event) }
    }
}

impl Drop for Pinned {
    /// Only buffers whose device is gone come here, or after an error; the driver reports later failures.
    fn drop(&mut self) {
        // SAFETY: no copy uses the memory after the event, and nothing else holds either.
        unsafe {
            let _ = result::event::synchronize(self.event);
            let _ = result::free_host(self.address.cast());
            let _ = result::event::destroy(self.event);
        }
    }
}

/// An f32 on its way to the host.
#[derive(Debug)]
pub struct Pending {
    device: Device,
    buffer: Option<Pinned>,
}

impl Pending {
    /// Begins to copy the one f32 of `slice`.
    ///
    /// # Errors
    /// When the copy cannot be started.
    ///
    /// # Panics
    /// When the slice is anything else.
    pub fn read(slice: Slice) -> Result<Self> {
        assert!(
            slice.len() == 1 && slice.dtype() == DType::F32,
            "read: expected an f32, got {slice:?}"
        );
        slice.device().inner().staging.download(slice.device(), slice.address())
    }

    /// The value; waits for it, but for nothing that was asked later.
    ///
    /// # Errors
    /// When something asked before has failed.
    pub fn wait(mut self) -> Result<f32> {
        self.device.bind()?;
        let buffer = self.buffer.take().expect("only this and drop take it");
        buffer.wait().map_err(failed("cuEventSynchronize", &self.device))?;
        // SAFETY: the copy of four bytes is done; the buffer is aligned to pages.
        let value = unsafe { buffer.address.cast::<f32>().read() };
        self.device.inner().staging.give(buffer);
        Ok(value)
    }
}

impl Drop for Pending {
    /// Who does not wait gives the buffer back all the same: it is free once its event has passed.
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.device.inner().staging.give(buffer);
        }
    }
}
