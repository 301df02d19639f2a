//! The tensor: construction and access.

use kernels::{cuda, philox};

use crate::dtype::HiddenElement;
use crate::pool::Buffer;
use crate::shape::{Layout, checked_count, count};
use crate::storage::Storage;
use crate::{DType, Device, Element, Error, Result};

/// An n-dimensional array: an immutable, strided view of shared storage.
///
/// Cloning is cheap (a reference count and two short vectors).
///
/// ```
/// use tensor::Tensor;
/// let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]).unwrap();
/// let t = x.transpose(0, 1).unwrap();
/// assert_eq!(t.shape(), [3, 2]);
/// assert_eq!(t.to_vec::<f32>().unwrap(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// ```
#[derive(Clone)]
pub struct Tensor {
    pub(crate) storage: Storage,
    pub(crate) layout: Layout,
}

impl Tensor {
    /// A tensor of `shape` from its elements in row-major order.
    ///
    /// # Errors
    /// When the number of elements is not that of the shape.
    pub fn from_vec<T: Element>(values: Vec<T>, shape: &[usize]) -> Result<Self> {
        if checked_count(shape) != Some(values.len()) {
            let expected = format!("of {} elements", values.len());
            return Err(Error::Shape { op: "from_vec", expected, got: shape.to_vec() });
        }
        Ok(Self::wrap(T::wrap(values), shape))
    }

    /// Zeros of `shape`, f32.
    pub fn zeros(shape: &[usize]) -> Self {
        Self::from_buffer(Buffer::<f32>::zeroed(count(shape)), shape)
    }

    /// Zeros of this tensor's shape and dtype (f64 stays f64, everything else becomes f32), where it is.
    ///
    /// # Errors
    /// When the GPU is full.
    pub fn zeros_like(&self) -> Result<Self> {
        Ok(match (self.device(), self.dtype()) {
            (Device::Cpu, DType::F64) => Self::wrap(f64::wrap(vec![0.0; self.len()]), self.shape()),
            (device, _) => Self::zeros_on(self.shape(), &device)?,
        })
    }

    /// Zeros of `shape`, f32, on `device`.
    ///
    /// # Errors
    /// When the GPU is full.
    pub fn zeros_on(shape: &[usize], device: &Device) -> Result<Self> {
        Ok(match device {
            Device::Cpu => Self::zeros(shape),
            Device::Cuda(gpu) => {
                let array = cuda::Array::zeros(gpu, cuda::DType::F32, count(shape))?;
                Self::from_array(array, shape)
            }
        })
    }

    /// Every element `value`, f32.
    pub fn full(value: f32, shape: &[usize]) -> Self {
        Self::build(shape, |y: &mut [f32]| y.fill(value))
    }

    /// A tensor without axes, f32.
    pub fn scalar(value: f32) -> Self {
        Self::full(value, &[])
    }

    /// Independent standard normal values, f32, the same for the same generator state.
    pub fn randn(shape: &[usize], rng: &mut philox::Rng) -> Self {
        Self::build(shape, |y: &mut [f32]| y.fill_with(|| rng.normal() as f32))
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.layout.shape
    }

    /// Steps in the storage along each axis, in elements.
    pub fn strides(&self) -> &[usize] {
        &self.layout.strides
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.layout.shape.len()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        count(&self.layout.shape)
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.storage.dtype()
    }

    /// Whether the elements lie in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        self.layout.is_contiguous()
    }

    /// The elements as they lie in memory.
    ///
    /// # Errors
    /// When the dtype is another, the tensor is on a GPU, or it is a strided view (call [`Tensor::contiguous`] first).
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        let values = self.elements::<T>("as_slice")?;
        if !self.is_contiguous() {
            let expected = format!("in row-major order, strides {:?}", self.layout.strides);
            return Err(Error::Shape { op: "as_slice", expected, got: self.shape().to_vec() });
        }
        Ok(&values[self.layout.span()])
    }

    /// A copy of the elements in row-major order, on the host.
    ///
    /// # Errors
    /// When the dtype is another, or the GPU fails.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        Ok(self.to_device(&Device::Cpu)?.contiguous()?.as_slice::<T>()?.to_vec())
    }

    /// The value of a tensor of one element, whatever its dtype.
    ///
    /// # Errors
    /// When there is not exactly one element.
    pub fn item(&self) -> Result<f64> {
        if self.len() != 1 {
            let expected = "of one element".to_owned();
            return Err(Error::Shape { op: "item", expected, got: self.shape().to_vec() });
        }
        Ok(self.to_f64_vec()?[0])
    }

    /// The elements for writing, in row-major order. Storage that other tensors share is copied first, so
    /// they keep their values.
    ///
    /// # Errors
    /// When the dtype is not f32.
    pub fn make_mut(&mut self) -> Result<&mut [f32]> {
        self.make_mut_of()
    }

    /// [`make_mut`](Self::make_mut) of another type.
    pub(crate) fn make_mut_of<E: HiddenElement>(&mut self) -> Result<&mut [E]> {
        if !self.is_contiguous() {
            *self = self.contiguous()?;
        }
        let (span, got) = (self.layout.span(), self.dtype());
        let (expected, device) = (E::DTYPE.name(), self.device());
        if device != Device::Cpu {
            return Err(Error::Device { op: "make_mut", expected: "the host".into(), got: device });
        }
        let values = E::unique(&mut self.storage);
        Ok(&mut values.ok_or(Error::DType { op: "make_mut", expected, got })?[span])
    }

    /// All elements of the storage, on the host.
    pub(crate) fn elements<T: Element>(&self, op: &'static str) -> Result<&[T]> {
        if let Storage::Cuda(array) = &self.storage {
            let got = Device::Cuda(array.device().clone());
            return Err(Error::Device { op, expected: "the host".into(), got });
        }
        let (expected, got) = (T::DTYPE.name(), self.dtype());
        T::unwrap(&self.storage).ok_or(Error::DType { op, expected, got })
    }

    /// A new tensor whose elements `fill` writes; it must write all of them.
    pub(crate) fn build<E: HiddenElement>(shape: &[usize], fill: impl FnOnce(&mut [E])) -> Self {
        let mut buffer = Buffer::uninit(count(shape));
        fill(&mut buffer);
        Self::from_buffer(buffer, shape)
    }

    pub(crate) fn from_buffer<E: HiddenElement>(buffer: Buffer<E>, shape: &[usize]) -> Self {
        Self::wrap(E::into_storage(buffer), shape)
    }

    /// A contiguous tensor over all of `storage`, whose length is that of the shape.
    pub(crate) fn wrap(storage: Storage, shape: &[usize]) -> Self {
        Self { storage, layout: Layout::contiguous(shape) }
    }
}

/// Values that are worth a line in a message.
const SHOWN: usize = 8;

impl std::fmt::Debug for Tensor {
    /// Dtype, shape and the first values: `f32 [2, 3] [1.0, 2.0, ..]`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let flat = self.reshape(&[self.len()]).map_err(|_| std::fmt::Error)?;
        let first = flat.narrow(0, 0, self.len().min(SHOWN)).map_err(|_| std::fmt::Error)?;
        write!(f, "{} {:?} ", self.dtype(), self.shape())?;
        let mut list = f.debug_list();
        list.entries(first.to_f64_vec().map_err(|_| std::fmt::Error)?);
        match self.len() > SHOWN {
            true => list.finish_non_exhaustive(),
            false => list.finish(),
        }
    }
}
