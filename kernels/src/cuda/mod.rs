//! What all ops need of a GPU: the device, its memory, compiled kernels, launches.
//!
//! An op on a GPU is two files in its folder: `softmax.cu`, the kernel in CUDA C, and `cuda.rs`, which checks
//! lengths and launches it. The same binary starts where there is no GPU: the driver is loaded when the first
//! [`Device`] is opened, and the text of the kernels, which is part of the program, is compiled for that GPU by
//! NVRTC when it is first used (`module.rs`). Everything happens on one stream per device, in the order of the
//! calls and in the background: launches, copies and the memory pool (`pool.rs`) need no locks and no waiting. The
//! host waits where it reads: [`Slice::to_host`], [`Pending::wait`], [`Device::synchronize`].
//!
//! Errors come back as [`Error`], with the kernel and the GPU in the message. A kernel's own fault (an address out
//! of range) shows at a later call, as everywhere in CUDA.

mod args;
mod counts;
mod device;
mod error;
mod launch;
mod memory;
mod module;
mod offsets;
mod pool;
mod staging;

pub use args::Param;
pub(crate) use args::{DropoutParam, int};
pub use counts::{Counts, counts};
pub use device::{Device, Multiprocessor};
pub use error::{Error, Result};
pub use launch::Launch;
pub(crate) use launch::{BLOCK, WARP, blocks_for};
pub use memory::{Array, DType, Element, Slice};
#[doc(hidden)]
pub use module::ptx;
pub use module::{SOURCES, Source, precompile};
pub use offsets::Offsets;
pub use staging::Pending;
