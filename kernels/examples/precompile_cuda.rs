//! Compiles every CUDA kernel for GPUs that need not be here, so that their first run has nothing to compile.
//!
//! `cargo run -p kernels --example precompile_cuda -- 9.0 FOLDER`, with the compute capability of the GPUs, and NVRTC
//! in LD_LIBRARY_PATH; there, `KERNELS_CUDA_CACHE=FOLDER`.

use std::path::Path;
use std::process::ExitCode;

use kernels::cuda::precompile;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [capability, folder] = &arguments[..] else { return usage() };
    let numbers = capability.split_once('.').map(|(a, b)| (a.parse(), b.parse()));
    let Some((Ok(major), Ok(minor))) = numbers else { return usage() };
    match precompile((major, minor), Path::new(folder)) {
        Ok(files) => println!("{files} files for compute capability {capability} in {folder}"),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: precompile_cuda CAPABILITY FOLDER, such as 9.0 kernels");
    ExitCode::from(2)
}
