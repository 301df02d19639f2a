//! From CUDA C to functions: compiled by NVRTC at first use, kept on disk.
//!
//! The text of every kernel is in the program. When one is first asked for on a device, its file is compiled to
//! that GPU's machine code, once for each type of hidden states, and stored as
//! `NAME-TYPE-ARCHITECTURE-HASH.cubin` in `$KERNELS_CUDA_CACHE`, else `finetune/cuda` in the user's cache folder;
//! later runs load it from there and need no compiler. The hash is over text, headers, options with the architecture,
//! and the version of this crate, all that machine code follows from but the compiler's version: what an older compiler
//! made stays good. A damaged file is noticed by a second hash, in front of its content, and compiled again, as is one
//! that the driver does not load. A cache that cannot be written costs time, nothing else. [`precompile`] fills it for a
//! GPU that is elsewhere.

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cudarc::driver::{DriverError, result, sys as driver};
use cudarc::nvrtc::{result as nvrtc, sys};
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

use super::device::driver_version;
use super::error::{failed, reason};
use super::{DType, Device, Error, Result};

/// A file of kernels.
#[derive(Debug)]
pub struct Source {
    /// Its name in messages and in the cache, such as `softmax.cu`.
    pub name: &'static str,
    /// CUDA C.
    pub text: &'static str,
    /// Whether it is for Hopper alone (`sm_90a`).
    pub hopper: bool,
}

/// What kernels include.
const HEADERS: [(&str, &str); 12] = [
    ("common.cuh", include_str!("common.cuh")),
    ("normal.cuh", include_str!("normal.cuh")),
    ("ptx.cuh", include_str!("ptx.cuh")),
    ("hopper.cuh", include_str!("hopper.cuh")),
    ("activation.cuh", include_str!("../activation/activation.cuh")),
    ("attention.cuh", include_str!("../attention/cuda/attention.cuh")),
    ("relative.cuh", include_str!("../attention/cuda/relative.cuh")),
    ("fragments.cuh", include_str!("../attention/cuda/fragments.cuh")),
    ("mask.cuh", include_str!("../attention/cuda/mask.cuh")),
    ("square.cuh", include_str!("../attention/cuda/square.cuh")),
    ("product.cuh", include_str!("../matmul/cuda/product.cuh")),
    ("strided.cuh", include_str!("../matmul/cuda/strided.cuh")),
];

/// Every file of kernels, for the tests that compile them all.
pub static SOURCES: &[&Source] = &[
    &crate::activation::cuda::SOURCE,
    &crate::adamw::cuda::SOURCE,
    &crate::add_norm::cuda::SOURCE,
    &crate::attention::cuda::DELTA,
    &crate::attention::cuda::FLASH[0],
    &crate::attention::cuda::FLASH[1],
    &crate::attention::cuda::FLASH[2],
    &crate::attention::cuda::FLASH_BACKWARD[0],
    &crate::attention::cuda::FLASH_BACKWARD[1],
    &crate::attention::cuda::FLASH_BACKWARD[2],
    &crate::attention::cuda::PLAIN[0],
    &crate::attention::cuda::PLAIN[1],
    &crate::attention::cuda::PLAIN[2],
    &crate::bce_with_logits::cuda::LOSS.source,
    &crate::copy::cuda::SOURCE,
    &crate::cross_entropy::cuda::SOURCE,
    &crate::dropout::cuda::SOURCE,
    &crate::elementwise::cuda::SOURCE,
    &crate::embedding::cuda::SOURCE,
    &crate::gated::cuda::SOURCE,
    &crate::layer_norm::cuda::SOURCE,
    &crate::matmul::cuda::MMA,
    &crate::matmul::cuda::NAIVE,
    &crate::matmul::cuda::SPLIT,
    &crate::matmul::cuda::TILED,
    &crate::matmul::cuda::WGMMA,
    &crate::mse::cuda::LOSS.source,
    &crate::pooling::cuda::SOURCE,
    &crate::reduce::cuda::SOURCE,
    &crate::residual::cuda::SOURCE,
    &crate::rotary::cuda::SOURCE,
    &crate::softmax::cuda::SOURCE,
    &crate::weighted_cross_entropy::cuda::SOURCE,
];

