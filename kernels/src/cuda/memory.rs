//! Arrays on the GPU: typed pieces of memory, which come from a [`Pool`](super::pool::Pool) and go back to it.

use std::sync::OnceLock;

use cudarc::driver::result;
use half::bf16;

use super::error::failed;
use super::pool::Block;
use super::{Device, Result};

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

/// Elements in the memory of a GPU. Dropping it returns the memory to the pool.
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

impl Array {
    /// `len` elements of unspecified value.
    ///
    /// # Errors
    /// When the GPU is full.
    pub fn uninit(device: &Device, dtype: DType, len: usize) -> Result<Self> {
        let block = device.inner().pool.take(device, len * dtype.size())?;
        Ok(Self { device: device.clone(), block, dtype, len, rounded: OnceLock::new() })
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// When the GPU is full.
    pub fn zeros(device: &Device, dtype: DType, len: usize) -> Result<Self> {
        let array = Self::uninit(device, dtype, len)?;
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
    /// When the GPU is full.
    pub fn from_host<T: Element>(device: &Device, host: &[T]) -> Result<Self> {
        let array = Self::uninit(device, T::DTYPE, host.len())?;
        device.inner().staging.upload(device, bytes(host), array.block.address)?;
        Ok(array)
    }

    /// A copy.
    ///
    /// # Errors
    /// When the GPU is full.
    pub fn duplicate(slice: Slice) -> Result<Self> {
        let device = slice.device();
        let mut copy = Self::uninit(device, slice.dtype(), slice.len())?;
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
        let size = self.dtype.size();
        let to = self.address_mut() + (start * size) as u64;
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
    /// products in bf16 are rounded once, not once per use, and an update rewrites the copy with the weights.
    ///
    /// # Errors
    /// When the GPU refuses or is full.
    pub fn rounded(&self) -> Result<Slice<'_>> {
        if let Some(rounded) = self.rounded.get() {
            return Ok(rounded.slice());
        }
        let rounded = crate::elementwise::cuda::convert(self.slice(), DType::BF16)?;
        Ok(self.rounded.get_or_init(|| Box::new(rounded)).slice())
    }

    /// Its address and that of its copy in bf16, 0 if there is none, for a kernel that writes the same values to both.
    pub(crate) fn addresses_mut(&mut self) -> [u64; 2] {
        let rounded = self.rounded.get().map_or(0, |rounded| rounded.block.address);
        [self.block.address, rounded]
    }

    /// Its address on the GPU, for a kernel that writes there.
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

    /// Whether it holds every element of a view: from `offset` on, at these strides.
    pub(crate) fn holds(&self, offset: usize, shape: &[usize], strides: &[usize]) -> bool {
        if shape.contains(&0) {
            return true;
        }
        // A sum that wraps around would seem to be inside.
        let last = shape
            .iter()
            .zip(strides)
            .try_fold(offset, |last, (n, stride)| last.checked_add((n - 1).checked_mul(*stride)?));
        last.is_some_and(|last| last < self.len)
    }

    /// The same elements in bf16: these themselves if they are, else a part of [`Array::rounded`].
    ///
    /// # Errors
    /// When the GPU refuses or is full.
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

    /// Its address on the GPU.
    pub(crate) fn address(self) -> u64 {
        self.array.block.address + (self.start * self.dtype().size()) as u64
    }
}

/// The bytes of elements.
fn bytes<T: Element>(host: &[T]) -> &[u8] {
    // SAFETY: the three types of elements have no padding, and every byte is a u8.
    unsafe { std::slice::from_raw_parts(host.as_ptr().cast(), size_of_val(host)) }
}
