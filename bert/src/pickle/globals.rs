//! The few names that a state dict calls, and what they build: tensors, which are views of storages.
//!
//! ```text
//! _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)
//! element [i, j] = storage[offset + i * stride[0] + j * stride[1]]
//! storage        = persistent id ("storage", torch.FloatStorage, key, "cpu", number of elements)
//! ```
//!
//! Several tensors may share a storage: a table that two modules use, or parts of one product. Nothing is called:
//! the arguments are noted, and checked against the number of elements.
//!
//! Source: <https://github.com/pytorch/pytorch/blob/main/torch/_utils.py>.

use tensor::DType;

use super::fault::{Fault, Result};
use super::machine::{Machine, Value, quoted};

/// Axes of a tensor, as torch itself has them, bytes of the key of a storage, and tensors of a file. What a call notes is
/// a copy, and a file may name one long tuple or text in every call, which takes it five bytes.
const MOST_AXES: usize = 64;
const LONGEST_KEY: usize = 255;
const MOST_TENSORS: usize = 1 << 16;

/// A global that a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    /// Of either version, for they begin alike.
    RebuildTensor,
    RebuildParameter,
    Storage(ElementType),
}

/// The type of the elements of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElementType {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

/// A run of elements in the file, under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    pub key: &'a str,
    pub element: ElementType,
    /// The number of elements.
    pub len: u64,
}

/// A tensor: a view of a storage, within its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strided {
    pub key: String,
    pub element: ElementType,
    /// The elements of the storage.
    pub storage_len: u64,
    /// Where in the storage the first element is.
    pub offset: u64,
    /// Elements from the first to the last, both included; fewer than the tensor has if it repeats some.
    pub extent: u64,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

impl Global {
    pub fn find(module: &str, name: &str) -> Option<Self> {
        let element = match (module, name) {
            ("collections", "OrderedDict") => return Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => {
                return Some(Self::RebuildTensor);
            }
            ("torch._utils", "_rebuild_parameter") => return Some(Self::RebuildParameter),
            ("torch", "DoubleStorage") => ElementType::F64,
            ("torch", "FloatStorage") => ElementType::F32,
            ("torch", "HalfStorage") => ElementType::F16,
            ("torch", "BFloat16Storage") => ElementType::BF16,
            ("torch", "LongStorage") => ElementType::I64,
            ("torch", "IntStorage") => ElementType::I32,
            ("torch", "ShortStorage") => ElementType::I16,
            ("torch", "CharStorage") => ElementType::I8,
            ("torch", "ByteStorage") => ElementType::U8,
            ("torch", "BoolStorage") => ElementType::Bool,
            _ => return None,
        };
        Some(Self::Storage(element))
    }
}

impl ElementType {
    /// As safetensors spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        }
    }

    /// Its size in bytes.
    pub fn size(self) -> u64 {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The dtype of weights of this type, if weights may have it.
    pub fn dtype(self) -> Option<DType> {
        match self {
            Self::F32 => Some(DType::F32),
            Self::F16 => Some(DType::F16),
            Self::BF16 => Some(DType::BF16),
            _ => None,
        }
    }
}

