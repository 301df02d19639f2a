//! What can go wrong between here and the GPU.

use std::path::PathBuf;

use cudarc::driver::DriverError;

use super::Device;

/// Why something did not happen on a GPU.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is no driver, or none that can be used.
    #[error("no CUDA driver that can be used ({0}): install NVIDIA's newest or use --device cpu")]
    NoDriver(String),
    /// The driver sees fewer GPUs.
    #[error("no CUDA device {ordinal}: {}", match count {
        0 => "the driver sees none; if there is one, look at CUDA_VISIBLE_DEVICES".to_owned(),
        1 => "there is one, cuda:0".to_owned(),
        n => format!("there are {n}, cuda:0 to cuda:{}", n - 1),
    })]
    NoDevice {
        /// The number asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// The GPU is older than Ampere.
    #[error("{name} has compute capability {}.{}: 8.0 (Ampere) or later is needed", capability.0, capability.1)]
    TooOld {
        /// The name of the GPU.
        name: String,
        /// Its compute capability.
        capability: (u32, u32),
    },
    /// The driver has no memory in the order of a stream here, as with some virtual GPUs.
    #[error(
        "{name}: its driver has no memory pools (cuMemAllocAsync) here, which are needed; use --device cpu"
    )]
    NoPools {
        /// The name of the GPU.
        name: String,
    },
    /// The environment names a kernel of products that there is not.
    #[error(
        "KERNELS_CUDA_MATMUL={0}: expected naive, tiled, mma or wgmma; correct it, or unset it"
    )]
    UnknownRung(String),
    /// The compiler of kernels is missing.
    #[error(
        "NVRTC, the compiler of CUDA kernels, was not found (libnvrtc.so): install the CUDA toolkit, or the \
         Python package nvidia-cuda-nvrtc and put its lib folder into LD_LIBRARY_PATH"
    )]
    NoCompiler,
    /// A kernel does not compile: the compiler is older than the GPU, or it is a bug here.
    #[error("{source_file} does not compile for {target} with NVRTC {}:\n{log}", version(*compiler))]
    Compile {
        /// The file.
        source_file: &'static str,
        /// The architecture.
        target: String,
        /// The version of NVRTC, 13020 for 13.2.
        compiler: i32,
        /// What the compiler says.
        log: String,
    },
    /// Machine code cannot be kept where it was asked for.
    #[error("{}: {reason}", file.display())]
    Cache {
        /// The file.
        file: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The driver does not load what a newer compiler made.
    #[error(
        "{source_file} on {gpu}: {reason}; NVRTC is of CUDA {}, the driver of {}: install a newer driver, or NVRTC \
         of that version",
        version(versions[0]), version(versions[1])
    )]
    OldDriver {
        /// The file.
        source_file: &'static str,
        /// Name and number of the GPU.
        gpu: String,
        /// The versions of NVRTC and of the driver, 13020 for 13.2.
        versions: [i32; 2],
        /// The driver's words.
        reason: String,
    },
    /// The GPU's memory is full.
    #[error(
        "out of memory on {gpu}: {} asked for, {} of {} free{}; a smaller --batch-size (for the same steps \
         with --gradient-accumulation-steps) or --max-length, --precision bf16 and --checkpoint-activations take less",
        mebibytes(*asked), mebibytes(*free), mebibytes(*total),
        if *used > 0 { format!(", {} in use here", mebibytes(*used)) } else { String::new() }
    )]
    OutOfMemory {
        /// Name and number of the GPU.
        gpu: String,
        /// Bytes asked for.
        asked: usize,
        /// Bytes free.
        free: usize,
        /// Bytes of the GPU.
        total: usize,
        /// Bytes of living arrays of this process.
        used: usize,
    },
    /// A kernel was not started. The driver refuses all launches after the fault of an earlier one.
    #[error(
        "{kernel} on {gpu}, grid {grid:?}, block {block}, {shared} bytes of shared memory: {reason} \
         {EARLIER}"
    )]
    Launch {
        /// The kernel.
        kernel: String,
        /// Name and number of the GPU.
        gpu: String,
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
    #[error("{call} on {gpu}: {reason} {EARLIER}")]
    Driver {
        /// What was asked.
        call: &'static str,
        /// Name and number of the GPU.
        gpu: String,
        /// The driver's words.
        reason: String,
    },
}

/// After a fault of a kernel every call fails, with the words that the fault has.
const EARLIER: &str = "(kernels run in the background: the fault may be an earlier one's, \
                       CUDA_LAUNCH_BLOCKING=1 finds it)";

/// What this module returns.
pub type Result<T> = std::result::Result<T, Error>;

/// 13.2 from 13020.
pub(super) fn version(number: i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

fn mebibytes(bytes: usize) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// The driver's name and words for an error.
pub(super) fn reason(error: DriverError) -> String {
    match (error.error_string(), error.error_name()) {
        (Ok(words), Ok(name)) => {
            format!("{} ({})", words.to_string_lossy(), name.to_string_lossy())
        }
        // An older driver, or the toolkit's stub in the place of one, does not know all errors.
        _ => format!("CUDA error {}", error.0 as u32),
    }
}

/// The error of a call other than a launch or an allocation.
pub(super) fn failed(call: &'static str, device: &Device) -> impl FnOnce(DriverError) -> Error {
    let gpu = device.label();
    move |error| Error::Driver { call, gpu, reason: reason(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_written_as_usual() {
        assert_eq!([12_000, 12_080, 13_020].map(version), ["12.0", "12.8", "13.2"]);
    }

    #[test]
    fn what_is_there_is_said() {
        let said = |count| Error::NoDevice { ordinal: 7, count }.to_string();
        assert!(
            said(0)
                .ends_with("the driver sees none; if there is one, look at CUDA_VISIBLE_DEVICES")
        );
        assert_eq!(said(1), "no CUDA device 7: there is one, cuda:0");
        assert_eq!(said(4), "no CUDA device 7: there are 4, cuda:0 to cuda:3");
    }
}
