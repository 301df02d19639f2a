//! Arrays on the card, from a pool in the order of the stream.
//!
//! Asking the driver for memory costs more than most kernels, and the arrays of one training step are those of
//! the next: a dropped array's block stays in the [`Pool`] and serves the next one of about its size. Nothing
//! waits: a block is handed out while a kernel still reads its old contents, because the kernel that writes the
//! new ones stands behind that one in the only stream. Only when the card is full are blocks at rest given back
//! to the driver, and the request made again.
//!
//! `KERNELS_CUDA_POOL=off` takes every array from the driver and returns it there, so that `compute-sanitizer`
//! sees where each one ends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use cudarc::driver::{DriverError, result, sys};
use half::bf16;

use super::error::failed;
use super::{Device, Error, Result};

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// Its upper half.
    BF16,
    /// 32-bit unsigned integer.
    U32,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DType::BF16 => 2,
            DType::F32 | DType::U32 => 4,
        }
    }
}

/// A type of the host with the same bytes as a [`DType`].
pub trait Element: Copy + Default + private::Sealed + 'static {
    /// That type.
    const DTYPE: DType;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
}
impl Element for bf16 {
    const DTYPE: DType = DType::BF16;
}
impl Element for u32 {
    const DTYPE: DType = DType::U32;
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for super::bf16 {}
    impl Sealed for u32 {}
}

/// Elements in the memory of a card. Dropping it returns the memory to the pool.
pub struct Array {
    device: Device,
    block: Block,
    dtype: DType,
    len: usize,
    /// The same values in bf16, if anyone asked and nothing was written since.
    rounded: OnceLock<Box<Array>>,
}

/// Some elements of an [`Array`], one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    array: &'a Array,
    start: usize,
    len: usize,
}

/// A piece of the card's memory.
#[derive(Clone, Copy, Debug)]
struct Block {
    address: sys::CUdeviceptr,
    bytes: usize,
}

impl Array {
    /// `len` elements of unspecified value.
    ///
    /// # Errors
    /// When the card is full.
    pub fn stale(device: &Device, dtype: DType, len: usize) -> Result<Self> {
        let block = device.inner().pool.take(device, len * dtype.size())?;
        Ok(Self { device: device.clone(), block, dtype, len, rounded: OnceLock::new() })
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// When the card is full.
    pub fn zeros(device: &Device, dtype: DType, len: usize) -> Result<Self> {
        let array = Self::stale(device, dtype, len)?;
        if len > 0 {
            device.bind()?;
            // SAFETY: the block is this array's alone and has that many bytes; zeros are values of every dtype.
            unsafe {
                result::memset_d8_async(array.block.address, 0, len * dtype.size(), device.stream())
            }
            .map_err(failed("cuMemsetD8Async", device))?;
        }
        Ok(array)
    }

    /// The elements of `host`.
    ///
    /// # Errors
    /// When the card is full.
    pub fn from_host<T: Element>(device: &Device, host: &[T]) -> Result<Self> {
        let array = Self::stale(device, T::DTYPE, host.len())?;
        device.inner().staging.upload(device, bytes(host), array.block.address)?;
        Ok(array)
    }

    /// A copy.
    ///
    /// # Errors
    /// When the card is full.
    pub fn duplicate(slice: Slice) -> Result<Self> {
        let device = slice.device();
        let mut copy = Self::stale(device, slice.dtype(), slice.len())?;
        copy.copy_from(0, slice)?;
        Ok(copy)
    }

    /// Writes the elements of `slice` from element `start` on.
    ///
    /// # Errors
    /// When the driver refuses.
    ///
    /// # Panics
    /// When they do not fit, or are on another device or of another type.
    pub(crate) fn copy_from(&mut self, start: usize, slice: Slice) -> Result<()> {
        let device = slice.device();
        assert!(
            self.device == *device && self.dtype == slice.dtype(),
            "copy: {slice:?} to {self:?}"
        );
        assert!(
            start <= self.len && slice.len() <= self.len - start,
            "copy: {slice:?} to {self:?}"
        );
        if slice.is_empty() {
            return Ok(());
        }
        let (to, size) = (self.slice().narrow(start, slice.len()).address(), self.dtype.size());
        device.bind()?;
        // SAFETY: both ranges are inside their arrays, which live on this device and stream; they are two arrays,
        // because one of them is borrowed to be written.
        unsafe {
            result::memcpy_dtod_async(to, slice.address(), slice.len() * size, device.stream())
        }
        .map_err(failed("cuMemcpyDtoDAsync", device))
    }

    /// All elements.
    pub fn slice(&self) -> Slice<'_> {
        Slice { array: self, start: 0, len: self.len }
    }