/// The modules of a device.
#[derive(Debug, Default)]
pub(super) struct Modules {
    functions: Mutex<HashMap<(&'static str, &'static str, DType), Function>>,
    modules: Mutex<HashMap<(&'static str, DType), Module>>,
    /// Bytes of dynamic shared memory that functions were allowed, by their address.
    shared: Mutex<HashMap<usize, usize>>,
}

/// Modules are never unloaded: both handles stay valid.
#[derive(Clone, Copy, Debug)]
struct Module(driver::CUmodule);
#[derive(Clone, Copy, Debug)]
struct Function(driver::CUfunction);

// SAFETY: handles that the driver lets any thread use.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Send for Function {}

impl Modules {
    pub(super) fn function(
        &self,
        device: &Device,
        source: &'static Source,
        hidden: DType,
        kernel: &'static str,
    ) -> Result<driver::CUfunction> {
        // This thread may be a new one, and the driver looks in the context that is bound.
        device.bind()?;
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (source.name, kernel, hidden);
        if let Some(function) = functions.get(&key) {
            return Ok(function.0);
        }
        let module = self.module(device, source, hidden)?;
        let name = CString::new(kernel).expect("names of kernels have no zeros");
        // SAFETY: the module was loaded and is never unloaded.
        let function = unsafe { result::module::get_function(module.0, name) }
            .map_err(failed("cuModuleGetFunction", device))?;
        functions.insert(key, Function(function));
        Ok(function)
    }

    fn module(&self, device: &Device, source: &'static Source, hidden: DType) -> Result<Module> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(&(source.name, hidden)) {
            return Ok(*module);
        }
        let module = module(device, source, hidden)?;
        modules.insert((source.name, hidden), module);
        Ok(module)
    }

    /// Lets a function have more dynamic shared memory than the 48 KiB that need no permission; asks once.
    pub(super) fn allow_shared(
        &self,
        device: &Device,
        function: driver::CUfunction,
        bytes: usize,
    ) -> Result<()> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = shared.entry(function as usize).or_default();
        if *allowed >= bytes {
            return Ok(());
        }
        let attribute =
            driver::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: the function belongs to a loaded module.
        unsafe { result::function::set_function_attribute(function, attribute, bytes as i32) }
            .map_err(failed("cuFuncSetAttribute", device))?;
        *allowed = bytes;
        Ok(())
    }
}

/// From the cache or from the compiler. What the driver does not take is not kept: another compiler may do better.
fn module(device: &Device, source: &'static Source, hidden: DType) -> Result<Module> {
    let target = target(device.capability());
    let file = cache_folder().map(|folder| folder.join(cache_name(source, hidden, &target)));
    let cached = file.as_ref().and_then(|file| stored(&std::fs::read(file).ok()?));
    if let Some(module) = cached.and_then(|image| load(&image).ok()) {
        return Ok(module);
    }
    let image = compile(source, hidden, &target)?;
    let module = load(&image).map_err(|error| refused(device, source, error))?;
    if let Some(file) = file {
        // Without a cache the next run compiles again.
        let _ = store(&file, &image);
    }
    Ok(module)
}

fn load(image: &[u8]) -> std::result::Result<Module, DriverError> {
    // SAFETY: `image` is a whole cubin: the compiler made it, or its hash was right.
    unsafe { result::module::load_data(image.as_ptr().cast()) }.map(Module)
}

fn refused(device: &Device, source: &Source, error: DriverError) -> Error {
    match (compiler_version(), driver_version()) {
        (compiler, Ok(driver)) if driver < compiler => Error::OldDriver {
            source_file: source.name,
            gpu: device.label(),
            versions: [compiler, driver],
            reason: reason(error),
        },
        _ => failed("cuModuleLoadData", device)(error),
    }
}

/// The architecture by name: the instructions of Hopper that later GPUs do not have need the `a`.
fn target((major, minor): (u32, u32)) -> String {
    match (major, minor) {
        (9, 0) => "sm_90a".to_owned(),
        _ => format!("sm_{major}{minor}"),
    }
}

