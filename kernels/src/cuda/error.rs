//! What can go wrong between here and the card.

use cudarc::driver::DriverError;

use super::Device;

/// Why something did not happen on a card.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is no driver, or it does not start.
    #[error("no CUDA driver ({0}): install NVIDIA's driver or use --device cpu")]
    NoDriver(String),
    /// The driver sees fewer cards.
    #[error("no CUDA device {ordinal}: {}", match count {
        0 => "the driver sees none".to_owned(),
        1 => "there is one, cuda:0".to_owned(),
        n => format!("there are {n}, cuda:0 to cuda:{}", n - 1),
    })]
    NoDevice {
        /// The number asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// The card is older than Ampere.
    #[error("{name} has compute capability {}.{}: 8.0 (Ampere) or later is needed", capability.0, capability.1)]
    TooOld {
        /// The name of the card.
        name: String,
        /// Its compute capability.
        capability: (u32, u32),
    },
    /// The compiler of kernels is missing.
    #[error(
        "NVRTC, the compiler of CUDA kernels, was not found (libnvrtc.so): install the CUDA toolkit, or the \
         Python package nvidia-cuda-nvrtc and put its lib folder into LD_LIBRARY_PATH"
    )]
    NoCompiler,
    /// A kernel does not compile, which is a bug here.
    #[error("{source_file} does not compile for {target}:\n{log}")]
    Compile {
        /// The file.
        source_file: &'static str,
        /// The architecture.
        target: String,
        /// What the compiler says.
        log: String,
    },
    /// The card's memory is full.
    #[error(
        "out of memory on {card}: {} asked for, {} of {} free{}; a smaller --batch-size or --max-length, \
         --precision bf16 and --checkpoint-activations take less",
        mebibytes(*asked), mebibytes(*free), mebibytes(*total),
        if *used > 0 { format!(", {} in use here", mebibytes(*used)) } else { String::new() }
    )]
    OutOfMemory {
        /// Name and number of the card.
        card: String,
        /// Bytes asked for.
        asked: usize,
        /// Bytes free.
        free: usize,
        /// Bytes of the card.
        total: usize,
        /// Bytes of living arrays of this process.
        used: usize,
    },
    /// A kernel was not started.
    #[error(
        "{kernel} on {card}, grid {grid:?}, block {block}, {shared} bytes of shared memory: {reason}"
    )]
    Launch {
        /// The kernel.
        kernel: String,
        /// Name and number of the card.
        card: String,
        /// Blocks.
        grid: [u32; 3],
        /// Threads of a block.
        block: u32,
        /// Dynamic shared memory.
        shared: u32,
        /// The driver's words.
        reason: String,
    },
    /// Any other call of the driver. Kernels run in the background, so it may report an earlier one's fault.
    #[error(
        "{call} on {card}: {reason} (kernels run in the background: the fault may be an earlier one's, \
         CUDA_LAUNCH_BLOCKING=1 finds it)"
    )]
    Driver {
        /// What was asked.
        call: &'static str,
        /// Name and number of the card.
        card: String,
        /// The driver's words.
        reason: String,
    },
}

/// What this module returns.
pub type Result<T> = std::result::Result<T, Error>;

fn mebibytes(bytes: usize) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// The driver's name and words for an error.
pub(super) fn reason(error: DriverError) -> String {
    let text = |c: std::result::Result<&std::ffi::CStr, _>| {
        c.map_or_else(|_: DriverError| String::new(), |c| c.to_string_lossy().into_owned())
    };
    format!("{} ({})", text(error.error_string()), text(error.error_name()))
}

/// The error of a call other than a launch or an allocation.
pub(super) fn failed(call: &'static str, device: &Device) -> impl FnOnce(DriverError) -> Error {
    let card = device.label();
    move |error| Error::Driver { call, card, reason: reason(error) }
}
