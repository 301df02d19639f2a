//! Conversions: dtypes, strided views to row-major order, and `ndarray`, the interchange with the host.

use half::{bf16, f16};
use kernels::{copy, elementwise};
use ndarray::{ArrayD, ArrayViewD, IxDyn, ShapeBuilder};
use rayon::prelude::*;

use crate::dtype::HiddenElement;
use crate::shape::Layout;
use crate::storage::Storage;
use crate::{DType, Device, Element, Result, Tensor};

/// Elements one task converts.
const TASK: usize = 64 * 1024;

impl Tensor {
    /// The same values in row-major order: this tensor itself where it is so already, else a copy.
    ///
    /// # Errors
    /// When it is on a GPU that is full.
    pub fn contiguous(&self) -> Result<Self> {
        if self.is_contiguous() {
            return Ok(self.clone());
        }
        if let Storage::Cuda(array) = &self.storage {
            let Layout { shape, strides, offset } = &self.layout;
            let copy = copy::cuda::row_major(array.slice(), *offset, shape, strides)?;
            return Ok(Self::from_array(copy, shape));
        }
        Ok(match self.dtype() {
            DType::F32 => self.copied::<f32>(),
            DType::F64 => self.copied::<f64>(),
            DType::BF16 => self.copied::<bf16>(),
            DType::F16 => self.copied::<f16>(),
            DType::I64 => self.copied::<i64>(),
            DType::U32 => self.copied::<u32>(),
        })
    }

    /// The values in another dtype, each rounded to the nearest; floats to integers cut off towards zero.
    ///
    /// # Errors
    /// When it is on a GPU that is full; a GPU converts between f32 and bf16 only.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        if self.device() != Device::Cpu {
            return self.convert_on_gpu(dtype);
        }
        match (self.dtype(), dtype) {
            // Activations, often.
            (DType::F32, DType::BF16) => return self.convert::<f32, bf16>(),
            (DType::BF16, DType::F32) => return self.convert::<bf16, f32>(),
            _ => {}
        }
        match dtype {
            DType::F32 => self.cast_to::<f32>(),
            DType::F64 => self.cast_to::<f64>(),
            DType::BF16 => self.cast_to::<bf16>(),
            DType::F16 => self.cast_to::<f16>(),
            DType::I64 => self.cast_to::<i64>(),
            DType::U32 => self.cast_to::<u32>(),
        }
    }

    /// The values in f64, in row-major order on the host, whatever the dtype.
    ///
    /// # Errors
    /// When they are on a GPU, which fails.
    pub fn to_f64_vec(&self) -> Result<Vec<f64>> {
        self.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_vec()
    }

    /// From an `ndarray` array of any layout.
    pub fn from_ndarray<T: Element>(array: &ArrayD<T>) -> Self {
        let fill = |y: &mut [T]| y.iter_mut().zip(array).for_each(|(y, x)| *y = *x);
        Self::wrap(T::filled(array.len(), fill), array.shape())
    }

    /// A copy as an `ndarray` array.
    ///
    /// # Errors
    /// When the dtype is another.
    pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>> {
        Ok(self.view::<T>()?.to_owned())
    }

    /// A view as an `ndarray` array, strides and all.
    ///
    /// # Errors
    /// When the dtype is another.
    pub fn view<T: Element>(&self) -> Result<ArrayViewD<'_, T>> {
        let values = self.elements::<T>("view")?;
        let view = if self.is_empty() {
            // Where nothing is read, offset and strides may point anywhere; ndarray would mind.
            ArrayViewD::from_shape(IxDyn(self.shape()), &[])
        } else {
            let shape = IxDyn(self.shape()).strides(IxDyn(self.strides()));
            ArrayViewD::from_shape(shape, &values[self.layout.offset..])
        };
        Ok(view.expect("a layout stays inside its storage"))
    }

    fn copied<T: Element>(&self) -> Self {
        let Layout { shape, strides, offset } = &self.layout;
        let values = self.elements::<T>("contiguous").expect("called with the tensor's own dtype");
        let fill = |y: &mut [T]| copy::row_major(&values[*offset..], shape, strides, y);
        Self::wrap(T::filled(self.len(), fill), shape)
    }

    fn convert_on_gpu(&self, dtype: DType) -> Result<Self> {
        let to = dtype.on_gpu("to_dtype")?;
        let x = self.contiguous()?;
        let y = elementwise::cuda::convert(x.as_array("to_dtype")?, to)?;
        Ok(Self::from_array(y, self.shape()))
    }

    fn convert<A: HiddenElement, B: HiddenElement>(&self) -> Result<Self> {
        let x = self.contiguous()?;
        let x = x.as_slice::<A>()?;
        Ok(Self::build(self.shape(), |y: &mut [B]| elementwise::convert(x, y)))
    }

    fn cast_to<U: Element>(&self) -> Result<Self> {
        match self.dtype() {
            DType::F32 => self.cast::<f32, U>(),
            DType::F64 => self.cast::<f64, U>(),
            DType::BF16 => self.cast::<bf16, U>(),
            DType::F16 => self.cast::<f16, U>(),
            DType::I64 => self.cast::<i64, U>(),
            DType::U32 => self.cast::<u32, U>(),
        }
    }

    fn cast<T: Element, U: Element>(&self) -> Result<Self> {
        let x = self.contiguous()?;
        let x = x.as_slice::<T>()?;
        let fill = |y: &mut [U]| {
            y.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(y, x)| {
                y.iter_mut().zip(x).for_each(|(y, x)| *y = U::from_f64(x.to_f64()));
            });
        };
        Ok(Self::wrap(U::filled(x.len(), fill), self.shape()))
    }
}