fn options(architecture: &str, hidden: DType) -> Vec<String> {
    let mut options = vec![
        format!("--gpu-architecture={architecture}"),
        "--std=c++17".to_owned(),
        // So that compute-sanitizer and profilers can name lines; the code stays the same.
        "--generate-line-info".to_owned(),
        // A generic lambda cannot say `__device__`.
        "--device-as-default-execution-space".to_owned(),
    ];
    if hidden == DType::BF16 {
        options.push("--define-macro=HIDDEN_BF16".to_owned());
    }
    options
}

fn cache_name(source: &Source, hidden: DType, target: &str) -> String {
    let options = format!("{:?}", options(target, hidden));
    let rest = [source.text, options.as_str(), env!("CARGO_PKG_VERSION")];
    let parts: Vec<&str> = HEADERS.iter().map(|(_, text)| *text).chain(rest).collect();
    let hash = xxh3_128(parts.join("\0").as_bytes());
    let stem = source.name.trim_end_matches(".cu");
    let kind = if hidden == DType::BF16 { "bf16" } else { "f32" };
    format!("{stem}-{kind}-{target}-{hash:032x}.cubin")
}

/// `None` where the environment names no folder for it.
fn cache_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    folder("KERNELS_CUDA_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("finetune/cuda")))
        .or_else(|| Some(folder("HOME")?.join(".cache/finetune/cuda")))
}

/// The image in a file of the cache, if it is whole: 16 bytes of hash, then the content that it is of.
fn stored(file: &[u8]) -> Option<Vec<u8>> {
    let (hash, image) = file.split_first_chunk::<16>()?;
    (u128::from_le_bytes(*hash) == xxh3_128(image)).then(|| image.to_vec())
}

fn store(file: &Path, image: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Under a name of this process first: others may write, and read, the same file.
    let partial = file.with_extension(format!("{}.partial", std::process::id()));
    std::fs::write(&partial, [&xxh3_128(image).to_le_bytes(), image].concat())?;
    std::fs::rename(partial, file)
}

/// A file as PTX for a virtual architecture such as `compute_80`: for tests, which assemble it and need no GPU.
///
/// # Errors
/// When NVRTC is missing or refuses.
#[doc(hidden)]
pub fn ptx(source: &Source, hidden: DType, architecture: &str) -> Result<Vec<u8>> {
    with_compiled(source, hidden, architecture, |program| {
        // SAFETY: the program was compiled.
        let ptx = unsafe { nvrtc::get_ptx(program.0) }?;
        Ok(ptx.into_iter().map(|c| c.to_ne_bytes()[0]).take_while(|&c| c != 0).collect())
    })
}

/// Compiles every file for GPUs of that compute capability into `folder`, which such a machine can then name in
/// `KERNELS_CUDA_CACHE`. What is there already stays. Gives the number of files.
///
/// # Errors
/// When NVRTC is missing or refuses, or the folder cannot be written.
pub fn precompile(capability: (u32, u32), folder: &Path) -> Result<usize> {
    let target = target(capability);
    let sources = SOURCES.iter().filter(|source| !source.hopper || capability == (9, 0));
    let files = sources.flat_map(|source| [(source, DType::F32), (source, DType::BF16)]);
    let files: Vec<_> = files.collect();
    files.par_iter().try_for_each(|&(source, hidden)| {
        let file = folder.join(cache_name(source, hidden, &target));
        if std::fs::read(&file).is_ok_and(|bytes| stored(&bytes).is_some()) {
            return Ok(());
        }
        let image = compile(source, hidden, &target)?;
        store(&file, &image).map_err(|e| Error::Cache { file, reason: e.to_string() })
    })?;
    Ok(files.len())
}

/// Compiles a file to machine code for `target`.
fn compile(source: &Source, hidden: DType, target: &str) -> Result<Vec<u8>> {
    with_compiled(source, hidden, target, Program::cubin)
}

