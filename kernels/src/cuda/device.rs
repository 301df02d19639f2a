//! A GPU: its context, its stream, and what it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cudarc::driver::{DriverError, result, sys};

use super::error::{failed, reason};
use super::module::Modules;
use super::pool::Pool;
use super::staging::Staging;
use super::{Error, Result, counts};

/// A CUDA device with one stream, on which everything happens in the order of the calls.
///
/// Cloning shares it; [`Device::open`] of the same number gives the same device, for the life of the process.
#[derive(Clone)]
pub struct Device(Arc<Inner>);

pub(super) struct Inner {
    ordinal: usize,
    name: String,
    capability: (u32, u32),
    multiprocessor: Multiprocessor,
    context: sys::CUcontext,
    stream: sys::CUstream,
    pub(super) pool: Pool,
    pub(super) modules: Modules,
    pub(super) staging: Staging,
}

/// What the blocks that run at once share out among them.
#[derive(Clone, Copy, Debug)]
pub struct Multiprocessor {
    /// How many of them the GPU has.
    pub count: usize,
    /// Threads of all blocks on one.
    pub threads: usize,
    /// Bytes of shared memory of all blocks on one.
    pub shared_memory: usize,
}

// SAFETY: context and stream are handles that the driver lets any thread use; the rest is behind locks.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

/// The devices that were opened.
static OPEN: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());

impl Device {
    /// Device number `ordinal`, counted from 0 in the order of CUDA_VISIBLE_DEVICES.
    ///
    /// # Errors
    /// When there is no driver or no such device, or it is older than Ampere.
    pub fn open(ordinal: usize) -> Result<Self> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = open.get(&ordinal) {
            return Ok(device.clone());
        }
        let device = Self(Arc::new(Inner::open(ordinal)?));
        open.insert(ordinal, device.clone());
        Ok(device)
    }

    /// How many devices there are.
    ///
    /// # Errors
    /// When there is no driver, or none that can be used.
    pub fn count() -> Result<usize> {
        if !start_driver()? {
            return Ok(0);
        }
        let count = result::device::get_count().map_err(|e| Error::NoDriver(reason(e)))?;
        Ok(count.max(0) as usize)
    }

    /// Its number.
    pub fn ordinal(&self) -> usize {
        self.0.ordinal
    }

    /// The name that NVIDIA gave it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its compute capability, such as (9, 0).
    pub fn capability(&self) -> (u32, u32) {
        self.0.capability
    }

    /// How many blocks run side by side.
    pub fn multiprocessor(&self) -> Multiprocessor {
        self.0.multiprocessor
    }

    /// Bytes free and in all.
    ///
    /// # Errors
    /// When the driver does not say.
    pub fn memory(&self) -> Result<(usize, usize)> {
        self.bind()?;
        result::mem_get_info().map_err(failed("cuMemGetInfo", self))
    }

    /// The most bytes that arrays of this process have held at once, since [`Device::reset_peak_memory`] or the beginning;
    /// what PyTorch calls `max_memory_allocated`.
    pub fn peak_memory(&self) -> usize {
        self.0.pool.peak()
    }

    /// Begins a new count of [`Device::peak_memory`].
    pub fn reset_peak_memory(&self) {
        self.0.pool.reset_peak();
    }

    /// Waits for everything that was asked of it.
    ///
    /// # Errors
    /// When something asked before has failed.
    pub fn synchronize(&self) -> Result<()> {
        self.bind()?;
        counts::waited();
        // SAFETY: the stream lives as long as the device.
        unsafe { result::stream::synchronize(self.stream()) }
            .map_err(failed("cuStreamSynchronize", self))
    }

    /// `NVIDIA H200 (cuda:0)`
    pub fn label(&self) -> String {
        format!("{} (cuda:{})", self.name(), self.ordinal())
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(super) fn stream(&self) -> sys::CUstream {
        self.0.stream
    }

    /// Makes this device the one that calls of this thread mean.
    pub(super) fn bind(&self) -> Result<()> {
        // SAFETY: the context was retained when the device was opened and is never released.
        unsafe { result::ctx::set_current(self.0.context) }.map_err(failed("cuCtxSetCurrent", self))
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.label())
    }
}

impl Inner {
    fn open(ordinal: usize) -> Result<Self> {
        let count = Device::count()?;
        if ordinal >= count {
            return Err(Error::NoDevice { ordinal, count });
        }
        Self::query(ordinal).map_err(|e| Error::Driver {
            call: "cuDevicePrimaryCtxRetain",
            gpu: format!("cuda:{ordinal}"),
            reason: reason(e),
        })?
    }

    /// The outer result is the driver's.
    fn query(ordinal: usize) -> std::result::Result<Result<Self>, DriverError> {
        use sys::CUdevice_attribute_enum as Attribute;
        let device = result::device::get(ordinal as i32)?;
        let attribute = |which| {
            // SAFETY: `device` is one that the driver has just named.
            unsafe { result::device::get_attribute(device, which) }.map(|x| x.max(0) as u32)
        };
        let capability = (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        );
        let name = result::device::get_name(device)?;
        if capability < (8, 0) {
            return Ok(Err(Error::TooOld { name, capability }));
        }
        if attribute(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED)? == 0 {
            return Ok(Err(Error::NoPools { name }));
        }
        let number = |which| attribute(which).map(|x| x as usize);
        let multiprocessor = Multiprocessor {
            count: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            threads: number(Attribute::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR)?,
            shared_memory: number(
                Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR,
            )?,
        };
        // SAFETY: as above; it is never released, so it outlives all its users.
        let context = unsafe { result::primary_ctx::retain(device) }?;
        // SAFETY: the context was just retained.
        unsafe { result::ctx::set_current(context) }?;
        Ok(Ok(Self {
            ordinal,
            name,
            capability,
            multiprocessor,
            context,
            stream: result::stream::create(result::stream::StreamKind::NonBlocking)?,
            pool: Pool::default(),
            modules: Modules::default(),
            staging: Staging::default(),
        }))
    }
}

/// CUDA 12.0, the first whose driver has all that is called here.
const OLDEST_DRIVER: i32 = 12_000;

/// Loads and starts the driver, once; whether it sees a device.
fn start_driver() -> Result<bool> {
    static STARTED: OnceLock<Result<bool>> = OnceLock::new();
    let start = || {
        // SAFETY: loads the library that the system has under that name, and asks nothing of it.
        if !unsafe { sys::is_culib_present() } {
            return Err(Error::NoDriver("libcuda.so was not found".to_owned()));
        }
        match result::init() {
            Ok(()) => check_version().map(|()| true),
            Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => Ok(false),
            Err(error) => Err(Error::NoDriver(reason(error))),
        }
    };
    STARTED.get_or_init(start).clone()
}

fn check_version() -> Result<()> {
    let version = driver_version().map_err(|e| Error::NoDriver(reason(e)))?;
    match version < OLDEST_DRIVER {
        false => Ok(()),
        true => Err(Error::NoDriver(format!(
            "it is for CUDA {}, 12.0 or later is needed",
            super::error::version(version)
        ))),
    }
}

/// The newest CUDA that the driver knows: 13020 for 13.2.
pub(super) fn driver_version() -> std::result::Result<i32, DriverError> {
    let mut version = 0;
    // SAFETY: writes one int.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result()?;
    Ok(version)
}