impl<'a> Storage<'a> {
    /// The one that a persistent id names. The old format has a sixth part, None unless the storage is part of another.
    pub fn of(id: &[Value<'a>]) -> Result<Self> {
        use Value::{Global as G, Int, None, Text};
        match *id {
            [Text("storage"), G(Global::Storage(element)), Text(key), Text(_), Int(len)]
            | [Text("storage"), G(Global::Storage(element)), Text(key), Text(_), Int(len), None] => {
                match key.len() <= LONGEST_KEY {
                    true => Ok(Self { key, element, len: size(len)? }),
                    false => {
                        Fault::unsupported(format!("a storage with a key of {} bytes", key.len()))
                    }
                }
            }
            _ => {
                let kinds: Vec<String> = id.iter().take(6).map(Value::kind).collect();
                Fault::unsupported(format!("a storage that is named by ({})", kinds.join(", ")))
            }
        }
    }
}

impl<'a> Machine<'a> {
    /// What a call of the global builds.
    pub fn call(&mut self, global: Global, arguments: &[Value<'a>]) -> Result<Value<'a>> {
        use Value::{Int, Storage as S, Tensor, Tuple};
        match (global, arguments) {
            (Global::OrderedDict, []) => Ok(Value::Dict(self.allocate(Vec::new())?)),
            (
                Global::RebuildTensor,
                &[S(storage), Int(offset), Tuple(shape), Tuple(strides), ..],
            ) => {
                if self.tensors.len() == MOST_TENSORS {
                    return Fault::unsupported(format!("more than {MOST_TENSORS} tensors"));
                }
                let strides = self.sizes(strides)?;
                let tensor =
                    Strided::new(self.storages[storage], offset, self.sizes(shape)?, strides)?;
                self.tensors.push(tensor);
                Ok(Tensor(self.tensors.len() - 1))
            }
            (Global::RebuildParameter, &[Tensor(i), ..]) => Ok(Tensor(i)),
            (global, arguments) => {
                let kinds: Vec<String> = arguments.iter().take(6).map(Value::kind).collect();
                Fault::unsupported(format!("a call of {global:?} with ({})", kinds.join(", ")))
            }
        }
    }

    /// The whole numbers of a tuple.
    fn sizes(&self, place: usize) -> Result<Vec<usize>> {
        let number = |value: &Value| match value {
            Value::Int(n) => Ok(size(*n)? as usize),
            other => Fault::unsupported(format!("a size that is {}", other.kind())),
        };
        match self.heap[place].as_slice() {
            sizes if sizes.len() <= MOST_AXES => sizes.iter().map(number).collect(),
            sizes => Fault::unsupported(format!("a tensor of {} axes", sizes.len())),
        }
    }
}

impl Strided {
    fn new(storage: Storage, offset: i64, shape: Vec<usize>, strides: Vec<usize>) -> Result<Self> {
        let offset = size(offset)?;
        let beyond = || {
            let (key, len) = (quoted(storage.key), storage.len);
            let message = format!(
                "a tensor of shape {shape:?}, strides {strides:?} and offset {offset} is beyond its storage {key} of \
                 {len} elements"
            );
            Fault::Damaged(message)
        };
        let extent = extent(&shape, &strides).ok_or_else(beyond)?;
        if offset.checked_add(extent).is_none_or(|end| end > storage.len) {
            return Err(beyond());
        }
        let (key, element, storage_len) = (storage.key.to_owned(), storage.element, storage.len);
        Ok(Self { key, element, storage_len, offset, extent, shape, strides })
    }

    /// The number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the elements lie in the storage in the order of the tensor.
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        let in_order = self.shape.iter().zip(&self.strides).rev().all(|(&n, &stride)| {
            let fits = n == 1 || stride == expected;
            expected *= n;
            fits
        });
        in_order || self.count() == 0
    }
}

/// Elements from the first to the last; `None` if that, or their number, is beyond any memory.
fn extent(shape: &[usize], strides: &[usize]) -> Option<u64> {
    if shape.len() != strides.len() {
        return None;
    }
    // In any order, also where a 0 would hide what is beside it.
    shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n.max(1)))?;
    if shape.contains(&0) {
        return Some(0);
    }
    let last =
        |sum: usize, (&n, &stride): (&usize, &usize)| sum.checked_add((n - 1).checked_mul(stride)?);
    let last = shape.iter().zip(strides).try_fold(0, last)?;
    (last as u64).checked_add(1)
}

/// A number that is not negative.
fn size(n: i64) -> Result<u64> {
    u64::try_from(n).or_else(|_| Fault::damaged(format!("the pickle has {n} for a size")))
}