/// What `read` gets out of a compiled file.
fn with_compiled(
    source: &Source,
    hidden: DType,
    architecture: &str,
    read: impl FnOnce(&Program) -> std::result::Result<Vec<u8>, nvrtc::NvrtcError>,
) -> Result<Vec<u8>> {
    // SAFETY: loads the library that the system has under that name, and asks nothing of it.
    if !unsafe { sys::is_culib_present() } {
        return Err(Error::NoCompiler);
    }
    let log_of = |log: String| Error::Compile {
        source_file: source.name,
        target: architecture.to_owned(),
        compiler: compiler_version(),
        log,
    };
    let program = Program::new(source).map_err(|e| log_of(format!("{e:?}")))?;
    // SAFETY: the program lives until the end of this function.
    match unsafe { nvrtc::compile_program(program.0, &options(architecture, hidden)) } {
        Ok(()) => read(&program).map_err(|e| log_of(format!("{e:?}"))),
        Err(error) => Err(log_of(format!("{error:?}\n{}", program.log()))),
    }
}

/// NVRTC's, as the driver writes its own: 13020 for 13.2.
fn compiler_version() -> i32 {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: writes two ints; called where the library is there.
    let _ = unsafe { sys::nvrtcVersion(&mut major, &mut minor) };
    1000 * major + 10 * minor
}

/// Destroyed when dropped.
struct Program(sys::nvrtcProgram);

impl Program {
    fn new(source: &Source) -> std::result::Result<Self, nvrtc::NvrtcError> {
        let c_string = |text: &str| CString::new(text).expect("texts of kernels have no zeros");
        let (text, name) = (c_string(source.text), c_string(source.name));
        let names = HEADERS.map(|(name, _)| c_string(name));
        let texts = HEADERS.map(|(_, text)| c_string(text));
        let names: Vec<*const c_char> = names.iter().map(|s| s.as_ptr()).collect();
        let texts: Vec<*const c_char> = texts.iter().map(|s| s.as_ptr()).collect();
        let mut program = std::ptr::null_mut();
        // SAFETY: all strings end in zero and live until the call returns, which copies them.
        unsafe {
            let count = HEADERS.len() as i32;
            sys::nvrtcCreateProgram(
                &mut program,
                text.as_ptr(),
                name.as_ptr(),
                count,
                texts.as_ptr(),
                names.as_ptr(),
            )
        }
        .result()?;
        Ok(Self(program))
    }

    fn cubin(&self) -> std::result::Result<Vec<u8>, nvrtc::NvrtcError> {
        let mut size = 0;
        // SAFETY: writes one size.
        unsafe { sys::nvrtcGetCUBINSize(self.0, &mut size) }.result()?;
        let mut image = vec![0u8; size];
        // SAFETY: the vector has the size that the library asked for.
        unsafe { sys::nvrtcGetCUBIN(self.0, image.as_mut_ptr().cast()) }.result()?;
        Ok(image)
    }

    fn log(&self) -> String {
        // SAFETY: the program lives.
        let log = unsafe { nvrtc::get_program_log(self.0) }.unwrap_or_default();
        let bytes: Vec<u8> =
            log.into_iter().map(|c| c.to_ne_bytes()[0]).take_while(|&c| c != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: created by `new`, destroyed here alone.
        let _ = unsafe { nvrtc::destroy_program(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_not_taken() {
        let folder = std::env::temp_dir().join(format!("kernels-cache-{}", std::process::id()));
        let file = folder.join("softmax.cubin");
        store(&file, b"machine code").expect("a temporary folder can be written");
        let mut bytes = std::fs::read(&file).expect("just written");
        assert_eq!(stored(&bytes).as_deref(), Some(&b"machine code"[..]));
        *bytes.last_mut().expect("not empty") ^= 1;
        assert_eq!(stored(&bytes), None);
        assert_eq!(stored(&bytes[..7]), None);
        std::fs::remove_dir_all(folder).expect("just made");
    }

    #[test]
    fn hopper_is_named_with_its_own_instructions() {
        assert_eq!(target((9, 0)), "sm_90a");
        assert_eq!(target((8, 6)), "sm_86");
        assert_eq!(target((12, 0)), "sm_120");
    }
}
