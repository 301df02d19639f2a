//! The element types of tensors.

use std::sync::Arc;

use half::{bf16, f16};
use kernels::cuda;
use kernels::matmul::{MatMut, MatRef};

use crate::pool::{Buffer, Pooled};
use crate::storage::Storage;
use crate::{Error, Result};

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float: what is computed in.
    F32,
    /// 64-bit float: the plain definitions, for checks.
    F64,
    /// The upper half of an f32: activations in half the memory, checkpoints.
    BF16,
    /// IEEE half precision: checkpoints.
    F16,
    /// 64-bit integer: checkpoints.
    I64,
    /// 32-bit unsigned integer: token ids, labels, offsets.
    U32,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DType::BF16 | DType::F16 => 2,
            DType::F32 | DType::U32 => 4,
            DType::F64 | DType::I64 => 8,
        }
    }

    /// The name in messages: `f32`, `bf16`, ...
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::BF16 => "bf16",
            DType::F16 => "f16",
            DType::I64 => "i64",
            DType::U32 => "u32",
        }
    }

    /// The same type on a GPU, for results of `op`: f32 or bf16, or an error.
    pub(crate) fn on_gpu(self, op: &'static str) -> Result<cuda::DType> {
        match self {
            DType::F32 => Ok(cuda::DType::F32),
            DType::BF16 => Ok(cuda::DType::BF16),
            got => Err(Error::DType { op, expected: "f32 or bf16 on a GPU", got }),
        }
    }
}

impl From<cuda::DType> for DType {
    fn from(dtype: cuda::DType) -> Self {
        match dtype {
            cuda::DType::F32 => DType::F32,
            cuda::DType::BF16 => DType::BF16,
            cuda::DType::U32 => DType::U32,
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A Rust type that tensors can hold.
pub trait Element: bytemuck::Pod + Send + Sync + std::fmt::Debug + private::Sealed {
    /// Its dtype.
    const DTYPE: DType;
    /// The value in f64: exact but for integers beyond 2^53.
    fn to_f64(self) -> f64;
    /// The nearest value of this type; floats to integers are cut off towards zero.
    fn from_f64(x: f64) -> Self;
    #[doc(hidden)]
    fn wrap(values: Vec<Self>) -> Storage;
    /// New storage, all of which `fill` writes; it may hold anything before.
    #[doc(hidden)]
    fn filled(len: usize, fill: impl FnOnce(&mut [Self])) -> Storage;
    #[doc(hidden)]
    fn unwrap(storage: &Storage) -> Option<&[Self]>;
}

/// `x` in f32, exact or else the one of its two neighbours that has an odd last bit. Rounding that to a shorter
/// format gives what rounding `x` itself would: a tie is one only if `x` is.
///
/// Boldo and Melquiond, *Emulation of FMA and correctly rounded sums*, 2008,
/// <https://doi.org/10.1109/TC.2007.70819>. (`bf16::from_f64` of half 2.7 looks at the upper 32 bits only.)
fn to_odd(x: f64) -> f32 {
    let near = x as f32;
    let exact = f64::from(near);
    if exact == x || x.is_nan() || near.to_bits() & 1 == 1 {
        return near;
    }
    if exact < x { near.next_up() } else { near.next_down() }
}

mod private {
    pub trait Sealed {}
}

macro_rules! element {
    ($ty:ty, $variant:ident, $to:expr, $from:expr, $memory:expr) => {
        impl private::Sealed for $ty {}
        impl Element for $ty {
            const DTYPE: DType = DType::$variant;
            fn to_f64(self) -> f64 {
                $to(self)
            }
            fn from_f64(x: f64) -> Self {
                $from(x)
            }
            fn wrap(values: Vec<Self>) -> Storage {
                Storage::$variant(Arc::new(values.into()))
            }
            fn filled(len: usize, fill: impl FnOnce(&mut [Self])) -> Storage {
                let mut memory = $memory(len);
                fill(&mut memory);
                Storage::$variant(Arc::new(memory))
            }
            fn unwrap(storage: &Storage) -> Option<&[Self]> {
                match storage {
                    Storage::$variant(values) => Some(values),
                    _ => None,
                }
            }
        }
    };
}

fn zeros<T: bytemuck::Zeroable + Clone>(len: usize) -> Vec<T> {
    vec![T::zeroed(); len]
}

element!(f32, F32, f64::from, |x| x as f32, Buffer::uninit);
element!(f64, F64, |x| x, |x| x, zeros);
element!(bf16, BF16, f64::from, |x| bf16::from_f32(to_odd(x)), Buffer::uninit);
element!(f16, F16, f64::from, |x| f16::from_f32(to_odd(x)), zeros);
element!(i64, I64, |x| x as f64, |x| x as i64, zeros);
element!(u32, U32, f64::from, |x| x as u32, zeros);

/// A type that activations are kept in: the fast kernels take it, its buffers come from the pool.
pub(crate) trait HiddenElement: Element + kernels::Element + Pooled {
    fn into_storage(buffer: Buffer<Self>) -> Storage;
    /// The elements for writing, copied first if they are shared.
    fn unique(storage: &mut Storage) -> Option<&mut [Self]>;
    /// A row-major matrix as an operand of a product.
    fn matrix(x: &[Self], rows: usize, cols: usize) -> MatRef<'_>;
    /// A row-major matrix as the result of a product.
    fn matrix_mut(x: &mut [Self], rows: usize, cols: usize) -> MatMut<'_>;
}

impl HiddenElement for f32 {
    fn into_storage(buffer: Buffer<Self>) -> Storage {
        Storage::F32(Arc::new(buffer))
    }
    fn unique(storage: &mut Storage) -> Option<&mut [Self]> {
        match storage {
            Storage::F32(values) => Some(&mut **Arc::make_mut(values)),
            _ => None,
        }
    }
    fn matrix(x: &[Self], rows: usize, cols: usize) -> MatRef<'_> {
        MatRef::new(x, rows, cols)
    }
    fn matrix_mut(x: &mut [Self], rows: usize, cols: usize) -> MatMut<'_> {
        MatMut::new(x, rows, cols)
    }
}

impl HiddenElement for bf16 {
    fn into_storage(buffer: Buffer<Self>) -> Storage {
        Storage::BF16(Arc::new(buffer))
    }
    fn unique(storage: &mut Storage) -> Option<&mut [Self]> {
        match storage {
            Storage::BF16(values) => Some(&mut **Arc::make_mut(values)),
            _ => None,
        }
    }
    fn matrix(x: &[Self], rows: usize, cols: usize) -> MatRef<'_> {
        MatRef::new(x, rows, cols)
    }
    fn matrix_mut(x: &mut [Self], rows: usize, cols: usize) -> MatMut<'_> {
        MatMut::new(x, rows, cols)
    }
}
