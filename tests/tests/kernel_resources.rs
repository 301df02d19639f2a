//! Every kernel through NVIDIA's own tools: NVRTC to PTX for compute_80 and compute_90a, `ptxas` to machine code, and
//! what that takes of registers and shared memory. No GPU is needed; the tools are.
//!
//! They are looked for in `$CUDA_TOOLS`, a folder with `lib` and `bin` such as `nvidia/cu13` of the Python packages
//! (`tests/gpu/install_tools.sh` makes one), in `target/cuda-tools`, and in `/usr/local/cuda`.

use std::path::{Path, PathBuf};
use std::process::Command;

use kernels::cuda::{DType, SOURCES, Source, ptx};
use rayon::prelude::*;
use tests::{root, skip_without_tools};

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
        return skip_without_tools("no NVRTC and ptxas; tests/gpu/install_tools.sh installs them");
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
    let mut kernels: Vec<Kernel> = jobs().into_par_iter().flat_map(|job| job.run(tools)).collect();
    kernels.sort_by_key(Kernel::line);
    let lines: Vec<String> = kernels.iter().map(Kernel::line).collect();
    let report = root().join("target/kernel-resources.txt");
    std::fs::write(&report, [HEAD, &lines.join("\n"), ""].join("\n"))
        .expect("target can be written");
    println!("{} kernels: {}", kernels.len(), report.display());
    let spilling: Vec<&str> = kernels.iter().filter(|k| k.spills > 0).map(|k| &*k.name).collect();
    assert_eq!(spilling, [""; 0], "registers spill to memory");
}

/// Every file for every target and type of hidden states.
fn jobs() -> Vec<Job> {
    let files = SOURCES.iter().flat_map(|source| TARGETS.map(|target| (*source, target)));
    let files = files.filter(|(source, target)| !source.hopper || target.1 == "sm_90a");
    files
        .flat_map(|(source, target)| {
            [DType::F32, DType::BF16].map(|hidden| Job { source, target, hidden })
        })
        .collect()
}

/// One compilation.
struct Job {
    source: &'static Source,
    target: (&'static str, &'static str),
    hidden: DType,
}

impl Job {
    /// Machine code, and what `ptxas -v` says of it.
    fn run(&self, tools: &Path) -> Vec<Kernel> {
        let (name, (architecture, target)) = (self.source.name, self.target);
        let text = ptx(self.source, self.hidden, architecture).unwrap_or_else(|e| panic!("{e}"));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let file = folder.join(format!("{name}-{:?}-{target}.ptx", self.hidden));
        std::fs::write(&file, &text).expect("target can be written");
        let output = Command::new(tools.join("bin/ptxas"))
            .args(["-v", "-arch", target, "-o"])
            .args([file.with_extension("cubin"), file])
            .output()
            .expect("ptxas runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name} for {target}: {said}");
        let place =
            format!("{name:34} {:5} {target:7}", format!("{:?}", self.hidden).to_lowercase());
        let kernels = parse(&said, &place);
        let entries = String::from_utf8_lossy(&text).matches(".entry ").count();
        assert_eq!(
            kernels.len(),
            entries,
            "ptxas speaks of other kernels than are in {name}: {said}"
        );
        kernels
    }
}

/// What a kernel takes.
#[derive(Default)]
struct Kernel {
    /// File, type of hidden states and target.
    place: String,
    name: String,
    registers: u32,
    spills: u32,
    stack: u32,
    shared: u32,
}

const HEAD: &str = "file                               type  target  kernel                             registers  spills  stack  static shared";

impl Kernel {
    fn line(&self) -> String {
        let Self { place, name, registers, spills, stack, shared } = self;
        format!("{place} {name:34} {registers:9} {spills:7} {stack:6} {shared:14}")
    }
}

/// ```text
/// ptxas info    : Compiling entry function 'softmax_forward' for 'sm_80'
/// ptxas info    : Function properties for softmax_forward
///     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
/// ptxas info    : Used 18 registers, used 1 barriers, 256 bytes smem, 372 bytes cmem[0]
/// ```
fn parse(text: &str, place: &str) -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = Vec::new();
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let name = rest.split('\'').next().unwrap_or_default().to_owned();
            kernels.push(Kernel { place: place.to_owned(), name, ..Kernel::default() });
        }
        let Some(kernel) = kernels.last_mut() else { continue };
        if line.contains("bytes stack frame") {
            let number = |unit| number_before(line, unit).expect("ptxas says all three");
            kernel.stack = number(" bytes stack frame");
            kernel.spills = number(" bytes spill stores") + number(" bytes spill loads");
        }
        if line.contains("Used ") {
            kernel.registers = number_before(line, " registers").expect("every kernel takes some");
            kernel.shared = number_before(line, " bytes smem").unwrap_or(0);
        }
    }
    assert!(kernels.iter().all(|kernel| kernel.registers > 0), "no registers in {text}");
    kernels
}

fn number_before(line: &str, unit: &str) -> Option<u32> {
    let (before, _) = line.split_once(unit)?;
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
