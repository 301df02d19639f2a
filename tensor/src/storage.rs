//! Shared, typed memory behind tensors.

use std::sync::Arc;

use half::{bf16, f16};
use kernels::cuda;

use crate::DType;
use crate::pool::Buffer;

/// Reference-counted elements. f32 and bf16, the types of activations, come from the [pool](crate::pool); those on
/// a GPU, f32, bf16 and u32, from that GPU's own.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub enum Storage {
    F32(Arc<Buffer>),
    F64(Arc<Vec<f64>>),
    BF16(Arc<Buffer<bf16>>),
    F16(Arc<Vec<f16>>),
    I64(Arc<Vec<i64>>),
    U32(Arc<Vec<u32>>),
    Cuda(Arc<cuda::Array>),
}

impl Storage {
    pub(crate) fn dtype(&self) -> DType {
        match self {
            Storage::F32(_) => DType::F32,
            Storage::F64(_) => DType::F64,
            Storage::BF16(_) => DType::BF16,
            Storage::F16(_) => DType::F16,
            Storage::I64(_) => DType::I64,
            Storage::U32(_) => DType::U32,
            Storage::Cuda(array) => array.dtype().into(),
        }
    }
}
