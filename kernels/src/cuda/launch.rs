//! Starting a kernel.

use cudarc::driver::{result, sys};

use super::args::{Arguments, int};
use super::error::reason;
use super::{Array, DType, Device, Error, Param, Result, Slice, Source, counts};

/// Threads of a block where nothing speaks for another number: enough warps to hide the memory's latency, few
/// enough registers each that several blocks fit a multiprocessor.
pub(crate) const BLOCK: u32 = 256;

/// Threads of a warp, on every GPU so far.
pub(crate) const WARP: usize = 32;

/// Shared memory of a block that needs no permission.
const UNASKED_SHARED: usize = 48 << 10;

/// A kernel about to be started: sizes and parameters, in the order of its signature.
///
/// ```text
/// let launch = Launch::new(device, &SOFTMAX, x.dtype(), "softmax_forward")?;
/// // SAFETY: ...
/// unsafe { launch.grid(rows).read(x).write(y).int(cols).start() }
/// ```
#[must_use]
#[derive(Debug)]
pub struct Launch<'a> {
    device: &'a Device,
    function: sys::CUfunction,
    kernel: &'static str,
    grid: [u32; 3],
    block: u32,
    shared: usize,
    arguments: Arguments,
}

impl<'a> Launch<'a> {
    /// The kernel of that name in `source`, compiled for hidden states of type `hidden`. One block of 256
    /// threads until more is said.
    ///
    /// # Errors
    /// When it cannot be compiled or loaded.
    pub fn new(
        device: &'a Device,
        source: &'static Source,
        hidden: DType,
        kernel: &'static str,
    ) -> Result<Self> {
        let function = device.inner().modules.function(device, source, hidden, kernel)?;
        let arguments = Arguments::new();
        Ok(Self { device, function, kernel, grid: [1; 3], block: BLOCK, shared: 0, arguments })
    }

    /// Blocks in one dimension.
    pub fn grid(mut self, blocks: usize) -> Self {
        self.grid[0] = u32::try_from(blocks).expect("a grid has fewer than 2^32 blocks");
        self
    }

    /// Blocks in three dimensions, of which the second and third are at most 65535.
    pub fn grid_3(mut self, blocks: [usize; 3]) -> Self {
        self.grid = blocks.map(|n| u32::try_from(n).expect("a grid has fewer than 2^32 blocks"));
        self
    }

    /// Threads of a block, in one dimension.
    pub fn block(mut self, threads: u32) -> Self {
        self.block = threads;
        self
    }

    /// Bytes of dynamic shared memory.
    pub fn shared(mut self, bytes: usize) -> Self {
        self.shared = bytes;
        self
    }

    /// The address of elements that the kernel reads.
    ///
    /// # Panics
    /// When they are on another device.
    pub fn read(self, x: Slice) -> Self {
        assert_eq!(x.device(), self.device, "{}: operands on two devices", self.kernel);
        self.arg(x.address())
    }

    /// The address of an array that the kernel writes.
    ///
    /// # Panics
    /// When it is on another device.
    pub fn write(self, y: &mut Array) -> Self {
        assert_eq!(y.device(), self.device, "{}: operands on two devices", self.kernel);
        self.arg(y.address_mut())
    }

    /// No elements: a null pointer.
    pub fn none(self) -> Self {
        self.arg(0u64)
    }

    /// A value.
    pub fn arg<T: Param>(mut self, value: T) -> Self {
        self.arguments.push(value);
        self
    }

    /// A size, as an `int`.
    ///
    /// # Panics
    /// When it is 2^31 or more.
    pub fn int(self, n: usize) -> Self {
        self.arg(int(n))
    }

    /// Starts the kernel and goes on; nothing happens when the grid is empty.
    ///
    /// # Errors
    /// When the driver refuses.
    ///
    /// # Safety
    /// The parameters are those of the kernel's signature, in number, order and type; with these sizes it stays
    /// inside the arrays; and those that it writes are read by no one who expects the old values.
    pub unsafe fn start(mut self) -> Result<()> {
        if self.grid.contains(&0) {
            return Ok(());
        }
        self.device.bind()?;
        if self.shared > UNASKED_SHARED {
            self.device.inner().modules.allow_shared(self.device, self.function, self.shared)?;
        }
        let mut addresses = self.arguments.addresses();
        let ([x, y, z], shared) = (self.grid, self.shared as u32);
        // SAFETY: the function belongs to a loaded module and the addresses to `self.arguments`, which lives on;
        // what the kernel does with them is the caller's promise.
        let started = unsafe {
            let stream = self.device.stream();
            result::launch_kernel(
                self.function,
                (x, y, z),
                (self.block, 1, 1),
                shared,
                stream,
                &mut addresses,
            )
        };
        counts::launched();
        started.map_err(|error| Error::Launch {
            kernel: self.kernel.to_owned(),
            gpu: self.device.label(),
            grid: self.grid,
            block: self.block,
            shared,
            reason: reason(error),
        })
    }
}

/// Blocks for `n` threads' worth of work in loops over the grid: no more than keep every multiprocessor full, so
/// that each thread has several elements to itself when there are many.
pub(crate) fn blocks_for(device: &Device, n: usize) -> usize {
    let has = device.multiprocessor();
    let at_once = has.threads / BLOCK as usize * has.count;
    n.div_ceil(BLOCK as usize).min(at_once)
}
