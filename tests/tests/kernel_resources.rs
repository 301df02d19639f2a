//! Every kernel through NVIDIA's own tools: NVRTC to PTX for compute_80 and compute_90a, `ptxas` to machine code, and
//! what that takes of registers and shared memory. No card is needed; the tools are.
//!
//! They are looked for in `$CUDA_TOOLS`, a folder with `lib` and `bin` such as `nvidia/cu13` of the Python packages
//! (`tests/gpu/install_tools.sh` makes one), in `target/cuda-tools`, and in `/usr/local/cuda`.

use std::path::{Path, PathBuf};
use std::process::Command;

use kernels::cuda::{DType, SOURCES, Source, ptx};
use tests::root;

/// Virtual architectures, each with the real one that it is assembled for: the generic path and Hopper's.
const TARGETS: [(&str, &str); 2] = [("compute_80", "sm_80"), ("compute_90a", "sm_90a")];

/// Set in the process that has the compiler.
const INSIDE: &str = "KERNEL_RESOURCES_TOOLS";

#[test]
fn kernels_compile_and_assemble_without_spills() {
    if let Some(tools) = std::env::var_os(INSIDE) {
        return compile_all(Path::new(&tools));
    }
    let Some(tools) = tools() else {
        return eprintln!("skipped: no NVRTC and ptxas; tests/gpu/install_tools.sh installs them");
    };
    // A process finds the compiler by a path that is read when it starts.
    let this = std::env::current_exe().expect("the program has a path");
    let output = Command::new(this)
        .args(["--nocapture", "kernels_compile"])
        .env(INSIDE, &tools)
        .env("LD_LIBRARY_PATH", tools.join("lib"))
        .output()
        .expect("the program runs");
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    println!("{}", text.join("\n"));
    assert!(output.status.success(), "a kernel does not compile");
}

fn tools() -> Option<PathBuf> {
    let named = std::env::var_os("CUDA_TOOLS").map(PathBuf::from);
    let usual = [root().join("target/cuda-tools"), PathBuf::from("/usr/local/cuda")];
    named.into_iter().chain(usual).find(|folder| folder.join("bin/ptxas").is_file())
}

fn compile_all(tools: &Path) {
    let mut lines = vec![Resources::HEAD.to_owned()];
    let mut spilling = Vec::new();
    for source in SOURCES {
        for (virtual_name, real) in TARGETS {
            if source.hopper && real != "sm_90a" {
                continue;
            }
            for hidden in [DType::F32, DType::BF16] {
                let text = ptx(source, hidden, virtual_name).unwrap_or_else(|e| panic!("{e}"));
                for kernel in assemble(tools, source, hidden, real, &text) {
                    lines.push(kernel.line(source, hidden, real));
                    if kernel.spills > 0 {
                        spilling.push(kernel.name);
                    }
                }
            }
        }
    }
    let report = root().join("target/kernel-resources.txt");
    std::fs::write(&report, lines.join("\n") + "\n").expect("the target folder can be written");
    println!("{} kernels: {}", lines.len() - 1, report.display());
    assert!(spilling.is_empty(), "registers spill to memory in {spilling:?}");
}

/// What a kernel takes.
#[derive(Default)]
struct Resources {
    name: String,
    registers: u32,
    spills: u32,
    stack: u32,
    shared: u32,
}

impl Resources {
    const HEAD: &str = "file                 kernel                              hidden target   registers  spills   stack  static shared";

    fn line(&self, source: &Source, hidden: DType, target: &str) -> String {
        let Self { name, registers, spills, stack, shared } = self;
        let (file, hidden) = (source.name, format!("{hidden:?}").to_lowercase());
        format!(
            "{file:20} {name:35} {hidden:6} {target:8} {registers:9} {spills:7} {stack:7} {shared:14}"
        )
    }
}

/// Machine code from PTX, and what `ptxas -v` says of it.
fn assemble(
    tools: &Path,
    source: &Source,
    hidden: DType,
    target: &str,
    ptx: &[u8],
) -> Vec<Resources> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("{}-{hidden:?}-{target}.ptx", source.name));
    std::fs::write(&file, ptx).expect("the target folder can be written");
    let output = Command::new(tools.join("bin/ptxas"))
        .args(["-v", "-arch", target, "-o"])
        .args([file.with_extension("cubin"), file])
        .output()
        .expect("ptxas runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{} for {target}: {text}", source.name);
    parse(&text)
}

/// ```text
/// ptxas info    : Compiling entry function 'softmax_forward' for 'sm_80'
/// ptxas info    : Function properties for softmax_forward
///     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
/// ptxas info    : Used 18 registers, used 1 barriers, 256 bytes smem, 372 bytes cmem[0]
/// ```
fn parse(text: &str) -> Vec<Resources> {
    let mut kernels: Vec<Resources> = Vec::new();
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let name = rest.split('\'').next().unwrap_or_default().to_owned();
            kernels.push(Resources { name, ..Resources::default() });
        }
        let Some(kernel) = kernels.last_mut() else { continue };
        if line.contains("bytes stack frame") {
            kernel.stack = number_before(line, " bytes stack frame");
            kernel.spills = number_before(line, " bytes spill stores");
        }
        if line.contains("Used ") {
            kernel.registers = number_before(line, " registers");
            kernel.shared = number_before(line, " bytes smem");
        }
    }
    kernels
}

/// The number in front of `unit`; 0 where there is none.
fn number_before(line: &str, unit: &str) -> u32 {
    let Some((before, _)) = line.split_once(unit) else { return 0 };
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}
