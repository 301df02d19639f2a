//! Where tensors live.

use std::sync::Arc;

use kernels::cuda::{self, Array};

use crate::storage::Storage;
use crate::{DType, Error, Result, Tensor};

/// The host's memory and processor, or a CUDA GPU.
///
/// An op runs where its operands are and leaves its result there. Operands on two devices are an error, never a
/// silent copy; [`Tensor::to_device`] copies. Token ids, labels and offsets are the exception: they stay on the
/// host, where they are checked, and an op on a GPU takes them along.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Device {
    /// The host.
    #[default]
    Cpu,
    /// A GPU.
    Cuda(cuda::Device),
}

impl Device {
    /// CUDA device number `ordinal`.
    ///
    /// # Errors
    /// When there is no driver or no such device.
    pub fn cuda(ordinal: usize) -> Result<Self> {
        Ok(Device::Cuda(cuda::Device::open(ordinal)?))
    }

    /// With the name of the GPU: `NVIDIA H200 (cuda:0)`.
    pub fn label(&self) -> String {
        match self {
            Device::Cpu => self.to_string(),
            Device::Cuda(gpu) => gpu.label(),
        }
    }

    /// Waits for everything that was asked of it; the CPU has always done it.
    ///
    /// # Errors
    /// When something asked before has failed.
    pub fn synchronize(&self) -> Result<()> {
        match self {
            Device::Cpu => Ok(()),
            Device::Cuda(gpu) => Ok(gpu.synchronize()?),
        }
    }

    /// The most bytes that tensors have held at once on a GPU, since [`Device::reset_peak_memory`] or the beginning; none
    /// for the CPU, whose memory the operating system counts.
    pub fn peak_memory(&self) -> Option<u64> {
        match self {
            Device::Cpu => None,
            Device::Cuda(gpu) => Some(gpu.peak_memory() as u64),
        }
    }

    /// Begins a new count of [`Device::peak_memory`].
    pub fn reset_peak_memory(&self) {
        if let Device::Cuda(gpu) = self {
            gpu.reset_peak_memory();
        }
    }
}

/// The value of a tensor of one element, which may still be on its way from a GPU.
#[derive(Debug)]
pub enum Later {
    /// It is here.
    Here(f64),
    /// It will be.
    Coming(cuda::Pending),
}

impl Later {
    /// The value; waits for it, but not for what was asked of the GPU since.
    ///
    /// # Errors
    /// When something that was asked before has failed.
    pub fn wait(self) -> Result<f64> {
        match self {
            Later::Here(value) => Ok(value),
            Later::Coming(pending) => Ok(f64::from(pending.wait()?)),
        }
    }
}

impl std::fmt::Display for Device {
    /// `cpu`, `cuda:0`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(gpu) => write!(f, "cuda:{}", gpu.ordinal()),
        }
    }
}

impl Tensor {
    /// Where its elements are.
    pub fn device(&self) -> Device {
        match &self.storage {
            Storage::Cuda(array) => Device::Cuda(array.device().clone()),
            _ => Device::Cpu,
        }
    }

    /// The same values on `device`: this tensor itself where it is there already, else a copy in row-major order.
    ///
    /// # Errors
    /// When the GPU is full, or the dtype is not one that GPUs hold: f32, bf16, u32.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        match (self.device(), device) {
            (from, to) if from == *to => Ok(self.clone()),
            (Device::Cpu, Device::Cuda(gpu)) => self.upload(gpu),
            (_, Device::Cpu) => self.download(),
            // There is no road from GPU to GPU but through the host.
            (_, to) => self.download()?.to_device(to),
        }
    }

    /// The value of a tensor of one element, to be waited for later: a step of training goes on while its loss is
    /// copied from the GPU.
    ///
    /// # Errors
    /// When there is not exactly one element, or the GPU holds it in another type than f32.
    pub fn item_later(&self) -> Result<Later> {
        match self.device() {
            Device::Cpu => Ok(Later::Here(self.item()?)),
            Device::Cuda(_) if (self.len(), self.dtype()) == (1, DType::F32) => {
                Ok(Later::Coming(cuda::Pending::read(self.as_array("item_later")?)?))
            }
            Device::Cuda(_) => {
                let expected = "of one f32".to_owned();
                Err(Error::Shape { op: "item_later", expected, got: self.shape().to_vec() })
            }
        }
    }

    fn upload(&self, gpu: &cuda::Device) -> Result<Self> {
        let host = self.contiguous()?;
        let array = match self.dtype() {
            DType::F32 => Array::from_host(gpu, host.as_slice::<f32>()?),
            DType::BF16 => Array::from_host(gpu, host.as_slice::<half::bf16>()?),
            DType::U32 => Array::from_host(gpu, host.as_slice::<u32>()?),
            got => {
                let expected = "f32, bf16 or u32 for a GPU";
                return Err(Error::DType { op: "to_device", expected, got });
            }
        };
        Ok(Self::from_array(array?, self.shape()))
    }

    fn download(&self) -> Result<Self> {
        let there = self.contiguous()?;
        let elements = there.as_array("to_device")?;
        match elements.dtype() {
            cuda::DType::F32 => Self::from_vec(elements.to_host::<f32>()?, self.shape()),
            cuda::DType::BF16 => Self::from_vec(elements.to_host::<half::bf16>()?, self.shape()),
            cuda::DType::U32 => Self::from_vec(elements.to_host::<u32>()?, self.shape()),
        }
    }

    /// The elements on the GPU, which lie in row-major order.
    pub(crate) fn as_array(&self, op: &'static str) -> Result<cuda::Slice<'_>> {
        let Storage::Cuda(array) = &self.storage else {
            return Err(Error::Device { op, expected: "a CUDA device".into(), got: Device::Cpu });
        };
        if !self.is_contiguous() {
            let expected = format!("in row-major order, strides {:?}", self.strides());
            return Err(Error::Shape { op, expected, got: self.shape().to_vec() });
        }
        let span = self.layout.span();
        Ok(array.slice().narrow(span.start, span.len()))
    }

    /// The elements on the GPU for writing, in row-major order and all of their array. An array that other
    /// tensors share is copied first.
    pub(crate) fn make_array_mut(&mut self, op: &'static str) -> Result<&mut Array> {
        let whole = |t: &Self, array: &Arc<Array>| {
            Arc::strong_count(array) == 1 && t.is_contiguous() && t.len() == array.len()
        };
        let own = matches!(&self.storage, Storage::Cuda(array) if whole(self, array));
        if !own {
            let there = self.contiguous()?;
            *self = Self::from_array(Array::duplicate(there.as_array(op)?)?, self.shape());
        }
        match &mut self.storage {
            Storage::Cuda(array) => Ok(Arc::get_mut(array).expect("no one shares it")),
            _ => unreachable!("checked by as_array"),
        }
    }

    /// A tensor over all of an array, whose length is that of the shape.
    pub(crate) fn from_array(array: Array, shape: &[usize]) -> Self {
        Self::wrap(Storage::Cuda(Arc::new(array)), shape)
    }
}
