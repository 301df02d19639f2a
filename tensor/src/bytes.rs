//! Tensors from the bytes of a file.

use std::io::{self, Read};

use half::{bf16, f16};

use crate::pool::Buffer;
use crate::shape::count;
use crate::{DType, Element, Tensor};

impl Tensor {
    /// Reads the elements of a tensor, little-endian, one behind the other, straight into its own memory. Whoever calls
    /// has checked that the source holds as many: memory is taken before it is read.
    ///
    /// # Errors
    /// When the source fails or ends early.
    pub fn read_from(source: &mut dyn Read, dtype: DType, shape: &[usize]) -> io::Result<Self> {
        match dtype {
            DType::F32 => {
                let mut values = Buffer::uninit(count(shape));
                source.read_exact(bytemuck::cast_slice_mut::<f32, u8>(&mut values))?;
                Ok(Self::from_buffer(values, shape))
            }
            DType::F64 => read_as::<f64>(source, shape),
            DType::BF16 => read_as::<bf16>(source, shape),
            DType::F16 => read_as::<f16>(source, shape),
            DType::I64 => read_as::<i64>(source, shape),
            DType::U32 => read_as::<u32>(source, shape),
        }
    }
}

fn read_as<T: Element>(source: &mut dyn Read, shape: &[usize]) -> io::Result<Tensor> {
    let mut values = vec![T::zeroed(); count(shape)];
    source.read_exact(bytemuck::cast_slice_mut::<T, u8>(&mut values))?;
    Tensor::from_vec(values, shape).map_err(io::Error::other)
}
