//! Parameters: named, shared, replaceable tensors.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tensor::{Device, Tensor};

use crate::{Error, Result};

/// A trainable tensor under the name it has in a checkpoint. Cloning makes another handle to the same one.
#[derive(Clone, Debug)]
pub struct Param(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: ParamId,
    name: String,
    value: RwLock<Value>,
    frozen: AtomicBool,
}

#[derive(Debug)]
struct Value {
    tensor: Tensor,
    /// The rows that are up to date, ascending, where an optimizer defers updates; `None` for all.
    current: Option<Vec<u32>>,
}

/// Which parameter: unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ParamId(u64);

/// Handles to one parameter are equal.
impl PartialEq for Param {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Param {}

impl Param {
    /// A parameter with a first value.
    pub fn new(name: impl Into<String>, value: Tensor) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = ParamId(NEXT.fetch_add(1, Ordering::Relaxed));
        let value = RwLock::new(Value { tensor: value, current: None });
        let frozen = AtomicBool::new(false);
        Self(Arc::new(Inner { id, name: name.into(), value, frozen }))
    }

    /// The name, such as `encoder.layer.0.output.dense.weight`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The current value; shares memory.
    ///
    /// # Panics
    /// When updates of some rows are deferred, see [`Param::update_rows`]: flush the optimizer first.
    pub fn value(&self) -> Tensor {
        let value = self.read();
        self.expect_current(&value);
        value.tensor.clone()
    }

    /// The value for a reader of the rows `ids` alone.
    pub(crate) fn value_for(&self, ids: &Tensor) -> Result<Tensor> {
        let value = self.read();
        if let Some(current) = &value.current {
            let is_current = |id: &u32| current.binary_search(id).is_ok();
            if !ids.to_vec::<u32>()?.iter().all(is_current) {
                return Err(Error::Deferred { name: self.name().to_owned() });
            }
        }
        Ok(value.tensor.clone())
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> Vec<usize> {
        self.read().tensor.shape().to_vec()
    }

    /// Where the value is.
    pub fn device(&self) -> Device {
        self.read().tensor.device()
    }

    /// Moves the value to a device.
    ///
    /// # Errors
    /// When the GPU is full.
    ///
    /// # Panics
    /// When updates of some rows are deferred.
    pub fn to_device(&self, device: &Device) -> Result<()> {
        let moved = self.value().to_device(device)?;
        self.set(moved);
        Ok(())
    }

    /// Replaces the value.
    ///
    /// # Panics
    /// When the shape would change; when updates of some rows are deferred.
    pub fn set(&self, value: Tensor) {
        self.update(|slot| {
            assert_eq!(slot.shape(), value.shape(), "{}: a parameter keeps its shape", self.name());
            *slot = value;
        });
    }

    /// Changes the value in place: no copy is made if nothing else shares its memory.
    ///
    /// # Panics
    /// When updates of some rows are deferred.
    pub fn update<R>(&self, change: impl FnOnce(&mut Tensor) -> R) -> R {
        let mut value = self.write();
        self.expect_current(&value);
        change(&mut value.tensor)
    }

    /// Changes the value of a table in place. `change` returns the rows that are up to date then, ascending,
    /// `None` for all: while it is not all, [`ops::lookup`](crate::ops::lookup) refuses the others, and whatever
    /// else would read or replace the table panics.
    ///
    /// For optimizers, which may defer the update of rows that nobody reads.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn update_rows<E>(
        &self,
        change: impl FnOnce(&mut Tensor) -> std::result::Result<Option<Vec<u32>>, E>,
    ) -> std::result::Result<(), E> {
        let mut value = self.write();
        value.current = change(&mut value.tensor)?;
        Ok(())
    }

    fn expect_current(&self, value: &Value) {
        let name = self.name();
        assert!(value.current.is_none(), "{name}: updates are deferred; flush the optimizer first");
    }

    fn read(&self) -> RwLockReadGuard<'_, Value> {
        self.0.value.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Value> {
        self.0.value.write().unwrap_or_else(PoisonError::into_inner)
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
