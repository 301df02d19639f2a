//! Parameters: named, shared, replaceable tensors.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tensor::Tensor;

/// A trainable tensor under the name it has in a checkpoint. Cloning makes another handle to the same one.
#[derive(Clone, Debug)]
pub struct Param(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: ParamId,
    name: String,
    value: RwLock<Tensor>,
    frozen: AtomicBool,
}

/// Which parameter: unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ParamId(u64);

impl Param {
    /// A parameter with a first value.
    pub fn new(name: impl Into<String>, value: Tensor) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = ParamId(NEXT.fetch_add(1, Ordering::Relaxed));
        let (value, frozen) = (RwLock::new(value), AtomicBool::new(false));
        Self(Arc::new(Inner { id, name: name.into(), value, frozen }))
    }

    /// The name, such as `encoder.layer.0.output.dense.weight`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The current value; shares memory.
    pub fn value(&self) -> Tensor {
        self.0.value.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> Vec<usize> {
        self.value().shape().to_vec()
    }

    /// Replaces the value.
    ///
    /// # Panics
    /// When the shape would change.
    pub fn set(&self, value: Tensor) {
        let mut slot = self.0.value.write().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(slot.shape(), value.shape(), "{}: a parameter keeps its shape", self.name());
        *slot = value;
    }

    /// Changes the value in place: no copy is made if nothing else shares its memory.
    pub fn update<R>(&self, change: impl FnOnce(&mut Tensor) -> R) -> R {
        change(&mut self.0.value.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Excludes the parameter from differentiation (`true`) or includes it again.
    pub fn freeze(&self, frozen: bool) {
        self.0.frozen.store(frozen, Ordering::Relaxed);
    }

    /// Whether no gradient is computed for it.
    pub fn is_frozen(&self) -> bool {
        self.0.frozen.load(Ordering::Relaxed)
    }

    pub(crate) fn id(&self) -> ParamId {
        self.0.id
    }
}