    /// Where it is.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The type of its elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The number of its elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements of an array of f32 in bf16. The copy is kept until the array is written: the weights of matrix
    /// products in bf16 are rounded once per update, not once per use.
    ///
    /// # Errors
    /// When the card refuses or is full.
    pub fn rounded(&self) -> Result<Slice<'_>> {
        if let Some(rounded) = self.rounded.get() {
            return Ok(rounded.slice());
        }
        let rounded = crate::elementwise::cuda::convert(self.slice(), DType::BF16)?;
        Ok(self.rounded.get_or_init(|| Box::new(rounded)).slice())
    }

    /// Its address on the card, for a kernel that writes there.
    pub(crate) fn address_mut(&mut self) -> u64 {
        self.rounded.take();
        self.block.address
    }
}

impl std::fmt::Debug for Array {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} [{}] on {:?}", self.dtype, self.len, self.device)
    }
}

impl Drop for Array {
    fn drop(&mut self) {
        self.device.inner().pool.give(&self.device, self.block);
    }
}

impl<'a> Slice<'a> {
    /// `len` elements from `start` on.
    ///
    /// # Panics
    /// When they leave this slice.
    pub fn narrow(self, start: usize, len: usize) -> Self {
        assert!(
            start <= self.len && len <= self.len - start,
            "narrow: {start} + {len} in {self:?}"
        );
        Self { array: self.array, start: self.start + start, len }
    }

    /// The same elements in bf16: these themselves if they are, else a part of [`Array::rounded`].
    ///
    /// # Errors
    /// When the card refuses or is full.
    ///
    /// # Panics
    /// When they are u32.
    pub fn in_bf16(self) -> Result<Slice<'a>> {
        match self.dtype() {
            DType::BF16 => Ok(self),
            _ => Ok(self.array.rounded()?.narrow(self.start, self.len)),
        }
    }

    /// A copy on the host, after everything that was asked before: this waits.
    ///
    /// # Errors
    /// When something asked before has failed.
    ///
    /// # Panics
    /// When the elements are of another type.
    pub fn to_host<T: Element>(self) -> Result<Vec<T>> {
        assert_eq!(self.dtype(), T::DTYPE, "to_host: dtype");
        let mut host = vec![T::default(); self.len];
        if self.len > 0 {
            let (device, address) = (self.device(), self.address());
            device.bind()?;
            // SAFETY: the range is inside the array; the copy is complete when `synchronize` returns, and
            // before that `host` is neither moved nor read.
            unsafe { result::memcpy_dtoh_async(&mut host, address, device.stream()) }
                .map_err(failed("cuMemcpyDtoHAsync", device))?;
            device.synchronize()?;
        }
        Ok(host)
    }

    /// How many whole packs of `n` elements it has that a kernel may move at once: none where its address is no
    /// multiple of their size (a view may begin anywhere; arrays begin at multiples of 256 bytes).
    pub(crate) fn packs(self, n: usize) -> usize {
        let aligned = self.address().is_multiple_of((n * self.dtype().size()) as u64);
        if aligned { self.len / n } else { 0 }
    }

    /// Where it is.
    pub fn device(self) -> &'a Device {
        &self.array.device
    }

    /// The type of its elements.
    pub fn dtype(self) -> DType {
        self.array.dtype
    }

    /// The number of its elements.
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Its address on the card.
    pub(crate) fn address(self) -> u64 {
        self.array.block.address + (self.start * self.dtype().size()) as u64
    }
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
}

impl Pool {
    fn take(&self, device: &Device, bytes: usize) -> Result<Block> {
        let block = self.find(device, size_class(bytes))?;
        self.used.fetch_add(block.bytes, Ordering::Relaxed);
        Ok(block)
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
        let retry = |error| match is_out_of_memory(error) {
            true => {
                self.clear(device);
                device.synchronize().map_err(|_| error)?;
                ask()
            }
            false => Err(error),
        };
        let address = ask().or_else(retry).map_err(|error| self.error(device, bytes, error))?;
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

    fn give(&self, device: &Device, block: Block) {
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
        Error::OutOfMemory { card: device.label(), asked, free, total, used }
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

/// The bytes of elements.
fn bytes<T: Element>(host: &[T]) -> &[u8] {
    // SAFETY: the three types of elements have no padding, and every byte is a u8.
    unsafe { std::slice::from_raw_parts(host.as_ptr().cast(), size_of_val(host)) }
}
